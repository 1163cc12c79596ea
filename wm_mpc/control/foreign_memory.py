"""Keep foreign objects in mind from picture to picture.

A pale object explains little of a picture, and a hand or a second object explains more. So an
object that was found stays known until its place looks as the model draws it, whatever else is
found.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from torch import Tensor

from wm_mpc.control.foreign_doubt import ALIKE, LOST, doubted, hidden, is_drawn, object_at
from wm_mpc.control.looking import USUAL, Look, Looker
from wm_mpc.control.places import FEWEST, SEEN, connected, differing, dilated, is_compact, squares
from wm_mpc.model.conditions import Conditions

_LEFT = 0.4  # share of the error that may be left, if the object is seen clearly
_SHARE = 0.1  # of the squared error of the largest object; smaller parts were not seen clearly
_CLEAR = 0.25  # share of a place's pixels that may differ once nothing foreign is there
_TOLD = 3.0  # error up to which a picture can tell that a place is clear, as multiple of the usual
_COVERED = 0.5  # share of the pixels that differ where something covers another part of a place


class ForeignMemory:
    """Keeps the foreign objects of the pictures of one model. Not thread-safe.

    Each method takes two looks at the same picture: `look` without the objects of the picture
    before, `plain` as it is.

    Args:
        looker: Looks at pictures. It knows light.
    """

    def __init__(self, looker: Looker) -> None:
        self._looker = looker

    def followed(
        self, image: np.ndarray, state: Tensor, look: Look, plain: Look
    ) -> Conditions | None:
        """Follow the objects of the picture before.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            look: The look without the objects.
            plain: The look with them.

        Returns:
            The conditions with their places as they are now; None if they do not explain the
            picture clearly.
        """
        before = look.conditions.foreign
        assert before is not None
        if self._looker.error(look) > min(USUAL, _LEFT * self._looker.error(plain)):
            return None
        differs = self._looker.outside(image, look)
        parts = differing(np.where(dilated(before.mask, 1), differs, 0.0))
        if not parts:
            return None
        least = _SHARE * squares(differs, parts[0])
        place = np.logical_or.reduce([p for p in parts if squares(differs, p) >= least])
        if not all(is_compact(tile.of(place[..., None])[..., 0]) for tile in self._looker.tiles):
            return None
        return self._known(image, state, look, place)

    def kept(self, image: np.ndarray, look: Look, plain: Look) -> np.ndarray:
        """Find where the objects of the picture before still are.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            look: The look without the objects.
            plain: The look with them.

        Returns:
            bool (height, width): their places, less those that now look as the model draws them. A
            picture that the model does not know at all, as behind a hand, tells nothing.
        """
        before = look.conditions.foreign
        assert before is not None
        found = before.place
        if self._looker.error(look) <= _TOLD:
            found = self._unlike(image, look, found)
        error = self._looker.error(plain)
        if error > _TOLD:
            return found
        for part in connected(found):
            # The model may take the object for the robot; then it does not know the rest.
            if error <= USUAL or not is_drawn(self._looker, plain, part):
                found = found & ~part | self._unlike(image, plain, part)
        return found

    def _unlike(self, image: np.ndarray, look: Look, place: np.ndarray) -> np.ndarray:
        """The parts of a place at which a picture does not look as the model draws it."""
        differs, found = self._looker.outside(image, look), np.zeros_like(place)
        for part in connected(place):
            is_clear = (differs[part] > SEEN).mean() < _CLEAR
            found |= _compact(differs, part) if is_clear else part
        return found

    def joined(
        self, image: np.ndarray, state: Tensor, look: Look, kept: np.ndarray, seen: Conditions
    ) -> Conditions:
        """Add the objects of the picture before to what is found in this one.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            look: The look without the objects of the picture before.
            kept: From `kept`.
            seen: The conditions with what is found in this picture.
        """
        before, found = look.conditions.foreign, seen.foreign
        assert before is not None
        assert found is not None
        place = found.place.copy()
        differs = self._looker.outside(image, look) > SEEN
        for part in connected(kept & ~found.mask):
            # It may have moved to where something is found. Then the rest of its place is clear.
            is_apart = not (dilated(part, 1) & found.mask).any()
            if is_apart or differs[part].mean() >= _COVERED:
                place |= part
        if (place == found.place).all():
            return seen
        drawn = np.where(found.mask[..., None], found.drawn, before.drawn)
        foreign = object_at(self._looker, place, drawn)
        foreign = dataclasses.replace(foreign, doubt=before.doubt)
        both = dataclasses.replace(seen, foreign=foreign)
        return doubted(both, found.doubt or self._doubt(self._looker.look(image, state, both)))

    def remembered(
        self, image: np.ndarray, state: Tensor, look: Look, kept: np.ndarray
    ) -> Conditions | None:
        """Keep the objects of the picture before, which this one does not show clearly.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            look: The look without the objects.
            kept: From `kept`.

        Returns:
            The conditions with the objects where they were, with a doubt if the model does not know
            the picture without them; None if nothing foreign is there any more.
        """
        before = look.conditions.foreign
        assert before is not None
        if kept.sum() < FEWEST:
            return None
        if not (kept == before.place).all():
            foreign = object_at(self._looker, kept, before.drawn)
            foreign = dataclasses.replace(foreign, doubt=before.doubt)
            conditions = dataclasses.replace(look.conditions, foreign=foreign)
            look = self._looker.look(image, state, conditions)
        return doubted(look.conditions, self._doubt(look))

    def _known(
        self, image: np.ndarray, state: Tensor, look: Look, place: np.ndarray
    ) -> Conditions | None:
        """The conditions with the objects at a place; None if they explain the picture no more."""
        before = look.conditions.foreign
        assert before is not None
        foreign = dataclasses.replace(
            object_at(self._looker, place, look.drawn), doubt=before.doubt
        )
        now = self._looker.look(image, state, dataclasses.replace(look.conditions, foreign=foreign))
        if self._looker.error(now) > USUAL:
            return None
        return doubted(now.conditions, self._doubt(now))

    def _doubt(self, look: Look) -> str:
        """The doubt about the objects of a look."""
        assert look.conditions.foreign is not None
        if self._looker.error(look) > USUAL:
            return LOST
        before = look.conditions.foreign.doubt
        return before if before == ALIKE else hidden(self._looker, look)


def _compact(differs: np.ndarray, part: np.ndarray) -> np.ndarray:
    """What differs in a part of a picture and has the form of an object."""
    places = [place for place in differing(np.where(part, differs, 0.0)) if is_compact(place)]
    return np.logical_or.reduce([np.zeros_like(part), *places])
