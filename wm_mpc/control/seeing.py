"""Tell a room's light and a bumped camera from what the model does not know, in each picture.

The controller plans from pictures with the light taken out and the camera's shift undone, so that
neither moves what the model sees. The guard (`control/surprise.py`) counts only what both do not
explain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wm_mpc.model.camera_shift import NO_SHIFT, Conditions, Shift, likeliest_shift, moved_back
from wm_mpc.model.lighting import CameraLighting, Light
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_vision

_ALIKE = 3  # pictures in a row that must show nearly the same shift
# What may be left when a shift is undone: a share of the error, and a multiple of the usual one.
_BETTER, _FAMILIAR = 0.7, 1.5
_STEPS = 3  # largest number of shifts tried in one picture that has none before it


class Seeing:
    """Compares pictures with their reconstructions by one model. Not thread-safe.

    Args:
        model: The world model.

    Attributes:
        shifts: How far the picture of each camera is moved, as far as it is known by now.
    """

    def __init__(self, model: WorldModel) -> None:
        self._model, self._tiles = model, model.spec.image.tiles
        self._lighting = CameraLighting(model.spec.image)
        self.shifts: tuple[Shift, ...] = (NO_SHIFT,) * len(self._tiles)
        self._alike: list[list[Shift]] = [[] for _ in self._tiles]
        self._is_new = True

    @property
    def knows_light(self) -> bool:
        """Whether the checkpoint says how much light usually leaves unexplained."""
        usual = self._model.familiarity
        return usual is not None and bool(usual.usual_unexplained)

    @torch.no_grad()
    def first(self, image: np.ndarray, latent: Tensor) -> Conditions:
        """Find the conditions of a picture before which none was seen. Only for `knows_light`.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            latent: Its latent, (latent size,).
        """
        shifts: tuple[Shift, ...] = (NO_SHIFT,) * len(self._tiles)
        light, left = self._explained(image, latent, shifts)
        for _ in range(_STEPS):
            before = shifts
            for camera, error in enumerate(left):
                if error > self._usual[camera]:
                    shift = self._better(camera, image, latent, shifts, light, error)
                    if shift is not None:
                        shifts = _replaced(shifts, camera, shift)
            if shifts == before:
                break
            latent = self._encoded(image, latent, shifts, light)
            light, left = self._explained(image, latent, shifts)
        return Conditions(light, shifts, self._tiles)

    @torch.no_grad()
    def compare(
        self, image: np.ndarray, latent: Tensor, used: Conditions | None = None
    ) -> tuple[Light, tuple[float, ...]]:
        """Find the light of the next picture, what nothing explains, and new shifts.

        A new shift counts from the next picture on, and only when a few pictures in a row show it.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            latent: Its latent, (latent size,).
            used: The conditions that were taken out of the picture before it was encoded; None:
                at most its light.

        Returns:
            The light, and `Lighting.unexplained` of each camera.
        """
        shifts = (NO_SHIFT,) * len(self._tiles) if used is None else used.shifts
        if self._is_new:
            self._is_new, self.shifts = False, shifts
        light, left = self._explained(image, latent, shifts)
        if self.knows_light:
            for camera, error in enumerate(left):
                self._follow(camera, image, latent, shifts, light, error)
        return light, left

    @property
    def _usual(self) -> tuple[float, ...]:
        assert self._model.familiarity is not None
        return self._model.familiarity.usual_unexplained

    def _follow(
        self,
        camera: int,
        image: np.ndarray,
        latent: Tensor,
        shifts: Sequence[Shift],
        light: Light,
        error: float,
    ) -> None:
        """Update the shift of a camera whose picture the model does not know well."""
        alike, shift = self._alike[camera], None
        if error > self._usual[camera]:
            shift = self._better(camera, image, latent, shifts, light, error)
        if shift is None or not all(map(shift.is_near, alike)):
            alike.clear()
        if shift is None:
            return
        alike.append(shift)
        if len(alike) == _ALIKE:
            alike.clear()
            self.shifts = _replaced(self.shifts, camera, shift)

    def _better(
        self,
        camera: int,
        image: np.ndarray,
        latent: Tensor,
        shifts: Sequence[Shift],
        light: Light,
        error: float,
    ) -> Shift | None:
        """A shift with which the model knows the picture of a camera much better."""
        tile, best = self._tiles[camera], None
        least = min(_BETTER * error, _FAMILIAR * self._usual[camera])
        known = (self._drawn(latent), self._model.decoder.still()[0].permute(1, 2, 0).numpy())
        lit = [(picture * light.gain + light.offset).clip(0.0, 1.0) for picture in known]
        for shift in {likeliest_shift(tile.of(image), tile.of(picture)) for picture in lit}:
            if shift is not None and shift != shifts[camera]:
                tried = _replaced(shifts, camera, shift)
                latent_then = self._encoded(image, latent, tried, light)
                left = self._explained(image, latent_then, tried)[1][camera]
                if left <= least:
                    best, least = shift, left
        return best

    def _encoded(
        self, image: np.ndarray, latent: Tensor, shifts: tuple[Shift, ...], light: Light
    ) -> Tensor:
        """The latent with these shifts and this light taken out of the picture; the state stays."""
        seen = torch.from_numpy(Conditions(light, shifts, self._tiles).removed(image))
        vision = native_vision(self._model)
        if vision is None:
            scene = self._model.encode_scene(seen[None])[0]
        else:
            scene = vision.encode_scene(seen)
        return torch.cat([scene, self._model.split(latent)[1]])

    def _explained(
        self, image: np.ndarray, latent: Tensor, shifts: Sequence[Shift]
    ) -> tuple[Light, tuple[float, ...]]:
        """The light of a picture with these shifts, and what both do not explain."""
        seen = moved_back(image, shifts, self._tiles)
        edges = [shift.size for shift in shifts]
        return self._lighting.compare(seen, self._drawn(latent), edges)

    def _drawn(self, latent: Tensor) -> np.ndarray:
        vision = native_vision(self._model)
        if vision is None:
            drawn = self._model.decode(latent[None])[0].permute(1, 2, 0).contiguous()
        else:
            drawn = vision.redraw(latent)
        return drawn.numpy()


def _replaced(shifts: Sequence[Shift], camera: int, shift: Shift) -> tuple[Shift, ...]:
    return tuple(shift if number == camera else other for number, other in enumerate(shifts))
