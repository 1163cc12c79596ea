"""Whether a goal that came is the one that was there: pictures are repeated under new stamps by
programs that publish one at a rate, and with other noise by cameras. Knows nothing of ROS.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

_BLOCK = 5  # pixels: noise averages out over a block, a thing that has moved does not
_NOISE = 10.0  # of 255 levels, mean of a block


def same_picture(first: Any, second: Any) -> bool:
    """Whether two Image messages show the very same, whatever their stamps."""
    shape = ("height", "width", "encoding", "step", "is_bigendian")
    if any(getattr(first, name) != getattr(second, name) for name in shape):
        return False
    return bool(first.data == second.data)


def differs_by_noise(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two pictures, uint8 (height, width, 3) of one size, differ by no more than a camera's
    noise: nowhere do their means over 5 x 5 pixels differ by more than 10 of 255 levels. A dot of 4
    x 4 pixels that moves by one pixel changes them by more than that if it stands out by 65."""
    if first.shape != second.shape:
        return False
    change = cv2.blur(first.astype(np.float32) - second, (_BLOCK, _BLOCK))
    return bool(np.abs(change).max() <= _NOISE)
