"""The node `explore`: random motion as `planned_actions`, for recording data to begin with.

It drives a robot of a task's actions: somewhere for a while, with more or less noise, inside the
limits. The tasks' own exploration knows the true scene, which no topic tells; this sees nothing, so
give a real robot room, or drive that by hand.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros import qos
from wm_mpc.ros.messages import actions_to_trajectory
from wm_mpc.ros.parameters import declare
from wm_mpc.ros.running import Stopped, run
from wm_mpc.ros.timing import to_stamp
from wm_mpc.settings.fields import check, setting
from wm_mpc.sim.tasks import TASKS, make_task
from wm_mpc.spec import RobotSpec

_AHEAD = 5  # points of a plan: the robot goes on when a message is late, and holds when all are
_STEPS = (3, 15)  # in one direction
_NOISE = (0.05, 0.2, 0.6)  # of an action, as a share of half its range
_NAP = 0.05  # s


@dataclasses.dataclass(frozen=True)
class ExploreSettings:
    """Of the node `explore`, which are its parameters."""

    task: str = setting(
        "wall",
        "Task whose actions and limits are used",
        choices=tuple(sorted(TASKS)),
        read_only=True,
    )
    seed: int = setting(0, "Seed of the random numbers", "", 0, 2**31 - 1, read_only=True)
    speed: float = setting(
        0.7,
        "Largest steady action, as a share of the limits; noise comes on top",
        "",
        0.0,
        1.0,
        read_only=True,
    )

    def __post_init__(self) -> None:
        check(self)


class Wanderer:
    """Actions without end: one direction for a while, with noise on every action."""

    def __init__(self, spec: RobotSpec, speed: float, rng: np.random.Generator) -> None:
        self._spec, self._speed, self._rng = spec, speed, rng
        self._left = 0

    def __call__(self) -> np.ndarray:
        """The next action (action size,), inside the limits."""
        rng, size = self._rng, self._spec.action.size
        if self._left == 0:
            self._left = int(rng.integers(_STEPS[0], _STEPS[1] + 1))
            self._steady = rng.uniform(-self._speed, self._speed, size)
            self._noise = float(rng.choice(_NOISE))
        self._left -= 1
        action = np.clip(self._steady + rng.normal(0.0, self._noise, size), -1.0, 1.0)
        return self._spec.denormalise_action(action)


class Explore(Node):
    """See the module. `options` go to `rclpy.node.Node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("explore", **options)
        settings = declare(self, ExploreSettings).values()
        self._spec = make_task(settings.task).spec
        rng = np.random.default_rng(settings.seed)
        self._next = Wanderer(self._spec, settings.speed, rng)
        self._plan = deque((self._next() for _ in range(_AHEAD)), maxlen=_AHEAD)
        self._publisher = self.create_publisher(
            JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS
        )
        self.create_timer(self._spec.control_period, self._send)

    def _send(self) -> None:
        stamp = to_stamp(self.get_clock().now().nanoseconds)
        actions, period = np.stack(self._plan), self._spec.control_period
        self._publisher.publish(actions_to_trajectory(actions, self._spec.action, period, stamp))
        self._plan.append(self._next())


def _work(_: Explore, stopped: Stopped) -> None:
    while not stopped():
        time.sleep(_NAP)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run wm_mpc explore`; returns the exit code."""
    return run(Explore, _work, args)


if __name__ == "__main__":
    sys.exit(main())
