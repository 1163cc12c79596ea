"""Correlations of two signals at all delays up to a largest one."""

from __future__ import annotations

import numpy as np


def correlations(cause: np.ndarray, effect: np.ndarray, most: int) -> np.ndarray:
    """Correlate a signal with another one that is k moments later.

    Args:
        cause: float (moments,).
        effect: float (moments,).
        most: Largest delay, moments.

    Returns:
        float64 (2 most + 1,), for k from -most to most; 0 where either signal does not change.
    """
    result = np.zeros(2 * most + 1)
    count = len(cause)
    for k in range(-most, most + 1):
        a = cause[max(0, -k) : count - max(0, k)]
        b = effect[max(0, k) : count - max(0, -k)]
        spread = a.std() * b.std()
        if spread > 1e-9:
            result[k + most] = ((a - a.mean()) * (b - b.mean())).mean() / spread
    return result
