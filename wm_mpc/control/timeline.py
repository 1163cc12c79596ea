"""Which action applies at which time: the one book of plans that replace one another.

The node that sends plans, the consumer that executes them, the recorder that learns from them and
the import of a recording all keep their plans here, so they cannot disagree. Times are integer
nanoseconds of one clock.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from wm_mpc.spec import RobotSpec
from wm_mpc.units import SECOND

FOREVER = int(np.iinfo(np.int64).max)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One plan. Point k applies from `starts[k]` until the next point, and the last one until
    `end`.

    Attributes:
        begin: When the plan takes over from the one before it, ns.
        starts: int64 (points,), ascending, ns.
        end: When the last point is over, ns.
        expires: When the plan ends in any case, ns.
        actions: float64 (points, action size); without points, nothing is planned from `begin` on.
    """

    begin: int
    starts: np.ndarray
    end: int
    actions: np.ndarray
    expires: int = FOREVER

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def is_rest(self) -> bool:
        """Whether it is no plan but `Timeline.hold`."""
        return not len(self) or self.end == FOREVER

    def index_at(self, time: int) -> int:
        """The number of the point that applies at `time`; -1 before the first one, the number of
        points when the plan is over."""
        if time >= min(self.end, self.expires):
            return len(self)
        return int(np.searchsorted(self.starts, time, side="right")) - 1


class Timeline:
    """Plans by time.

    A plan replaces what is left of the ones before it, from its begin on. Where no plan applies,
    the robot rests: `idle` says how, and is None where nobody knows (a position robot that was
    never measured). A position robot (`keeps_last`) stays at the last action of a plan that is
    over.

    Args:
        period: Length of a plan's point, ns.
        idle: The action (action size,) of rest, or None while it is unknown.
        keeps_last: Whether the last action of a plan goes on when the plan is over.
        tolerance: How much too early (ns) a time may be; forgives stamps that were floats.
        span: How long (ns) plans are remembered once they were replaced.
    """

    def __init__(
        self,
        period: int,
        idle: np.ndarray | None,
        *,
        keeps_last: bool = False,
        tolerance: int = 0,
        span: int = FOREVER,
    ) -> None:
        self.period, self.idle = period, idle
        self._keeps_last, self._tolerance, self._span = keeps_last, tolerance, span
        self._entries: list[Entry] = []

    @classmethod
    def of(cls, spec: RobotSpec, *, tolerance: int = 0) -> Timeline:
        """The book of one robot, in the unit of its actions; remembers as long as a model with a
        history looks back, and a model step more."""
        return cls(
            round(spec.control_period * SECOND),
            spec.rest(),
            keeps_last=spec.rest_is_measured,
            tolerance=tolerance,
            span=round((spec.history + 2) * spec.model_period * SECOND),
        )

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The plans that still count, in the order in which they take over."""
        return tuple(self._entries)

    def clear(self) -> None:
        """Forget all plans."""
        self._entries.clear()

    def put(
        self,
        start: int,
        actions: np.ndarray,
        *,
        offsets: np.ndarray | None = None,
        received: int | None = None,
        expires: int = FOREVER,
    ) -> None:
        """Note a plan.

        Args:
            start: When its point 0 begins to apply, ns.
            actions: (points, action size). None: nothing is planned from `start` on, see `hold`.
            offsets: int64 (points,), when each point begins after `start`, ns, ascending; by
                default one period after the other.
            received: When the plan arrived, ns: it takes over no earlier. By default it was there
                in time.
            expires: When it ends whatever it says, ns.
        """
        actions = np.asarray(actions, np.float64)
        if offsets is None:
            offsets = self.period * np.arange(len(actions))
        starts = start + np.asarray(offsets, np.int64)
        begin = int(starts[0]) if len(starts) else start
        if received is not None:
            begin = received if not len(starts) else max(begin, received)
        end = int(starts[-1]) + self.period if len(starts) else begin
        self._add(Entry(begin, starts, end, actions, expires))

    def hold(self, time: int, action: np.ndarray | None = None) -> None:
        """The robot rests from `time` on: with `action` (action size,), if it is given; else as
        `idle` says, a position robot where its plan has brought it by then."""
        if action is None and self._keeps_last:
            action = self.at(time)
        if action is None:
            self.put(time, np.zeros((0, 0)))
        else:
            row = np.asarray(action, np.float64)[None]
            self._add(Entry(time, np.array([time]), FOREVER, row))

    def _add(self, entry: Entry) -> None:
        while self._entries and self._entries[-1].begin >= entry.begin:
            self._entries.pop()
        self._entries.append(entry)
        self.forget_before(entry.begin - min(self._span, entry.begin))

    def forget_before(self, time: int) -> None:
        """Forget the plans that were replaced before `time`."""
        while len(self._entries) > 1 and self._entries[1].begin <= time:
            self._entries.pop(0)

    def entry_at(self, time: int) -> Entry | None:
        """The newest plan that has begun at `time`; None before the first one."""
        for entry in reversed(self._entries):
            if entry.begin <= time + self._tolerance:
                return entry
        return None

    def planned_at(self, time: int) -> np.ndarray | None:
        """The action (action size,) that a plan has for `time`; None where none has one."""
        entry = self.entry_at(time)
        if entry is None:
            return None
        index = entry.index_at(time + self._tolerance)
        return entry.actions[index] if 0 <= index < len(entry) else None

    def at(self, time: int) -> np.ndarray | None:
        """The action (action size,) that applies at `time`: planned, or else the robot's rest;
        None where rest is unknown."""
        planned = self.planned_at(time)
        if planned is not None:
            return planned
        entry = self.entry_at(time)
        if self._keeps_last and entry is not None and len(entry):
            return entry.actions[-1]
        return self.idle

    def between(self, start: int, end: int, default: np.ndarray | None = None) -> np.ndarray:
        """The actions (n, action size) of the control steps, counted from `start`, that begin
        before `end`.

        Args:
            start: In ns.
            end: In ns.
            default: The action where rest is unknown; one of the two must be known.
        """
        count = max(0, math.ceil((end - start) / self.period))
        rows = [self.at(start + k * self.period) for k in range(count)]
        known = [default if row is None else row for row in rows]
        size = next((len(row) for row in (*known, self.idle, default) if row is not None), 0)
        return np.array(known, np.float64).reshape(count, size)

    def ahead(self, time: int, count: int) -> np.ndarray:
        """The actions (count, action size) of so many periods, from the one at `time` on, if no
        other plan comes. Only where a plan has begun or rest is known."""
        entry = self.entry_at(time)
        rows = np.zeros((0, 0)) if entry is None else entry.actions[max(0, entry.index_at(time)) :]
        after = self.idle
        if self._keeps_last and entry is not None and len(entry):
            after = entry.actions[-1]
        assert after is not None
        rows = rows[:count].reshape(-1, len(after))
        return np.concatenate([rows, np.tile(after, (count - len(rows), 1))])

    def remaining(self, time: int) -> np.ndarray:
        """The actions (n, action size) of the plan of `time` that are not over then."""
        entry = self.entry_at(time)
        if entry is None:
            return np.zeros((0, 0))
        return entry.actions[max(0, entry.index_at(time + self._tolerance)) :]

    def pieces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All that was planned, piece by piece.

        Returns:
            When each piece begins and ends, int64 (pieces,) ns, ascending; and its action, float64
            (pieces, action size). Between pieces the robot rests.
        """
        times, until, values = [], [], []
        replaced = [entry.begin for entry in self._entries[1:]] + [FOREVER]
        for entry, over in zip(self._entries, replaced, strict=True):
            if not len(entry):
                continue
            last = min(over, entry.expires)
            begins = np.maximum(entry.starts, entry.begin)
            ends = np.minimum(np.append(entry.starts[1:], entry.end), last)
            applies = begins < ends
            times.append(begins[applies])
            until.append(ends[applies])
            values.append(entry.actions[applies])
        size = values[0].shape[1] if values else 0
        return (
            np.concatenate([np.zeros(0, np.int64), *times]),
            np.concatenate([np.zeros(0, np.int64), *until]),
            np.concatenate([np.zeros((0, size)), *values]),
        )
