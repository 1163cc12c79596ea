"""Messages of one topic as rows of numbers, each with its time: the parts of `bag_streams`.

A message that makes no sense is left out and counted, with the reason of the first one.
"""

from __future__ import annotations

import array
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np

from wm_mpc.data.bag_joints import merged_columns
from wm_mpc.data.clock_offset import ClockOffset
from wm_mpc.data.resample import interpolate
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.reading import to_nanoseconds
from wm_mpc.spec import ImageSpec
from wm_mpc.units import SECOND


@dataclasses.dataclass
class Clock:
    """Turns messages into moments, ns. rule: one of `bag_config.STAMPS`. zero: header stamps that
    were 0, where the time of arrival is taken instead."""

    rule: str
    zero: int = 0

    def moment(self, message: Any, received: int) -> int:
        """When a message is of; without a stamp, when it arrived."""
        return self.stamp(message) or received

    def stamp(self, message: Any) -> int:
        """The stamp that counts, ns; 0 without one."""
        header = getattr(message, "header", None)
        if self.rule == "receive" or header is None:
            return 0
        stamp = to_nanoseconds(header.stamp)
        self.zero += stamp == 0
        return stamp


class Stream:
    """Rows of numbers that grow: moments and times of arrival (ns) and values (rows, size).

    read: messages; refused: those left out; reason: of the first of them.
    """

    def __init__(self, size: int, clock: Clock) -> None:
        self.size, self.clock = size, clock
        self.read = self.refused = 0
        self.reason = ""
        self._stamps, self._received = array.array("q"), array.array("q")
        self._values = array.array("d")
        self._moved: np.ndarray | None = None
        self._arrived: np.ndarray | None = None

    def add(self, message: Any, received: int, values: Callable[[], Any]) -> bool:
        """Take a message, of which `values()` makes a row; False when that raises MessageError."""
        self.read += 1
        try:
            row = values()
        except MessageError as error:
            self.refused += 1
            self.reason = self.reason or str(error)
            return False
        self._stamps.append(self.clock.stamp(message))
        self._received.append(received)
        self._values.extend(row)
        return True

    def stamped(self) -> tuple[np.ndarray, np.ndarray]:
        """Times of arrival and stamps of the messages that have a stamp: int64, ns."""
        stamps = np.array(self._stamps, np.int64)
        there = stamps != 0
        return self.received[there], stamps[there]

    def restamp(self, rows: np.ndarray, later: np.ndarray) -> None:
        """Move the stamps of some messages. rows: their numbers; later: int64, ns."""
        stamps = np.array(self._stamps, np.int64)
        stamps[rows] += np.where(stamps[rows] != 0, later, 0)
        self._stamps = array.array("q", stamps.tolist())

    @property
    def repeated(self) -> float:
        """Share of messages that have the stamp of the message before, and arrive later."""
        received, stamps = self.stamped()
        same = (np.diff(stamps) == 0) & (np.diff(received) > SECOND // 1000)
        return float(same.mean()) if len(same) else 0.0

    def move(self, clock: ClockOffset, home: ClockOffset) -> None:
        """Put all times on the clock `home`. clock: that of the stamps; both say how far they are
        behind the recorder's clock at each time of arrival."""
        received, stamps = self.received, np.array(self._stamps, np.int64)
        self._arrived = received - home(received)
        moved = stamps if clock is home else stamps + clock(received) - home(received)
        self._moved = np.where(stamps != 0, moved, self._arrived)

    @property
    def times(self) -> np.ndarray:
        """When each message is of: its stamp, or when it arrived; int64, ns."""
        if self._moved is not None:
            return self._moved
        stamps = np.array(self._stamps, np.int64)
        return np.where(stamps != 0, stamps, self.received)

    @property
    def arrived(self) -> np.ndarray:
        """When each message arrived, on the clock of `times`; int64, ns."""
        return self.received if self._arrived is None else self._arrived

    @property
    def received(self) -> np.ndarray:
        return np.array(self._received, np.int64)

    @property
    def values(self) -> np.ndarray:
        return np.array(self._values, np.float64).reshape(len(self._stamps), self.size)


class PictureStream(Stream):
    """A stream of pictures, kept in a file: `pictures` is uint8 (rows, height, width, 3)."""

    def __init__(self, spec: ImageSpec, clock: Clock, file: IO[bytes]) -> None:
        super().__init__(0, clock)
        self._shape, self._file = (spec.height, spec.width, 3), file

    def add_picture(self, message: Any, received: int, pixels: Callable[[], np.ndarray]) -> None:
        def spool() -> tuple[()]:
            self._file.write(pixels().tobytes())
            return ()

        self.add(message, received, spool)

    @property
    def pictures(self) -> np.ndarray:
        self._file.flush()
        return np.memmap(self._file, np.uint8, "r", shape=(self.read - self.refused, *self._shape))


class StateStream(Stream):
    """A stream of states. Those of joints may come in parts: what a message does not say is NaN.

    unknown: messages that name a joint without saying its number, by the state's name.
    """

    def __init__(self, size: int, clock: Clock) -> None:
        super().__init__(size, clock)
        self.unknown: Counter[str] = Counter()

    def publishers(self) -> list[tuple[list[int], np.ndarray]]:
        """Columns that come together, of one publisher each, and its messages (numbers); the one
        with the most columns first."""
        there = np.isfinite(self.values)
        together = there.T.astype(np.int64) @ there > 0
        found: list[tuple[list[int], np.ndarray]] = []
        left = list(range(self.size))
        while left:
            columns: set[int] = set()
            new = {left[0]}
            while new - columns:
                columns |= new
                new = {k for c in columns for k in np.flatnonzero(together[c]).tolist()} | columns
            left = [k for k in left if k not in columns]
            found.append((sorted(columns), np.flatnonzero(there[:, sorted(columns)].any(axis=1))))
        return sorted(found, key=lambda part: -len(part[0]))

    def interpolated(
        self, chosen: np.ndarray, at: np.ndarray, max_gap: int, angles: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The state at each moment from the chosen messages, ascending in time: float64 (moments,
        size), and whether all of it is known there: bool (moments,)."""
        times, values = self.times[chosen], self.values[chosen]
        result, known = np.zeros((len(at), self.size)), np.ones(len(at), bool)
        for columns, rows in merged_columns(values):
            wrapping = [k for k, column in enumerate(columns) if column in angles]
            part, valid = interpolate(times[rows], values[rows][:, columns], at, max_gap, wrapping)
            result[:, columns] = part
            known &= valid
        return result, known
