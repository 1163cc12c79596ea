"""The latest values of things that change, for charts."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np


class History:
    """Rows of numbers from the last seconds, one column for each name.

    Args:
        names: Of the columns.
        seconds: How long a row is kept.
        longest: How many rows are kept at most.
    """

    def __init__(self, names: Sequence[str], seconds: float, longest: int = 1200) -> None:
        self.names = tuple(names)
        self._seconds = seconds
        self._rows: deque[tuple[float, ...]] = deque(maxlen=longest)

    def add(self, now: float, values: Sequence[float]) -> None:
        """Add a row.

        Args:
            now: In s. A row earlier than the last one means that the clock was set back: the rows
                so far are dropped.
            values: One for each name. A row without any finite number is left out.
        """
        if len(values) != len(self.names):
            raise ValueError(f"{len(values)} values for {len(self.names)} columns")
        if self._rows and now < self._rows[-1][0]:
            self._rows.clear()
        if any(math.isfinite(value) for value in values):
            self._rows.append((now, *values))

    def clear(self) -> None:
        self._rows.clear()

    def columns(self, now: float) -> tuple[np.ndarray, ...]:
        """Seconds before now (negative), and each column.

        Returns:
            Arrays of one length, at least two, so that a chart always has an extent. A number that
            is not known is the one before it, or the next one.
        """
        while self._rows and now - self._rows[0][0] > self._seconds:
            self._rows.popleft()
        if not self._rows:
            zeros = np.zeros(2)
            return (np.array([-self._seconds, 0.0]), *(zeros for _ in self.names))
        table = np.array(self._rows, np.float64)
        if len(table) == 1:
            table = np.vstack([table, table])
            table[0, 0] -= 1e-3
        return (table[:, 0] - now, *(_filled(column) for column in table[:, 1:].T))

    def __len__(self) -> int:
        return len(self._rows)


def _filled(column: np.ndarray) -> np.ndarray:
    """Gaps take the number before them, those at the beginning the first one; 0 without any."""
    known = np.flatnonzero(np.isfinite(column))
    if not len(known):
        return np.zeros_like(column)
    places = np.maximum.accumulate(np.where(np.isfinite(column), np.arange(len(column)), 0))
    filled: np.ndarray = column[np.maximum(places, known[0])]
    return filled
