"""Find a foreign object in a picture, so that the model can look past it.

An object that the recordings never showed draws the encoder's points to itself, and the robot seems
to be elsewhere. Here each place that the picture and its reconstruction differ in is covered in
turn, with what surrounds it, and the picture is encoded again. If the model then knows the rest of
the picture as well as usual, that place was the foreign object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np
from torch import Tensor

from wm_mpc.control.looking import Look, Looker
from wm_mpc.model.conditions import Conditions, ForeignObject
from wm_mpc.model.lighting import Light

_SEEN = 0.07  # of full brightness; a pixel that differs by more may be of a foreign object
_FEWEST = 6  # pixels of a foreign object
LARGEST = 0.1  # share of a camera's picture that a foreign object may cover
USUAL = 1.2  # error up to which the model knows a picture, in multiples of what is usual
_RIM = 32  # the rim around an object is as wide as the picture is high, divided by this
_OBJECTS = 3  # at most
_PLACES = 3  # of each kind that are covered in turn, for each object
_INNER = 0.3  # share of an object's pixels, at least, that have only pixels of it around them
_SPAN = 0.4  # of the height and the width of a camera's picture that an object may span
_COLOUR = 30  # grey levels; up to this difference, two pixels have one colour
_HIDING = 2.0  # error from which on an object may hide something that counts
_BETTER = 0.85  # share of the error that must be left at most, for another object to be sought
_LEFT = 0.4  # share of the error that may be left at the end
_SHARE = 0.1  # of the squared error of the largest object; smaller parts are no objects
_MOVES = 0.1  # of full brightness; where pictures of a plan differ by more, something moves
_CLEAR = 20  # the rim around what moves, as `_RIM`
_FEW = 3  # pixels of a thing that do not count
_ROUND = 3  # pixels; how far around it colours are taken from, to cover a place


class ForeignSearch:
    """Searches the pictures of one model. Not thread-safe.

    Args:
        looker: Looks at them. It knows light.
    """

    def __init__(self, looker: Looker) -> None:
        self._looker = looker

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
        if before <= USUAL:
            return None
        limit = min(USUAL, _LEFT * before)
        lights: list[Light | None] = [
            plain.light
        ]  # then without any: the object may have been taken for light
        if not plain.light.is_neutral:
            lights.append(plain.conditions.light)
        hiding: Conditions | None = None
        for light in lights:
            conditions = dataclasses.replace(plain.conditions, light=light)
            begin = plain
            if conditions.light is not plain.conditions.light:
                begin = self._looker.look(image, state, conditions)
            found = self._greedily(image, state, begin, limit)
            if found is not None and found.foreign is not None:
                if not found.foreign.hides_things:
                    return found
                hiding = hiding or found
        return hiding if before > _HIDING else None

    def followed(self, image: np.ndarray, look: Look, plain: Look) -> Conditions | None:
        """Follow the foreign object of the picture before.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            look: The look at it without what was covered then.
            plain: The look at it as it is.

        Returns:
            The conditions with the place of the object as it is now; None if it is gone, or no
            longer explains the picture.
        """
        before = look.conditions.foreign
        assert before is not None
        if self._looker.error(look) > min(USUAL, _LEFT * self._looker.error(plain)):
            return None
        differs = self._looker.outside(image, look)
        parts = _by_error(np.where(dilated(before.mask, 1), differs, 0.0))
        if not parts:
            return None
        least = _SHARE * _squares(differs, parts[0])
        mask = np.logical_or.reduce([p for p in parts if _squares(differs, p) >= least])
        return self._behind(look, mask)

    def _greedily(
        self, image: np.ndarray, state: Tensor, best: Look, limit: float
    ) -> Conditions | None:
        place: np.ndarray | None = None
        hiding: Conditions | None = None
        for _ in range(_OBJECTS):
            before, least = best, self._looker.error(best)
            for look, covered in self._attempts(image, state, before, place):
                error = self._looker.error(look)
                if error < least:
                    best, least, new = look, error, covered
                if error <= limit:
                    found = self._behind(look, covered)
                    if found is not None and found.foreign is not None:
                        if not found.foreign.hides_things:
                            return found
                        hiding = hiding or found
            if hiding is not None or least > _BETTER * self._looker.error(before):
                return hiding
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
        for found in (*_of_one_colour(seen, differs), *_by_error(differs)[:_PLACES]):
            place = found if before is None else found | before
            foreign = self._object(place, known.drawn)
            if foreign is None or any((foreign.mask == other).all() for other in tried):
                continue
            tried.append(foreign.mask)
            for drawn in (known.drawn, _covered(seen, foreign.mask)):
                covered = dataclasses.replace(foreign, drawn=drawn)
                conditions = dataclasses.replace(bare, foreign=covered)
                yield self._looker.look(image, state, conditions), place

    def _object(self, place: np.ndarray, drawn: np.ndarray) -> ForeignObject | None:
        """The object at a place, with a rim; None if it is too large or not compact."""
        share, wide = 0.0, np.zeros_like(place)
        for tile in self._looker.tiles:
            part = tile.of(place[..., None])[..., 0]
            if part.any() and not _is_compact(part):
                return None
            share = max(share, float(part.mean()))
            rim = max(1, tile.height // _RIM)
            tile.of(wide[..., None])[..., 0] = dilated(part, rim)
        return ForeignObject(place, wide, drawn, share) if share <= LARGEST else None

    def _behind(self, look: Look, place: np.ndarray) -> Conditions | None:
        """Cover an object with what the model draws behind it; None if it is too large."""
        foreign = self._object(place, look.drawn)
        if foreign is None:
            return None
        hides = self._looker.rare(look, foreign.mask) > _FEW
        foreign = dataclasses.replace(foreign, hides_things=hides)
        return dataclasses.replace(look.conditions, foreign=foreign)


def swept(pictures: np.ndarray) -> np.ndarray:
    """Find where something moves in pictures of a plan.

    Args:
        pictures: What the model draws at its beginning and later, float32 (n, height, width, 3).

    Returns:
        bool (height, width), with a rim.
    """
    changed = np.abs(pictures[1:] - pictures[:1]).max(-1).max(0) > _MOVES
    return dilated(changed, max(1, len(changed) // _CLEAR))


def _places(outside: np.ndarray) -> np.ndarray:
    """Where a picture differs, without small gaps, bool (height, width)."""
    differs = (outside > _SEEN).astype(np.uint8)
    return cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0


def _by_error(outside: np.ndarray) -> list[np.ndarray]:
    """The connected places that differ, without holes, masks (height, width); the worst first."""
    outlines, _ = cv2.findContours(
        _places(outside).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    masks = []
    for number in range(len(outlines)):
        mask = np.zeros(outside.shape, np.uint8)
        cv2.drawContours(mask, outlines, number, 1, cv2.FILLED)
        if mask.sum() >= _FEWEST:
            masks.append(mask > 0)
    return sorted(masks, key=lambda mask: -_squares(outside, mask))


def _of_one_colour(image: np.ndarray, outside: np.ndarray) -> list[np.ndarray]:
    """Connected places of nearly one colour around the pixels that differ most, masks (height,
    width); the worst first. What the model draws over a part of an object does not matter here."""
    smooth, left = cv2.blur(outside, (3, 3)), (outside > _SEEN)
    picture = image.astype(np.int16)
    places: list[np.ndarray] = []
    while len(places) < _PLACES and left.any():
        row, column = np.unravel_index(np.argmax(np.where(left, smooth, 0.0)), left.shape)
        alike = np.abs(picture - picture[row, column]).max(-1) <= _COLOUR
        _, labels = cv2.connectedComponents(alike.astype(np.uint8), connectivity=4)
        place = labels == labels[row, column]
        left &= ~dilated(place, 1)
        left[row, column] = False
        if _FEWEST <= place.sum() <= LARGEST * place.size:
            places.append(place)
    return places


def _is_compact(place: np.ndarray) -> bool:
    """Whether no part of a place has the form of an edge or a strip, as where a bumped camera sees
    something moved."""
    number, labels = cv2.connectedComponents(place.astype(np.uint8), connectivity=4)
    for part in (labels == each for each in range(1, number)):
        inner = part.size - int(dilated(~part, 1).sum())
        rows, columns = (np.flatnonzero(part.any(axis)) for axis in (1, 0))
        spans = np.ptp(rows) / part.shape[0], np.ptp(columns) / part.shape[1]
        if inner < _INNER * part.sum() or max(spans) > _SPAN:
            return False
    return True


def _squares(outside: np.ndarray, mask: np.ndarray) -> float:
    return float(np.square(outside[mask]).sum())


def dilated(mask: np.ndarray, radius: int) -> np.ndarray:
    """Widen a mask.

    Args:
        mask: bool (height, width).
        radius: By so many pixels to each side.

    Returns:
        bool (height, width).
    """
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def _covered(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A picture with a place covered by what surrounds it, float32 (height, width, 3)."""
    flags = cv2.INPAINT_TELEA
    covered = cv2.inpaint(np.ascontiguousarray(image), mask.astype(np.uint8), _ROUND, flags)
    return covered.astype(np.float32) / np.float32(255.0)
