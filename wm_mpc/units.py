"""Units that several parts of the package share. Times are integer nanoseconds."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

Angles = TypeVar("Angles", float, np.ndarray)

SECOND = 1_000_000_000  # ns
STAMP_TOLERANCE = 1_000  # ns; allows for a stamp that was converted to a float and back


def wrapped(angles: Angles) -> Angles:
    """Wrap angles into [-pi, pi).

    Args:
        angles: A number, or an array of any shape; rad.
    """
    return (angles + math.pi) % (2.0 * math.pi) - math.pi
