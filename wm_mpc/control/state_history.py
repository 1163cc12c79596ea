"""The robot's state over time, and what it was at the moment an image was taken.

A camera's picture comes late, and a robot's parts speak at rates of their own: an arm at 1 kHz, its
gripper at 20 Hz, each in messages of its own. So every entry of the state has a history of its own
here, and a state is put together for a moment: on the straight line between the measurements before
and after it, as the import of recordings does (`wm_mpc.data.resample.interpolate`). Knows nothing
of ROS. Times are integer nanoseconds of the clock of the stamps, unless they are said to be seconds
of a steady clock.
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

_MOST = 20_000  # measurements of an entry that are kept
_MARGIN = 1.0  # s, that is kept beyond what is asked for
_LATE = SECOND // 10  # how much older than the newest a measurement is that counts as late
_ALL_LATE = 10  # late measurements in a row: the clock went back
_LONGEST_GAP = SECOND // 2  # that a straight line may bridge, as in the import
_RECENT = 9  # measurements whose median distance in time is how often an entry is measured


@dataclasses.dataclass(frozen=True)
class StateAt:
    """The robot's state at a moment.

    values: float32 (state size,). stamp: the moment it is of: the wanted one, or that of the
    measurement furthest from it where there is no line. offset: s from the wanted moment to the
    nearest measurement, of the entry where that is furthest; below 0: it is older. entry: that
    entry's name. every: s between its measurements; NaN while not known. newest: the stamp, and
    received: the time of arrival (s of a steady clock), of the last measurement of the entry that
    has been silent for longest, `silent`.
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
        """Drop what is older than `span` ns; one that old stays, for the line to the next."""
        stamps, values = self.stamps, self.values
        while len(stamps) > _MOST or (len(stamps) > 2 and stamps[1] < stamps[-1] - span):
            stamps.popleft()
            values.popleft()

    def _insert(self, stamp: int, value: float) -> None:
        """One that was overtaken, or sent on by another node; or the clock went back."""
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
        """The measurement before (or at) a moment and the one after it, each by stamp and value;
        twice the same at the ends."""
        index = bisect_right(self.stamps, stamp + STAMP_TOLERANCE)
        before, after = max(0, index - 1), min(index, len(self.stamps) - 1)
        if abs(self.stamps[before] - stamp) <= STAMP_TOLERANCE:
            after = before
        return self.stamps[before], self.values[before], self.stamps[after], self.values[after]

    def every(self) -> float:
        """s between measurements, median of the latest; NaN before the second."""
        count = min(len(self.stamps), _RECENT)
        if count < 2:
            return math.nan
        latest = [self.stamps[k] for k in range(-count, 0)]
        apart = sorted(b - a for a, b in itertools.pairwise(latest))
        return (apart[(count - 2) // 2] + apart[(count - 1) // 2]) / 2 / SECOND


class StateHistory:
    """The measurements of a state's entries. Not thread-safe.

    names: of the entries. angles: those that wrap at +-pi rad; between two measurements they go the
    short way, and come out between -pi and pi.
    """

    def __init__(self, names: Sequence[str], angles: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self._angles = [self.names.index(name) for name in angles]
        self._span = round(2 * _MARGIN * SECOND)
        self.forget()

    def forget(self) -> None:
        """What was measured before has nothing to do with what comes."""
        self._tracks = {name: _Track() for name in self.names}
        self._faults: dict[str, str] = {}

    def keep(self, seconds: float) -> None:
        """How old (s) the moments may be that are asked for."""
        self._span = round((seconds + _MARGIN) * SECOND)

    def add(self, stamp: int, received: float, values: Mapping[str, float]) -> None:
        """Measurements of some entries at a moment. received: s of a steady clock."""
        for name, value in values.items():
            self._tracks[name].add(stamp, value, received, self._span)
        if self._faults:
            for name in values:
                self._faults.pop(name, None)

    def refuse(self, faults: Mapping[str, str]) -> None:
        """Measurements that came and cannot be used: what is wrong with them, by entry."""
        self._faults.update(faults)

    def fault(self, name: str) -> str:
        """What was wrong with the last measurement of an entry; empty when it was good."""
        return self._faults.get(name, "")

    def missing(self) -> list[str]:
        """Entries that were never measured."""
        return [name for name, track in self._tracks.items() if not track.stamps]

    def is_told(self, stamp: int) -> bool:
        """Whether every entry was measured at a moment or after it."""
        return all(
            track.stamps and track.stamps[-1] >= stamp - STAMP_TOLERANCE
            for track in self._tracks.values()
        )

    def is_coming(self, stamp: int, now: float, within: float) -> bool:
        """Whether measurements of a moment that are not there may come within so many seconds: an
        entry that is measured seldom, and was measured a little while ago, is not worth waiting
        for. now: s of the steady clock."""
        lacking = [t for t in self._tracks.values() if not t.stamps or t.stamps[-1] < stamp]
        return any(not (track.received + track.every() > now + within) for track in lacking)

    def at(self, stamp: int) -> StateAt | None:
        """The state at a moment; None while an entry was never measured, or where there is none."""
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
