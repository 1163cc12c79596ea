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
from wm_mpc.model.camera_shift import moved_back
from wm_mpc.model.conditions import Conditions

_LEFT = 0.4  # share of the error that may be left, if the object is seen clearly
_SHARE = 0.1  # of the squared error of the largest object; smaller parts were not seen clearly
_CLEAR = 0.25  # share of a place's pixels that may differ once nothing foreign is there
_ROUGH = 0.3  # a usual strange place from which on a model draws the things themselves roughly
_CLOSE = 2  # pixels; so close to a thing, such a model may draw a little wrong
_DIM = 0.3  # smallest gain that is divided by
_WHITE, _GREY = 0.98, 0.94  # of full brightness: white in a picture, not white in a reconstruction
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
        self._looker, known = looker, looker.model.familiarity
        usual = None if known is None else known.strange_place
        self._draws_roughly = usual is None or usual > _ROUGH

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
        found, error = before.place, self._looker.error(plain)
        if self._looker.error(look) <= _TOLD:
            found = self._unlike(image, look, found)
        if error > _TOLD:
            return found
        # The model may take the object for the robot; then it does not know the rest.
        is_right = error <= max(USUAL, self._looker.error(look))
        for part in connected(found):
            if is_right or not is_drawn(self._looker, plain, part):
                found = found & ~part | self._unlike(image, plain, part)
        return found

    def _unlike(self, image: np.ndarray, look: Look, place: np.ndarray) -> np.ndarray:
        """The parts of a place at which a picture does not look as the model draws it."""
        found = np.zeros_like(place)
        # In less light, everything differs less.
        dim = np.broadcast_to(look.light.gain, look.drawn.shape).min(-1).clip(_DIM, 1.0)
        differs = self._looker.outside(image, look) / dim
        if self._draws_roughly and self._looker.error(look) <= USUAL:
            things = self._looker.rare(look, dilated(place, _CLOSE))
            differs = np.where(dilated(things, _CLOSE), np.float32(0.0), differs)
        # Where the light makes the picture white, it tells nothing.
        seen = moved_back(image, look.conditions.shifts, self._looker.tiles)
        blind = (seen.min(-1) >= 255.0 * _WHITE) & (look.drawn.max(-1) < _GREY)
        for part in connected(place):
            is_clear = ((differs[part] > SEEN) | blind[part]).mean() < _CLEAR
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
        both, now = self._with(image, state, look, seen, place)
        if self._looker.error(now) <= USUAL:
            # The model knows this picture, so it tells which of the added places are clear.
            still = found.place | self._unlike(image, now, place & ~found.place)
            if (still == found.place).all():
                return seen
            if (still != place).any():
                both, now = self._with(image, state, look, seen, still)
        return doubted(both, found.doubt or self._doubt(now))

    def _with(
        self, image: np.ndarray, state: Tensor, look: Look, seen: Conditions, place: np.ndarray
    ) -> tuple[Conditions, Look]:
        """The conditions with objects at a place, and the look with these; see `joined`."""
        before, found = look.conditions.foreign, seen.foreign
        assert before is not None
        assert found is not None
        drawn = np.where(found.mask[..., None], found.drawn, before.drawn)
        foreign = object_at(self._looker, place, drawn)
        foreign = dataclasses.replace(foreign, doubt=before.doubt)
        both = dataclasses.replace(seen, foreign=foreign)
        return both, self._looker.look(image, state, both)

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
