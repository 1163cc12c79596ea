"""Decide whether a new goal is the same as the present one. Knows nothing of ROS.

Programs that publish a picture at a rate repeat it under new stamps. Cameras repeat a scene with
different noise.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

_BLOCK = 5  # pixels; noise averages out over a block, but a moved thing stays visible
_NOISE = 10.0  # of 255 levels; difference of the means of a block


def same_picture(first: Any, second: Any) -> bool:
    """Whether two Image messages hold the same pixels; stamps do not count.

    Args:
        first: An Image message.
        second: An Image message.
    """
    shape = ("height", "width", "encoding", "step", "is_bigendian")
    if any(getattr(first, name) != getattr(second, name) for name in shape):
        return False
    return bool(first.data == second.data)


def differs_by_noise(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two pictures differ by a camera's noise only.

    Their means over 5 x 5 pixels may differ by 10 of 255 levels at most. A dot of 4 x 4 pixels that
    moves by one pixel exceeds this if it stands out by 65 levels or more.

    Args:
        first: uint8 (height, width, 3).
        second: uint8 (height, width, 3).
    """
    if first.shape != second.shape:
        return False
    change = cv2.blur(first.astype(np.float32) - second, (_BLOCK, _BLOCK))
    return bool(np.abs(change).max() <= _NOISE)
