"""The robot's state over time, and its value at the moment of an image.

A camera's image comes late, and the parts of a robot report at different rates: an arm at 1 kHz,
its gripper at 20 Hz, each in its own messages. So each entry of the state has its own history. A
state is interpolated for a moment: linearly between the measurements before and after it, as in the
import of recordings (`wm_mpc.data.resample.interpolate`). This module knows nothing of ROS. Times
are integer nanoseconds of the clock of the stamps, unless the text names seconds of a steady clock.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from wm_mpc.units import SECOND, STAMP_TOLERANCE, wrapped

_MOST = 20_000  # measurements that are kept of each entry
_MARGIN = 1.0  # s of history that are kept in addition
_LATE = SECOND // 10  # a measurement that is older than the newest by more than this is late
_ALL_LATE = 10  # so many late measurements in a row mean that the clock went back
_LONGEST_GAP = SECOND // 2  # longest gap for interpolation, as in the import
_RECENT = 9  # measurements whose median interval counts


@dataclasses.dataclass(frozen=True)
class StateAt:
    """The robot's state at a moment.

    Attributes:
        values: float32 (state size,), each entry in its unit.
        stamp: Moment of the state, ns. This is the wanted moment, or the stamp of the measurement
            furthest from it if interpolation was impossible.
        offset: Time from the wanted moment to the nearest measurement of `entry`, s. Below 0: the
            measurement is older.
        entry: Name of the entry whose nearest measurement is furthest away.
        every: Interval between measurements of `entry`, s; NaN if unknown.
        newest: Stamp of the last measurement of `silent`, ns.
        received: When that measurement arrived, s of a steady clock.
        silent: Name of the entry that has been silent for longest.
    """

    values: np.ndarray
    stamp: int
    offset: float
    entry: str
    every: float
    newest: int
    received: float
    silent: str


class _Track:
    """The measurements of one entry, by stamp."""

    def __init__(self) -> None:
        self.stamps: deque[int] = deque()
        self.values: deque[float] = deque()
        self.received = -math.inf
        self._late = 0  # in a row

    def add(self, stamp: int, value: float, received: float, span: int) -> None:
        stamps = self.stamps
        self.received = received
        if not stamps or stamp > stamps[-1]:
            stamps.append(stamp)
            self.values.append(value)
            self._late = 0
        else:
            self._insert(stamp, value)
        if stamps[0] < stamp - span or len(stamps) > _MOST:
            self._trim(span)

    def _trim(self, span: int) -> None:
        """Drop measurements older than `span` ns, but keep one of them for interpolation."""
        stamps, values = self.stamps, self.values
        while len(stamps) > _MOST or (len(stamps) > 2 and stamps[1] < stamps[-1] - span):
            stamps.popleft()
            values.popleft()

    def _insert(self, stamp: int, value: float) -> None:
        """Add a late measurement. It was overtaken, another node repeated it, or the clock went
        back."""
        stamps, values = self.stamps, self.values
        self._late += stamp < stamps[-1] - _LATE
        if self._late >= _ALL_LATE or (self._late and stamp < stamps[0]):
            while stamps and stamps[-1] >= stamp:
                stamps.pop()
                values.pop()
            self._late = 0
        index = bisect_right(stamps, stamp)
        if index and stamps[index - 1] == stamp:
            values[index - 1] = value
        else:
            stamps.insert(index, stamp)
            values.insert(index, value)

    def around(self, stamp: int) -> tuple[int, float, int, float]:
        """The measurements (stamp, value) before (or at) and after a moment; the same twice at the
        ends."""
        index = bisect_right(self.stamps, stamp + STAMP_TOLERANCE)
        before, after = max(0, index - 1), min(index, len(self.stamps) - 1)
        if abs(self.stamps[before] - stamp) <= STAMP_TOLERANCE:
            after = before
        return self.stamps[before], self.values[before], self.stamps[after], self.values[after]

    def every(self) -> float:
        """Median interval of the latest measurements, s; NaN before the second."""
        count = min(len(self.stamps), _RECENT)
        if count < 2:
            return math.nan
        latest = [self.stamps[k] for k in range(-count, 0)]
        apart = sorted(b - a for a, b in itertools.pairwise(latest))
        return (apart[(count - 2) // 2] + apart[(count - 1) // 2]) / 2 / SECOND


class StateHistory:
    """The measurements of all entries of a state. Not thread-safe.

    Args:
        names: Names of the entries.
        angles: Names of the entries that wrap at +-pi rad. Between two measurements they go the
            short way. Their values lie between -pi and pi.

    Attributes:
        names: Names of the entries.
    """

    def __init__(self, names: Sequence[str], angles: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self._angles = [self.names.index(name) for name in angles]
        self._span = round(2 * _MARGIN * SECOND)
        self.forget()

    def forget(self) -> None:
        """Forget all measurements."""
        self._tracks = {name: _Track() for name in self.names}
        self._faults: dict[str, str] = {}

    def keep(self, seconds: float) -> None:
        """Set how long measurements are kept.

        Args:
            seconds: Largest age of a moment that `at` will be called with, s.
        """
        self._span = round((seconds + _MARGIN) * SECOND)

    def add(self, stamp: int, received: float, values: Mapping[str, float]) -> None:
        """Note measurements of some entries at one moment.

        Args:
            stamp: The moment, ns.
            received: When they arrived, s of a steady clock.
            values: Values by name, each in its unit.
        """
        for name, value in values.items():
            self._tracks[name].add(stamp, value, received, self._span)
        if self._faults:
            for name in values:
                self._faults.pop(name, None)

    def refuse(self, faults: Mapping[str, str]) -> None:
        """Note measurements that arrived but cannot be used.

        Args:
            faults: What is wrong with them, by name of the entry.
        """
        self._faults.update(faults)

    def fault(self, name: str) -> str:
        """Say what was wrong with the last measurement of an entry; empty if it was good.

        Args:
            name: Name of the entry.
        """
        return self._faults.get(name, "")

    def missing(self) -> list[str]:
        """Return the names of the entries that were never measured."""
        return [name for name, track in self._tracks.items() if not track.stamps]

    def is_told(self, stamp: int) -> bool:
        """Whether each entry was measured at a moment or after it.

        Args:
            stamp: The moment, ns.
        """
        return all(
            track.stamps and track.stamps[-1] >= stamp - STAMP_TOLERANCE
            for track in self._tracks.values()
        )

    def is_coming(self, stamp: int, now: float, within: float) -> bool:
        """Whether missing measurements of a moment may still arrive in time.

        Some entries are measured rarely. If such an entry was measured just before, waiting for it
        does not help.

        Args:
            stamp: The moment, ns.
            now: The time, s of the steady clock.
            within: Longest wait, s.
        """
        lacking = [t for t in self._tracks.values() if not t.stamps or t.stamps[-1] < stamp]
        return any(not (track.received + track.every() > now + within) for track in lacking)

    def at(self, stamp: int) -> StateAt | None:
        """Return the state at a moment.

        Args:
            stamp: The moment, ns.

        Returns:
            The state; None if the robot has no state, or if an entry was never measured.
        """
        if not self.names or self.missing():
            return None
        # Entry by entry: for so few numbers, arrays take several times longer, before each plan.
        values, worst, lines = [], ("", 0), True
        for index, (name, track) in enumerate(self._tracks.items()):
            before, first, after, second = track.around(stamp)
            nearest_is_after = abs(after - stamp) < abs(before - stamp)
            offset = (after if nearest_is_after else before) - stamp
            if not worst[0] or abs(offset) > abs(worst[1]):
                worst = name, offset
            gap = after - before
            is_line = gap <= _LONGEST_GAP and after >= stamp - STAMP_TOLERANCE
            is_line = is_line and before <= stamp + STAMP_TOLERANCE
            lines = lines and is_line
            share = float(nearest_is_after)
            if is_line:
                share = min(max((stamp - before) / gap, 0.0), 1.0) if gap > 0 else 0.0
            if index in self._angles:
                values.append(wrapped(first + share * wrapped(second - first)))
            else:
                values.append(first + share * (second - first))
        entry, offset = worst
        silent = min(self._tracks, key=lambda name: self._tracks[name].received)
        return StateAt(
            np.array(values, np.float32),
            stamp if lines else stamp + offset,
            offset / SECOND,
            entry,
            self._tracks[entry].every(),
            self._tracks[silent].stamps[-1],
            self._tracks[silent].received,
            silent,
        )
