"""Whether commands are positions: the measured positions follow them."""

from __future__ import annotations

import numpy as np

_ALIKE = 0.8  # correlation of commanded and measured positions, at least
_SIZES = 3.0  # largest ratio of their spreads


def follow(commanded: np.ndarray, measured: np.ndarray) -> bool:
    """Return whether most measured numbers follow the commanded ones.

    Args:
        commanded: Actions, (moments, size).
        measured: Positions at the same moments, (moments, size).
    """
    finite = np.isfinite(commanded).all(1) & np.isfinite(measured).all(1)
    commanded, measured = commanded[finite], measured[finite]
    spreads = commanded.std(0), measured.std(0)
    moving = (spreads[0] > 1e-9) & (spreads[1] > 1e-9)
    if not moving.any():
        return False
    scaled = [(v - v.mean(0))[:, moving] / v.std(0)[moving] for v in (commanded, measured)]
    alike = (scaled[0] * scaled[1]).mean(0)
    sizes = np.abs(np.log(spreads[0][moving] / spreads[1][moving]))
    return bool(np.median(alike) > _ALIKE and np.median(sizes) < np.log(_SIZES))
