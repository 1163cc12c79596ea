"""Trajectories of targets at given times, as a `joint_trajectory_controller` executes them.

`wm_mpc.data.resample.commands_of_plans` handles the other meaning, of `planned_actions`: the
action from each time on. Here, the robot reaches each point at its time, on a straight line from
the point before. So the action of a control period is the target at its end (positions, efforts),
or the velocity towards it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from wm_mpc.units import SECOND, STAMP_TOLERANCE

_SHORT = SECOND // 1000  # ns; shorter lines do not give a speed


@dataclasses.dataclass
class Targets:
    """A trajectory message; one without points means "stay where you are".

    Attributes:
        received: Arrival time, ns.
        start: Stamp, or arrival without one, ns.
        offsets: int64 (points,), ns from the start, ascending.
        values: float64 (points, size), NaN for joints that it does not name, which stay.
    """

    received: int
    start: int
    offsets: np.ndarray
    values: np.ndarray


class Setpoints:
    """The targets of a controller over time, as a piecewise linear signal with the methods of
    `Commands`.

    A trajectory replaces the rest of the one before it when it arrives, and begins where that one
    is then. After the last point, its target stays.

    Args:
        trajectories: Trajectories in the order of arrival.
        period: A control period, ns.
        size: Number of entries in an action.
        speeds: Whether an action is a velocity computed from positions.
        rates: Whether the values are velocities or efforts themselves, which end with the points.
        timeout: Time after its arrival at which a trajectory ends, ns; None: never.
        measured: Function from a time (ns) to the measured positions, float64 (size,), NaN where
            unknown; the first trajectory begins there.
    """

    def __init__(
        self,
        trajectories: Sequence[Targets],
        period: int,
        size: int,
        *,
        speeds: bool = False,
        rates: bool = False,
        timeout: int | None = None,
        measured: Callable[[int], np.ndarray] | None = None,
    ) -> None:
        self.period, self.speeds, self.rates = period, speeds, rates
        self._times: list[int] = []
        self._rows: list[np.ndarray] = []
        self._busy: list[tuple[int, int]] = []  # from arrival to the last point
        self._size = size
        for each in trajectories:
            before = self._come_to(each.received)
            if before is None:
                before = np.full(size, np.nan) if measured is None else measured(each.received)
                before = np.zeros(size) if rates else before
            self._replace(each, before, timeout)
        self.times = np.array(self._times, np.int64)
        self.values = np.array(self._rows, np.float64).reshape(-1, size)
        steps = np.diff(self.times)
        climbs = np.diff(self.values, axis=0)
        climbs[steps <= 1] = 0.0  # a jump to where another trajectory is
        self._travel = np.concatenate([np.zeros((min(1, len(self.times)), size)), climbs])
        self._travel = np.nancumsum(self._travel, axis=0)

    def _come_to(self, time: int) -> np.ndarray | None:
        """The value of the lines so far at a time; None before the first."""
        if not self._times or time < self._times[0]:
            return None
        after = int(np.searchsorted(self._times, time, "right"))
        if after == len(self._times):
            return self._rows[-1]
        first, last = self._times[after - 1], self._times[after]
        share = (time - first) / (last - first)
        return self._rows[after - 1] + share * (self._rows[after] - self._rows[after - 1])

    def _replace(self, new: Targets, before: np.ndarray, timeout: int | None) -> None:
        begin = new.received
        keep = int(np.searchsorted(self._times, begin))
        del self._times[keep:], self._rows[keep:]
        if self._busy:
            self._busy[-1] = (self._busy[-1][0], min(self._busy[-1][1], begin))
        self._add(begin, before)
        at = new.start + new.offsets
        rows = np.where(np.isnan(new.values), before, new.values)
        if len(at) and at[0] <= begin:  # the trajectory has already begun
            last = int(np.searchsorted(at, begin, "right")) - 1
            row = rows[last]
            if last + 1 < len(at):
                share = (begin - at[last]) / (at[last + 1] - at[last])
                row = row + share * (rows[last + 1] - row)
            self._add(begin + 1, row)
        limit = None if timeout is None else begin + timeout
        for time, row in zip(at.tolist(), rows, strict=True):
            if time > begin + 1:
                if limit is not None and time > limit:
                    share = (limit - self._times[-1]) / (time - self._times[-1])
                    row = self._rows[-1] + share * (row - self._rows[-1])
                    self._add(limit, row)
                    break
                self._add(time, row)
        self._busy.append((begin, max(begin, self._times[-1])))
        if self.rates:  # rest after the last point
            self._add(self._times[-1] + 1, np.zeros(self._size))

    def _add(self, time: int, row: np.ndarray) -> None:
        self._times.append(time)
        self._rows.append(np.asarray(row, np.float64))

    def held(self, at: np.ndarray) -> np.ndarray:
        """Return the action of the control period that begins at each moment.

        Args:
            at: Moments, int64 (moments,), ns.

        Returns:
            float64 (moments, size).
        """
        return self.mean(at, at + self.period) if self.speeds else self._value(at + self.period)

    def mean(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the action of each interval.

        Args:
            begin: int64 (intervals,), ns.
            end: int64 (intervals,), ns, after `begin`.

        Returns:
            float64 (intervals, size).
        """
        if not self.speeds:
            return self._value(end)
        way = self._at(self._travel, end) - self._at(self._travel, begin)
        return np.nan_to_num(way / ((end - begin) / SECOND)[:, None])

    def known(self, at: np.ndarray, max_silence: int) -> np.ndarray:
        """Return whether the command at each moment is known.

        It is not known before the first trajectory, and not on the way to its first point if the
        robot's position was unknown. Velocities and efforts are also unknown where no trajectory
        applied for more than `max_silence`.

        Args:
            at: Moments, int64 (moments,), ns.
            max_silence: Longest time without a trajectory, ns.

        Returns:
            bool (moments,).
        """
        if not len(self.times):
            return np.zeros(len(at), bool)
        known = (at >= self.times[0] - STAMP_TOLERANCE) & np.isfinite(
            self._value(at + self.period)
        ).all(1)
        if self.speeds:
            known &= np.isfinite(self._value(np.maximum(at, self.times[0]))).all(1)
        if self.speeds or self.rates:
            begins, ends = np.array(self._busy, np.int64).T
            index = np.maximum(np.searchsorted(begins, at + STAMP_TOLERANCE, "right") - 1, 0)
            following = np.append(begins[1:], np.iinfo(np.int64).max)[index]
            known &= (at < ends[index]) | (following - ends[index] <= max_silence)
        return known

    def all_speeds(self) -> np.ndarray:
        """Return every commanded velocity, float64 (rows, size), from which limits follow."""
        steps = np.diff(self.times)
        long = steps > _SHORT
        slopes = np.diff(self.values, axis=0)[long] / (steps[long] / SECOND)[:, None]
        return slopes[np.isfinite(slopes).all(1)]

    def _value(self, at: np.ndarray) -> np.ndarray:
        return self._at(self.values, at)

    def _at(self, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        if not len(self.times):
            return np.full((len(at), self._size), np.nan)
        before = np.clip(np.searchsorted(self.times, at, "right") - 1, 0, len(self.times) - 1)
        after = np.minimum(before + 1, len(self.times) - 1)
        span = np.maximum(self.times[after] - self.times[before], 1)
        share = np.clip((at - self.times[before]) / span, 0.0, 1.0)[:, None]
        first, last = rows[before], rows[after]
        return np.where(share == 0.0, first, first + share * (last - first))
