"""How far a camera was bumped: by how many pixels its picture moved against the recordings.

What stands still in a picture tells it. The encoder's points move with the picture, so a
reconstruction shows movable things where the picture has them, and all else where it was in the
recordings. Where movable things fill the picture, the decoder's background alone tells it better.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from wm_mpc.model.lighting import Light
from wm_mpc.spec import Tile

_PARTS = 16  # the largest shift is the height of the picture divided by this
_CAP = 0.1  # of full brightness; a difference counts at most so much, so that a few cannot decide


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


@dataclasses.dataclass(frozen=True)
class Conditions:
    """How a picture differs from the recordings although the scene may be the same.

    Attributes:
        light: The light; None if it is unknown or usual, then it stays in the picture.
        shifts: How far the picture of each camera is moved.
        tiles: Where these pictures are in the joined one.
    """

    light: Light | None
    shifts: tuple[Shift, ...]
    tiles: tuple[Tile, ...]

    def removed(self, image: np.ndarray) -> np.ndarray:
        """Return a picture as it would be under the conditions of the recordings.

        Args:
            image: uint8 (height, width, 3) rgb.

        Returns:
            uint8 (height, width, 3) rgb.
        """
        image = moved_back(image, self.shifts, self.tiles)
        return image if self.light is None else self.light.removed(image)


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


def likeliest_shift(image: np.ndarray, known: np.ndarray) -> Shift | None:
    """Find the shift with which a known picture looks most like another one.

    All whole shifts up to a sixteenth of the picture's height are tried, and those a pixel beyond.
    The measure is the mean absolute difference in brightness, where a large difference counts like
    a medium one.

    Args:
        image: uint8 (height, width, 3) rgb.
        known: The reconstruction or the background, in the light of the picture, float32 (height,
            width, 3), about in [0, 1].

    Returns:
        The shift of the picture; None if it is beyond a sixteenth, or the picture is too small to
        tell.
    """
    height, width = image.shape[:2]
    reach = height // _PARTS + 1
    if reach < 2 or width <= 2 * reach:
        return None
    seen = np.ascontiguousarray(image.mean(-1, dtype=np.float32) / np.float32(255.0))
    still = np.ascontiguousarray(known.mean(-1, dtype=np.float32))
    seen = seen[reach:-reach, reach:-reach]
    apart = np.empty_like(seen)
    best, least = NO_SHIFT, np.inf
    span = range(-reach, reach + 1)
    for shift in (Shift(down, right) for down in span for right in span):
        rows = slice(reach - shift.down, height - reach - shift.down)
        columns = slice(reach - shift.right, width - reach - shift.right)
        np.subtract(seen, still[rows, columns], out=apart)
        np.minimum(np.abs(apart, out=apart), _CAP, out=apart)
        cost = float(apart.mean())
        if cost < least:
            best, least = shift, cost
    return best if best.size < reach else None
