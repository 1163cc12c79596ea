"""Where a joint_trajectory_controller is on its way, so that no new trajectory makes it jump.

A plan counts on being sent in time. One that comes late, after a stall of the computer, has a
point where the robot was meant to be and is not. A controller would hurry there in what is left of
the control period, or reject it. Such points are moved to where the robot can be by then.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros.timing import from_seconds, to_duration, to_nanoseconds
from wm_mpc.spec import ActionSpec
from wm_mpc.units import SECOND

_MARGIN = SECOND // 50  # ns; twice of what a message may take
_ROUNDING = 1.0 + 1e-5  # of the way
_SAME = 1e-3  # of the way in a control period


class Course:
    """Of one robot moved by positions. Times are integer nanoseconds.

    Args:
        action: Names, kind and limits of an action.
        control_period: Seconds per action.
    """

    def __init__(self, action: ActionSpec, control_period: float) -> None:
        self._names = action.names
        change = action.largest_change(control_period)
        assert change is not None  # so it is for positions
        self._change, self._period = change, from_seconds(control_period)
        self.clear()

    def clear(self) -> None:
        """Forget what was sent: others may move the robot now."""
        self._times, self._places = np.zeros(0, np.int64), np.zeros((0, len(self._names)))

    def begin(self, now: int) -> None:
        """Send after a pause, in which others may have moved the robot: forget what was sent,
        unless it is on its way there still."""
        if len(self._times) and now >= self._times[-1]:
            self.clear()

    def at(self, now: int, measured: Mapping[str, float]) -> np.ndarray | None:
        """Where the robot is (joints,): on its way, or measured where that is over; None where
        nobody knows."""
        if len(self._times) and self._times[0] <= now < self._times[-1]:
            here = [np.interp(now, self._times, column) for column in self._places.T]
            return np.array(here)
        if all(name in measured for name in self._names):
            return np.array([measured[name] for name in self._names])
        return self._places[-1] if len(self._times) else None

    def follow(self, message: JointTrajectory, now: int, measured: Mapping[str, float]) -> bool:
        """Bring a trajectory's points into reach from where the robot is, and note it as sent.

        Args:
            message: Changed in place. First points that are due at once are left out; the last of
                them comes a period later if there is no other.
            now: When it is sent.
            measured: Positions by name, as far as known.

        Returns:
            Whether a point had to be moved.
        """
        if len(self._times) and now < self._times[0]:
            self.clear()  # the clock was set back
        here = self.at(now, measured)
        start = to_nanoseconds(message.header.stamp)
        times = [start + to_nanoseconds(point.time_from_start) for point in message.points]
        rows = [np.array(point.positions, float) for point in message.points]
        changed = False
        place, since = here, now + _MARGIN
        if rows and self._as_before(rows[0], times[0]):  # it gets there, wherever it is by then
            # Unless it gets this message later, and has gone on by then.
            place, since = rows[0], times[0] + max(0, 2 * (now - times[0]) + _MARGIN)
        # The message may come later than that; but it must have a point.
        late = sum(time < now + 2 * _MARGIN for time in times[:-1])
        del message.points[:late], times[:late], rows[:late]
        if times and times[0] < now + 2 * _MARGIN:
            times[0] = now + max(self._period, 2 * _MARGIN)
            message.points[0].time_from_start = to_duration(times[0] - start)
        if place is not None:
            for number, (time, row) in enumerate(zip(times, rows, strict=True)):
                if self._far(row - place, time - since):
                    reach = self._change * (max(0, time - since) / self._period)
                    rows[number] = np.clip(row, place - reach, place + reach)
                    message.points[number].positions = rows[number].tolist()
                    changed = True
                place, since = rows[number], time
        known = [] if here is None else [(now, here)]
        self._times = np.array([*(time for time, _ in known), *times], np.int64)
        self._places = np.array([*(place for _, place in known), *rows])
        return changed

    def _as_before(self, row: np.ndarray, time: int) -> bool:
        """Whether the robot is on its way there already."""
        if not len(self._times) or not self._times[0] <= time <= self._times[-1]:
            return False
        there = [np.interp(time, self._times, column) for column in self._places.T]
        return bool((np.abs(row - there) <= _SAME * self._change).all())

    def _far(self, way: np.ndarray, time: int) -> bool:
        """Whether that is too far for the time."""
        return bool((np.abs(way) > _ROUNDING * self._change * (max(0, time) / self._period)).any())
