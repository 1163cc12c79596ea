"""Places in a picture, as masks: where it differs, what has one colour, where something moves."""

from __future__ import annotations

import cv2
import numpy as np

SEEN = 0.07  # of full brightness; a pixel that differs by more may be of a foreign object
FEWEST = 6  # pixels of a place
_MOST = 12  # places that are looked at in a picture, so that a noisy one takes no longer
_EVERYWHERE = 0.35  # share of a picture
_INNER = 0.3  # share of a place's pixels, at least, that have only pixels of it around them
_SPAN = 0.4  # of the height and the width of a picture that a compact place may span
_COLOUR = 30  # grey levels; up to this difference, two pixels have one colour
_MOVES = 0.1  # of full brightness; where pictures of a plan differ by more, something moves
_CLEAR = 20  # the rim around what moves is as wide as the picture is high, divided by this
_ROUND = 3  # pixels; how far around it colours are taken from, to cover a place


def differing(outside: np.ndarray) -> list[np.ndarray]:
    """Find the connected places that differ.

    Args:
        outside: How much each pixel differs, float32 (height, width), in [0, 1].

    Returns:
        Places without holes, bool (height, width); the worst first.
    """
    differs = (outside > SEEN).astype(np.uint8)
    closed = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for outline in sorted(outlines, key=cv2.contourArea, reverse=True)[:_MOST]:
        filled = np.zeros(outside.shape, np.uint8)
        cv2.drawContours(filled, [outline], 0, 1, cv2.FILLED)
        if filled.sum() >= FEWEST:
            found.append(filled > 0)
    return sorted(found, key=lambda place: -squares(outside, place))


def of_one_colour(
    image: np.ndarray, outside: np.ndarray, most: int, largest: float
) -> list[np.ndarray]:
    """Find connected places of nearly one colour around the pixels that differ most.

    If the model draws something over a part of an object, that part does not differ. But it has the
    object's colour.

    Args:
        image: uint8 (height, width, 3) rgb.
        outside: As for `differing`.
        most: Largest number of places.
        largest: Largest share of the picture that a place may cover.

    Returns:
        Places, bool (height, width); the worst first.
    """
    smooth, left = cv2.blur(outside, (3, 3)), outside > SEEN
    picture = image.astype(np.int16)
    found: list[np.ndarray] = []
    for _ in range(_MOST):
        if len(found) == most or not left.any():
            break
        row, column = np.unravel_index(np.argmax(np.where(left, smooth, 0.0)), left.shape)
        alike = np.abs(picture - picture[row, column]).max(-1) <= _COLOUR
        _, labels = cv2.connectedComponents(alike.astype(np.uint8), connectivity=4)
        place = labels == labels[row, column]
        left &= ~dilated(place, 1)
        left[row, column] = False
        if FEWEST <= place.sum() <= largest * place.size:
            found.append(place)
    return found


def swept(pictures: np.ndarray) -> np.ndarray:
    """Find where something moves in pictures of a plan.

    Args:
        pictures: What the model draws at its beginning and later, float32 (n, height, width, 3).

    Returns:
        bool (height, width), with a rim.
    """
    later, first = pictures[1:], pictures[:1]
    changes = np.abs(later - first), np.abs(later - pictures[:-1])
    moves = np.any([change.max(-1).max(0) > _MOVES for change in changes], 0)
    return dilated(moves, max(1, len(moves) // _CLEAR))


def connected(mask: np.ndarray) -> list[np.ndarray]:
    """Return the connected parts of a mask (height, width) that are large enough to count; the
    largest first."""
    _, labels, sizes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = sizes[1:, cv2.CC_STAT_AREA]
    largest = np.argsort(-areas, kind="stable")[:_MOST]
    return [labels == each + 1 for each in largest if areas[each] >= FEWEST]


def is_everywhere(outside: np.ndarray) -> bool:
    """Whether so much of a picture differs that no object explains it.

    Args:
        outside: As for `differing`.
    """
    return float((outside > SEEN).mean()) > _EVERYWHERE


def is_compact(place: np.ndarray) -> bool:
    """Whether no part of a place (height, width) has the form of an edge or a strip, as where a
    bumped camera sees something moved."""
    number, labels = cv2.connectedComponents(place.astype(np.uint8), connectivity=4)
    for part in (labels == each for each in range(1, number)):
        inner = part.size - int(dilated(~part, 1).sum())
        rows, columns = (np.flatnonzero(part.any(axis)) for axis in (1, 0))
        spans = np.ptp(rows) / part.shape[0], np.ptp(columns) / part.shape[1]
        if inner < _INNER * part.sum() or max(spans) > _SPAN:
            return False
    return True


def squares(outside: np.ndarray, place: np.ndarray) -> float:
    """Return the sum of the squares of what differs in a place."""
    return float(np.square(outside[place]).sum())


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


def covered(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cover a place with what surrounds it.

    Args:
        image: uint8 (height, width, 3) rgb.
        mask: bool (height, width), the place.

    Returns:
        The picture, float32 (height, width, 3), in [0, 1].
    """
    flags = cv2.INPAINT_TELEA
    filled = cv2.inpaint(np.ascontiguousarray(image), mask.astype(np.uint8), _ROUND, flags)
    return filled.astype(np.float32) / np.float32(255.0)
