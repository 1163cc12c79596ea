"""The commands of a recording, of any type, as a signal: which action applied at each time.

Part of `wm_mpc.data.bag_streams`. `bag_messages` interprets the messages; `resample` and
`setpoints` turn the signal into steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from wm_mpc.data.bag import BagError
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_joints import Newest
from wm_mpc.data.bag_messages import JOINTS, TRAJECTORY, command, targets, trajectory
from wm_mpc.data.resample import Commands, Plan, commands_of_plans
from wm_mpc.data.setpoints import Setpoints, Targets
from wm_mpc.data.stream import Clock, Stream
from wm_mpc.spec import ActionSpec, RobotSpec
from wm_mpc.units import SECOND

OTHER_CLOCK = 10 * SECOND  # ns; a longer apparent travel time means another clock
TIMEOUT = 0.5  # s; default timeout of a command
_NEXT = 1.5  # control periods; plans that come sooner one after another are a stream
_GAP = SECOND // 1000  # ns; the stamps are not finer


class CommandStream(Stream):
    """A stream of commands.

    Attributes:
        type: Message type.
        spec: The action.
        meaning: Meaning of trajectory points, one of `bag_config.POINTS`.
        plans: Offsets (ns) and values of each trajectory.
        is_paced: Whether time ran at another speed, so that arrival times are not exact.
        by_positions: Whether all trajectory points have positions.
    """

    def __init__(
        self, type_name: str, spec: ActionSpec, clock: Clock, meaning: str = "from"
    ) -> None:
        super().__init__(spec.size, clock)
        self.is_paced = False
        self.type, self.spec, self.meaning = type_name, spec, meaning
        self.plans: list[tuple[np.ndarray, np.ndarray]] = []
        self.by_positions = True
        self._joints = Newest(
            spec.names if spec.kind == "position" else [f"{n}/{spec.kind}" for n in spec.names]
        )

    def add_command(self, message: Any, received: int) -> None:
        """Add a message.

        Args:
            message: The message; a bad one is counted in `refused`.
            received: Arrival time, ns.
        """
        if self.type == TRAJECTORY:
            plan: list[Any] = []

            def keep() -> np.ndarray:
                plan.append(self._points(message))
                return np.zeros(self.size)

            if self.add(message, received, keep):
                self.plans += plan
        elif self.type == JOINTS:
            self.add(message, received, lambda: self._joints.row(message))
        else:
            self.add(message, received, lambda: command(self.type, message, self.spec))

    def _points(self, message: Any) -> tuple[np.ndarray, np.ndarray]:
        if self.meaning == "from":
            return trajectory(message, self.spec)
        offsets, rows, positions = targets(message, self.spec)
        # Kept together with the values, because only the whole stream shows which are used.
        if len(rows):
            self.by_positions &= positions is not None
        both = np.full_like(rows, np.nan) if positions is None else positions
        return offsets, np.concatenate([rows, both], axis=1)

    def all_values(self, period: float = 0.1) -> np.ndarray:
        """Return every commanded action, and every point of trajectories.

        Args:
            period: A control period, s.

        Returns:
            float64 (rows, size), NaN for joints that a trajectory does not name.
        """
        if self.type != TRAJECTORY:
            return self.values
        if self.meaning == "from":
            return np.concatenate([np.zeros((0, self.size)), *[p[1] for p in self.plans]])
        if self.spec.kind != "velocity" or not self.by_positions:
            points = np.concatenate([np.zeros((0, 2 * self.size)), *[p[1] for p in self.plans]])
            return points[:, : self.size]
        return self._setpoints(np.arange(len(self.plans)), period, None, None).all_speeds()

    def commands(
        self,
        chosen: np.ndarray,
        robot: RobotSpec,
        config: BagConfig,
        measured: Callable[[int], np.ndarray] | None = None,
    ) -> Commands | Setpoints:
        """Return the signal of some messages.

        Args:
            chosen: Numbers of the messages, ascending.
            robot: The robot.
            config: Settings of the import.
            measured: Function from a time (ns) to the measured positions, float64 (size,), NaN
                where unknown.
        """
        spec, times, received = self.spec, self.times[chosen], self.arrived[chosen]
        rest = None if spec.kind == "position" else np.clip(0.0, spec.low, spec.high)
        timeout = config.action.timeout
        if self.type == TRAJECTORY and self.meaning == "at":
            return self._setpoints(chosen, robot.control_period, timeout, measured)
        if self.type == TRAJECTORY:
            if other_clock(self) or self.is_paced:
                received = times  # the arrival is not known on the clock of the stamps
            plans = [
                Plan(int(r), int(t), *self.plans[i])
                for i, t, r in zip(chosen.tolist(), times, received, strict=True)
            ]
            limit = None if timeout is None else round(timeout * SECOND)
            period = round(robot.control_period * SECOND)
            _check_that_plans_meet(plans, period)
            return commands_of_plans(plans, period, rest, limit)
        order = np.argsort(times, kind="stable")
        times = times[order]
        limit = round((TIMEOUT if timeout is None else timeout) * SECOND)
        return Commands(times, self.values[chosen][order], times + limit, rest)

    def _setpoints(
        self,
        chosen: np.ndarray,
        period: float,
        timeout: float | None,
        measured: Callable[[int], np.ndarray] | None,
    ) -> Setpoints:
        kind = self.spec.kind
        speeds = kind == "velocity" and self.by_positions
        columns = slice(self.size, None) if speeds else slice(0, self.size)
        return Setpoints(
            [
                Targets(int(r), int(t), self.plans[i][0], self.plans[i][1][:, columns])
                for i, t, r in zip(
                    chosen.tolist(), self.times[chosen], self.arrived[chosen], strict=True
                )
            ],
            round(period * SECOND),
            self.size,
            speeds=speeds,
            rates=kind != "position" and not speeds,
            timeout=None if timeout is None else round(timeout * SECOND),
            measured=None if kind == "effort" else measured,
        )


def _check_that_plans_meet(plans: list[Plan], period: int) -> None:
    """Raise BagError if most plans of a stream come late and end before the next one begins."""
    real = [plan for plan in plans if len(plan.offsets)]
    ended, late = 0, []
    for plan, after in itertools.pairwise(real):
        last = plan.start + int(plan.offsets[-1]) + period
        begin = after.start + int(after.offsets[0])
        is_stream = after.received - plan.received <= _NEXT * period
        if is_stream and after.received > begin and last + _GAP < max(begin, after.received):
            ended += 1
            late.append(after.received - begin)
    if not ended or 2 * ended < len(real) - 1:
        return
    most = max(len(plan.offsets) for plan in real)
    raise BagError(
        f"the plans say nothing of most control steps: {ended} of {len(real)} end before the next "
        f"one comes. They have at most {most} points of {period / SECOND:g} s, and arrive "
        f"{np.median(late) / SECOND:.3f} s after the time of their first point. What the robot did "
        "in between would count as rest. Record the commands that it got instead (such as "
        "cmd_vel: --action cmd_vel), or record again with plans of two points or more"
    )


def other_clock(stream: Stream) -> bool:
    """Return whether the stamps come from another clock than the recorder's, such as simulated
    time.

    Args:
        stream: Any stream.
    """
    if not len(stream.times):
        return False
    return bool(abs(np.median(stream.received - stream.times)) > OTHER_CLOCK)
