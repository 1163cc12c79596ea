"""Units that several parts of the package share. Times are integer nanoseconds."""

from __future__ import annotations

import numpy as np

SECOND = 1_000_000_000  # ns
STAMP_TOLERANCE = 1_000  # ns; allows for a stamp that was converted to a float and back


def wrapped(angles: np.ndarray) -> np.ndarray:
    """Wrap angles into [-pi, pi).

    Args:
        angles: Any shape, rad.
    """
    return (angles + np.pi) % (2.0 * np.pi) - np.pi
