"""How far a camera was bumped: by how many pixels its picture moved against the recordings.

What stands still in a picture tells it. The encoder's points move with the picture, so a
reconstruction shows movable things where the picture has them, and all else where it was in the
recordings. Where movable things fill the picture, the decoder's background alone tells it better.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from wm_mpc.spec import Tile

_PARTS = 16  # the largest shift is the height of the picture divided by this
_CAP = 0.1  # of full brightness; a difference counts at most so much, so that a few cannot decide
_LARGE = 80  # rows; a larger picture is first searched in half its size


@dataclasses.dataclass(frozen=True)
class Shift:
    """Whole pixels by which a picture is moved against the recordings.

    Attributes:
        down: Pixels towards the lower edge.
        right: Pixels towards the right edge.
    """

    down: int = 0
    right: int = 0

    @property
    def size(self) -> int:
        """The larger of both distances, pixels."""
        return max(abs(self.down), abs(self.right))

    def is_near(self, other: Shift) -> bool:
        """Whether both differ by at most a pixel in each direction.

        Args:
            other: Another shift.
        """
        return max(abs(self.down - other.down), abs(self.right - other.right)) <= 1

    def undone(self, image: np.ndarray) -> np.ndarray:
        """Move a picture back. Edges are repeated.

        Args:
            image: (height, width, ...).

        Returns:
            A new picture of the same shape; `image` itself if there is no shift.
        """
        if not self.size:
            return image
        height, width = image.shape[:2]
        rows = (np.arange(height) + self.down).clip(0, height - 1)
        columns = (np.arange(width) + self.right).clip(0, width - 1)
        moved: np.ndarray = image[rows[:, None], columns]
        return moved

    def __str__(self) -> str:
        vertical = f"{abs(self.down)} px {'down' if self.down > 0 else 'up'}"
        horizontal = f"{abs(self.right)} px {'right' if self.right > 0 else 'left'}"
        parts = [vertical] * bool(self.down) + [horizontal] * bool(self.right)
        return " and ".join(parts) or "none"


NO_SHIFT = Shift()


def moved_back(image: np.ndarray, shifts: Sequence[Shift], tiles: Sequence[Tile]) -> np.ndarray:
    """Undo the shift of each camera.

    Args:
        image: The joined picture, (height, width, ...).
        shifts: The shift of each camera.
        tiles: Where their pictures are in the joined one.

    Returns:
        A new joined picture; `image` itself if there is no shift.
    """
    if not any(shift.size for shift in shifts):
        return image
    moved = image.copy()
    for shift, tile in zip(shifts, tiles, strict=True):
        tile.of(moved)[...] = shift.undone(tile.of(image))
    return moved


def largest_shift(height: int) -> int:
    """Return the largest shift that is believed, pixels.

    Args:
        height: Height of the picture, pixels.
    """
    return height // _PARTS


def likeliest_shift(image: np.ndarray, known: np.ndarray) -> Shift | None:
    """Find the shift with which a known picture looks most like another one.

    All whole shifts up to a sixteenth of the picture's height are tried, and those a pixel beyond;
    of a large picture first in one of half the size. The measure is `apart`, of brightness.

    Args:
        image: uint8 (height, width, 3) rgb.
        known: The reconstruction or the background, in the light of the picture, float32 (height,
            width, 3), about in [0, 1].

    Returns:
        The shift of the picture; None if it is beyond a sixteenth, or the picture is too small to
        tell.
    """
    seen = image.mean(-1, dtype=np.float32) / np.float32(255.0)
    reach = largest_shift(image.shape[0]) + 1
    if reach < 2 or image.shape[1] <= 2 * reach:
        return None
    found = _likeliest(seen, known.mean(-1, dtype=np.float32), reach)
    return found if found.size < reach else None


def _likeliest(seen: np.ndarray, known: np.ndarray, reach: int) -> Shift:
    """The likeliest of all shifts up to `reach` pixels, of pictures (height, width)."""
    around, radius = NO_SHIFT, reach
    if seen.shape[0] > _LARGE:
        half = _likeliest(_halved(seen), _halved(known), reach // 2 + 1)
        around, radius = Shift(2 * half.down, 2 * half.right), 1
    edge = radius + around.size
    height, width = seen.shape
    inside = seen[edge:-edge, edge:-edge]
    best, least = NO_SHIFT, np.inf
    span = range(-radius, radius + 1)
    for down, right in itertools.product(span, span):
        shift = Shift(around.down + down, around.right + right)
        rows = slice(edge - shift.down, height - edge - shift.down)
        columns = slice(edge - shift.right, width - edge - shift.right)
        cost = _capped(inside - known[rows, columns])
        if cost < least:
            best, least = shift, cost
    return best


def _capped(difference: np.ndarray) -> float:
    """The mean absolute difference, where a large one counts like a medium one."""
    return float(np.minimum(np.abs(difference), _CAP).mean())


def _halved(picture: np.ndarray) -> np.ndarray:
    """The means over squares of two by two pixels, of a picture (height, width)."""
    height, width = (size // 2 * 2 for size in picture.shape)
    rows = picture[:height:2] + picture[1:height:2]
    halved: np.ndarray = (rows[:, :width:2] + rows[:, 1:width:2]) / np.float32(4.0)
    return halved


def apart(image: np.ndarray, known: np.ndarray, border: int) -> float:
    """Measure how unlike two pictures are.

    Args:
        image: uint8 (height, width, 3) rgb.
        known: float32 (height, width, 3), about in [0, 1].
        border: So many pixels at each side do not count, at least 1.

    Returns:
        Mean absolute difference, where a large one counts like a medium one (0.1).
    """
    inside = np.s_[border:-border, border:-border]
    return _capped(image[inside] * np.float32(1.0 / 255.0) - known[inside])
