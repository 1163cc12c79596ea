"""The world frame of an environment that counts in pixels of its picture from above."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

FLIP = np.array([1.0, -1.0])  # rows of a picture count downwards


@dataclasses.dataclass(frozen=True)
class PixelFrame:
    """The origin is the middle of the picture, x points to the right and y up.

    Attributes:
        metres: Length of a pixel, m.
        centre: Column and row of the middle, pixels.
    """

    metres: float
    centre: float

    def to_metres(self, pixels: Any) -> np.ndarray:
        """Return a place in the world frame.

        Args:
            pixels: (2,) column and row.
        """
        return (np.asarray(pixels, np.float64) - self.centre) * self.metres * FLIP

    def to_pixels(self, place: Any) -> np.ndarray:
        """Return a place in the environment's frame; see `to_metres`.

        Args:
            place: (2,) m.
        """
        return np.asarray(place, np.float64) * FLIP / self.metres + self.centre
