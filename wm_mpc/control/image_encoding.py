"""Encode live images and goal images as under the conditions of the recordings."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from wm_mpc.control.looking import encoded_scene
from wm_mpc.control.seeing import Seeing
from wm_mpc.model.camera_shift import Shift
from wm_mpc.model.conditions import Conditions, moved_by
from wm_mpc.model.world_model import WorldModel

_REMEMBERED = 3  # shifts of live images


class ImageEncoding:
    """Takes what is no part of the scene out of images before the model sees them.

    That is light, camera shifts and foreign objects. Not thread-safe.

    Args:
        model: The world model.
    """

    def __init__(self, model: WorldModel) -> None:
        self._model, self._seeing = model, Seeing(model)
        self._shifts: tuple[Shift, ...] = ()  # undone in the last live image
        self._known: list[tuple[Shift, ...]] = []  # of live images, the last few
        self._has_seen = False  # a live image

    def goal(
        self, image: np.ndarray, state: np.ndarray, conditions: Conditions | None
    ) -> tuple[Tensor, Conditions | None]:
        """Encode a goal's image. It may be from before or after the camera was bumped or put back.

        Args:
            image: uint8 (height, width, 3) rgb.
            state: (state size,), each entry in its unit.
            conditions: Those of live images; None if nothing is known.

        Returns:
            Its latent, (latent size,), and what was taken out of the image; None: nothing.
        """
        if self._seeing.knows_light:
            self._note(moved_by(conditions))
            found = self._seeing.standing_alone(image, self._part(state), self._known)
            return self._encoded(found.removed(image), state), found
        return self._encoded(image, state), None

    def use_shifts(self, conditions: Conditions | None) -> bool:
        """Note how live images are moved from now on.

        Args:
            conditions: The present conditions; None if nothing is known.

        Returns:
            Whether the last image was moved otherwise.
        """
        before, self._shifts = self._shifts, moved_by(conditions)
        self._note(self._shifts)
        return before != self._shifts and any(s.size for s in (*before, *self._shifts))

    def live(
        self,
        image: np.ndarray,
        state: np.ndarray,
        conditions: Conditions | None,
        *,
        is_first: bool,
        native: bool,
    ) -> tuple[Tensor, Conditions | None]:
        """Encode a live image.

        Args:
            image: uint8 (height, width, 3) rgb.
            state: (state size,), each entry in its unit.
            conditions: The present conditions; None if nothing is known.
            is_first: Whether there is no image before it. Then its own light counts, if none is
                known.
            native: Whether to use the compiled encoder, if there is one.

        Returns:
            Its latent, (latent size,), and what was taken out of the image; None: nothing.
        """
        is_lit = conditions is not None and conditions.light is not None
        if is_first and not is_lit and self._seeing.knows_light:
            foreign = None if conditions is None else conditions.foreign
            if conditions is None and not self._has_seen:
                conditions = self._seeing.at_first(image, self._part(state))
                self.use_shifts(conditions)
            else:
                conditions = self._seeing.relit(image, self._part(state), moved_by(conditions))
            # The image is not known yet. What was in the way before a hold may still be there.
            conditions = dataclasses.replace(conditions, foreign=foreign, is_strange=True)
        self._has_seen = True
        seen = image if conditions is None else conditions.removed(image)
        latent = self._encoded(seen, state, native=native)
        if conditions is None or not (conditions.is_strange and self._seeing.knows_light):
            return latent, conditions
        found = self._seeing.past_foreign(image, latent, conditions)
        if found is not conditions:
            latent = self._encoded(found.removed(image), state, native=native)
        return latent, found

    def _note(self, shifts: tuple[Shift, ...]) -> None:
        """Remember shifts: goals of their time may come later."""
        if any(shift.size for shift in shifts) and shifts not in self._known:
            self._known = [*self._known, shifts][-_REMEMBERED:]

    def _part(self, state: np.ndarray) -> Tensor:
        """The state part of a latent."""
        return self._model.normalise_state(torch.from_numpy(np.asarray(state, np.float32)))

    def _encoded(self, image: np.ndarray, state: np.ndarray, *, native: bool = True) -> Tensor:
        scene = encoded_scene(self._model, image, native=native)
        return torch.cat([scene, self._part(state)])
