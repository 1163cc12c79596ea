"""Find a foreign object in a picture, so that the model can look past it.

An object that the recordings never showed draws the encoder's points to itself, and the robot seems
to be elsewhere. Here each place that the picture and its reconstruction differ in is covered in
turn, with what surrounds it, and the picture is encoded again. If the model then knows the rest of
the picture as well as usual, that place was the foreign object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from wm_mpc.control.foreign_doubt import ALIKE, doubted, hidden, object_at
from wm_mpc.control.looking import USUAL, Look, Looker
from wm_mpc.control.places import (
    connected,
    covered,
    differing,
    dilated,
    is_compact,
    is_everywhere,
    of_one_colour,
)
from wm_mpc.model.conditions import Conditions, ForeignObject
from wm_mpc.model.lighting import Light

LARGEST = 0.1  # share of a camera's picture that a foreign object may cover
_OBJECTS = 3  # at most
_PLACES = 3  # of each kind that are covered in turn, for each object
_LOOKS = 16  # at a picture, at most, so that no plan waits long
_THINGS = 3  # that may be mistaken for the object
_KNOWN = 2.0  # error up to which the other explanation counts
_APART = 0.5  # typical motions per model step; scenes that differ by more are two scenes
_DOUBTFUL = 2.0  # error from which on an object counts although there is a doubt
_BETTER = 0.85  # share of the error that must be left at most, for another object to be sought
_LEFT = 0.4  # share of the error that may be left at the end


class ForeignSearch:
    """Searches the pictures of one model. Not thread-safe.

    Args:
        looker: Looks at them. It knows light.
    """

    def __init__(self, looker: Looker) -> None:
        self._looker = looker
        self._left = 0  # looks in this search

    def find(self, image: np.ndarray, state: Tensor, plain: Look) -> Conditions | None:
        """Find a foreign object.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            plain: The look at it without a foreign object.

        Returns:
            The conditions with the object; None if no object explains the picture.
        """
        before = self._looker.error(plain)
        if before <= USUAL or is_everywhere(self._looker.outside(image, plain)):
            return None
        limit, self._left = min(USUAL, _LEFT * before), _LOOKS
        # With this light, then without any: the object may have been taken for light.
        lights: list[Light | None] = [plain.light]
        if not plain.light.is_neutral:
            lights.append(plain.conditions.light)
        doubtful: Conditions | None = None
        for light in lights:
            conditions = dataclasses.replace(plain.conditions, light=light)
            begin = plain
            if conditions.light is not plain.conditions.light:
                begin = self._looker.look(image, state, conditions)
            found = self._greedily(image, state, begin, limit)
            if found is not None and found.foreign is not None:
                if not found.foreign.doubt:
                    return found
                doubtful = doubtful or found
        return doubtful if before > _DOUBTFUL else None

    def _greedily(
        self, image: np.ndarray, state: Tensor, best: Look, limit: float
    ) -> Conditions | None:
        place: np.ndarray | None = None
        doubtful: Conditions | None = None
        for _ in range(_OBJECTS):
            known, new = best, place
            for look, there in self._attempts(image, state, known, place):
                error = self._looker.error(look)
                if error < self._looker.error(best):
                    best, new = look, there
                if error <= limit:
                    doubt = hidden(self._looker, look) or self._mistaken(image, state, look)
                    if not doubt:
                        return look.conditions
                    doubtful = doubtful or doubted(look.conditions, doubt)
            is_better = self._looker.error(best) <= _BETTER * self._looker.error(known)
            if doubtful is not None or not is_better or self._left <= 0:
                return doubtful
            place = new
        return None

    def _attempts(
        self, image: np.ndarray, state: Tensor, known: Look, before: np.ndarray | None
    ) -> Iterator[tuple[Look, np.ndarray]]:
        """Look at the picture with one more place covered, by what the model draws there or by what
        surrounds it; yields the place, too."""
        bare = dataclasses.replace(known.conditions, foreign=None)
        seen = bare.removed(image)
        differs = self._looker.outside(image, known)
        if before is not None:
            differs = np.where(before, 0.0, differs)
        tried: list[np.ndarray] = []
        for found in (
            *of_one_colour(seen, differs, _PLACES, LARGEST),
            *differing(differs)[:_PLACES],
        ):
            place = found if before is None else found | before
            foreign = self._object(place, known.drawn)
            if foreign is None or any((foreign.mask == other).all() for other in tried):
                continue
            tried.append(foreign.mask)
            for drawn in (known.drawn, covered(seen, foreign.mask)):
                if self._left <= 0:
                    return
                self._left -= 1
                conditions = dataclasses.replace(
                    bare, foreign=dataclasses.replace(foreign, drawn=drawn)
                )
                yield self._looker.look(image, state, conditions), place

    def _object(
        self, place: np.ndarray, drawn: np.ndarray, *, of_any_form: bool = False
    ) -> ForeignObject | None:
        """The object at a place, with a rim; None if it is too large or not compact."""
        for tile in self._looker.tiles:
            part = tile.of(place[..., None])[..., 0]
            if part.any() and not (of_any_form or is_compact(part)):
                return None
        found = object_at(self._looker, place, drawn)
        return found if found.share <= LARGEST else None

    def _mistaken(self, image: np.ndarray, state: Tensor, look: Look) -> str:
        """The doubt that the object is the robot, or what it moves, and what the model takes for
        that is the object: with that covered instead, the model knows the picture, too."""
        foreign = look.conditions.foreign
        assert foreign is not None
        bare = dataclasses.replace(look.conditions, foreign=None)
        seen, everywhere = bare.removed(image), np.ones_like(foreign.mask)
        things = connected(self._looker.rare(look, everywhere) & ~foreign.mask)
        for thing in things[:_THINGS]:
            other = self._object(dilated(thing, 1), look.drawn, of_any_form=True)
            if other is None:
                continue
            other = dataclasses.replace(other, drawn=covered(seen, other.mask))
            conditions = dataclasses.replace(bare, foreign=other)
            error = self._looker.error(self._looker.look(image, state, conditions))
            if error > _KNOWN:
                continue
            if self._looker.apart(conditions, look.conditions, image, state) > _APART:
                return ALIKE
        return ""
