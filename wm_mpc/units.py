"""Units that several parts of the package share. Times are integer nanoseconds."""

from __future__ import annotations

import numpy as np

SECOND = 1_000_000_000  # ns
STAMP_TOLERANCE = 1_000  # ns; forgives a stamp that went through a float


def wrapped(angles: np.ndarray) -> np.ndarray:
    """Angles (rad, any shape) between -pi and pi."""
    return (angles + np.pi) % (2.0 * np.pi) - np.pi
