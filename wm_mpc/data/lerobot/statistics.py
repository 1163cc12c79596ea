"""The statistics that a LeRobot dataset carries: of each number, and of each colour."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow

_PICTURES = 20  # that count, of each episode
_TYPES = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_boolean)


@dataclasses.dataclass
class _Sums:
    low: np.ndarray
    high: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    count: int  # of values
    rows: int

    def result(self, shape: tuple[int, ...]) -> dict[str, Any]:
        mean = self.total / self.count
        deviation = np.sqrt(np.maximum(self.squares / self.count - mean**2, 0.0))
        values = {"min": self.low, "max": self.high, "mean": mean, "std": deviation}
        found = {name: value.reshape(shape).tolist() for name, value in values.items()}
        return found | {"count": [self.rows]}


class Statistics:
    """Collects minimum, maximum, mean and standard deviation of all columns."""

    def __init__(self) -> None:
        self._numbers: dict[str, _Sums] = {}
        self._pictures: dict[str, _Sums] = {}

    def add(self, table: pyarrow.Table, images: Mapping[str, np.ndarray]) -> None:
        """Add the rows of an episode.

        Args:
            table: The rows.
            images: Their pictures by column, uint8 (rows, height, width, 3).
        """
        for key in table.column_names:
            kind = table.schema.field(key).type
            if pyarrow.types.is_struct(kind):
                looks = images[key][:: max(1, len(images[key]) // _PICTURES)]
                pixels = looks.reshape(-1, 3) / 255.0
                self._add(self._pictures, key, pixels, len(looks))
            elif pyarrow.types.is_fixed_size_list(kind) or any(is_kind(kind) for is_kind in _TYPES):
                values = np.asarray(table.column(key).to_pylist(), np.float64)
                self._add(self._numbers, key, values.reshape(table.num_rows, -1), table.num_rows)

    def _add(self, sums: dict[str, _Sums], key: str, values: np.ndarray, rows: int) -> None:
        new = _Sums(
            values.min(0), values.max(0), values.sum(0), (values**2).sum(0), len(values), rows
        )
        old = sums.get(key)
        if old is not None:
            new = _Sums(
                np.minimum(old.low, new.low), np.maximum(old.high, new.high),
                old.total + new.total, old.squares + new.squares,
                old.count + new.count, old.rows + new.rows,
            )  # fmt: skip
        sums[key] = new

    def result(self) -> dict[str, Any]:
        """Return the statistics by column, as `meta/stats.json` has them."""
        numbers = {key: sums.result((-1,)) for key, sums in self._numbers.items()}
        pictures = {key: sums.result((3, 1, 1)) for key, sums in self._pictures.items()}
        return numbers | pictures
