"""Messages of one topic as rows of numbers with times: the parts of `bag_streams`.

An invalid message is left out and counted; the reason of the first one is kept.
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
    """Turns messages into times, ns.

    Attributes:
        rule: One of `bag_config.STAMPS`.
        zero: Number of header stamps that were 0 and were replaced by the arrival time.
    """

    rule: str
    zero: int = 0

    def moment(self, message: Any, received: int) -> int:
        """Return the stamp of a message, or its arrival time without one, ns.

        Args:
            message: The message.
            received: Arrival time, ns.
        """
        return self.stamp(message) or received

    def stamp(self, message: Any) -> int:
        """Return the stamp of a message, ns; 0 without one.

        Args:
            message: The message.
        """
        header = getattr(message, "header", None)
        if self.rule == "receive" or header is None:
            return 0
        stamp = to_nanoseconds(header.stamp)
        self.zero += stamp == 0
        return stamp


class Stream:
    """Rows of numbers with times.

    Attributes:
        size: Numbers in a row.
        clock: Turns messages into times.
        read: Number of messages.
        refused: Number of messages that were left out.
        reason: Why the first of them was left out.
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
        """Add a message.

        Args:
            message: The message.
            received: Arrival time, ns.
            values: Makes its row, and raises MessageError for an invalid message.

        Returns:
            Whether the message is valid.
        """
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
        """Return arrival times and stamps of the messages that have a stamp, int64, ns."""
        stamps = np.array(self._stamps, np.int64)
        there = stamps != 0
        return self.received[there], stamps[there]

    def restamp(self, rows: np.ndarray, later: np.ndarray) -> None:
        """Move the stamps of some messages.

        Args:
            rows: Numbers of the messages, int64 (rows,).
            later: Time to add to each stamp, int64 (rows,), ns.
        """
        stamps = np.array(self._stamps, np.int64)
        stamps[rows] += np.where(stamps[rows] != 0, later, 0)
        self._stamps = array.array("q", stamps.tolist())

    @property
    def repeated(self) -> float:
        """Share of messages that repeat the stamp of the message before, but arrive later; 0 to
        1."""
        received, stamps = self.stamped()
        same = (np.diff(stamps) == 0) & (np.diff(received) > SECOND // 1000)
        return float(same.mean()) if len(same) else 0.0

    def move(self, clock: ClockOffset, home: ClockOffset) -> None:
        """Put all times on the clock `home`.

        Args:
            clock: Offset of the clock that made the stamps, received minus stamp.
            home: Offset of the clock to use, received minus stamp.
        """
        received, stamps = self.received, np.array(self._stamps, np.int64)
        self._arrived = received - home(received)
        moved = stamps if clock is home else stamps + clock(received) - home(received)
        self._moved = np.where(stamps != 0, moved, self._arrived)

    @property
    def times(self) -> np.ndarray:
        """Time of each message, its stamp or else its arrival, int64 (rows,), ns."""
        if self._moved is not None:
            return self._moved
        stamps = np.array(self._stamps, np.int64)
        return np.where(stamps != 0, stamps, self.received)

    @property
    def arrived(self) -> np.ndarray:
        """Arrival time of each message on the clock of `times`, int64 (rows,), ns."""
        return self.received if self._arrived is None else self._arrived

    @property
    def received(self) -> np.ndarray:
        """Arrival time of each message on the recorder's clock, int64 (rows,), ns."""
        return np.array(self._received, np.int64)

    @property
    def values(self) -> np.ndarray:
        """The rows, float64 (rows, size)."""
        return np.array(self._values, np.float64).reshape(len(self._stamps), self.size)


class PictureStream(Stream):
    """A stream of images, which are kept in a file."""

    def __init__(self, spec: ImageSpec, clock: Clock, file: IO[bytes]) -> None:
        super().__init__(0, clock)
        self._shape, self._file = (spec.height, spec.width, 3), file

    def add_picture(self, message: Any, received: int, pixels: Callable[[], np.ndarray]) -> None:
        """Add an image.

        Args:
            message: The message.
            received: Arrival time, ns.
            pixels: Makes its pixels, uint8 (height, width, 3), and raises MessageError for an
                invalid message.
        """

        def spool() -> tuple[()]:
            self._file.write(pixels().tobytes())
            return ()

        self.add(message, received, spool)

    @property
    def pictures(self) -> np.ndarray:
        """The images, uint8 (rows, height, width, 3), memory-mapped."""
        self._file.flush()
        return np.memmap(self._file, np.uint8, "r", shape=(self.read - self.refused, *self._shape))


class StateStream(Stream):
    """A stream of states. Joints may come in several messages; missing values are NaN.

    Attributes:
        unknown: Number of messages that name a joint without a finite number, by entry of the
            state.
    """

    def __init__(self, size: int, clock: Clock) -> None:
        super().__init__(size, clock)
        self.unknown: Counter[str] = Counter()

    def publishers(self) -> list[tuple[list[int], np.ndarray]]:
        """Return the columns that come together from one publisher, and the numbers of its
        messages.

        Returns:
            One pair per publisher; the one with the most columns comes first.
        """
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
        """Interpolate the state at some moments.

        Args:
            chosen: Numbers of the messages to use, ascending in time.
            at: Moments, int64 (moments,), ns.
            max_gap: Longest time between two messages over which to interpolate, ns.
            angles: Columns in rad that wrap.

        Returns:
            States, float64 (moments, size), and whether all of a state is known, bool (moments,).
        """
        times, values = self.times[chosen], self.values[chosen]
        result, known = np.zeros((len(at), self.size)), np.ones(len(at), bool)
        for columns, rows in merged_columns(values):
            wrapping = [k for k, column in enumerate(columns) if column in angles]
            part, valid = interpolate(times[rows], values[rows][:, columns], at, max_gap, wrapping)
            result[:, columns] = part
            known &= valid
        return result, known
