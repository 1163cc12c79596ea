"""The node `sim`: the real node, the real physics, a planner in the hands of a test."""

from __future__ import annotations

from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.nodes.sim.node import Sim
from wm_mpc.ros import qos
from wm_mpc.ros.messages import actions_to_trajectory
from wm_mpc.ros.timing import to_nanoseconds, to_stamp
from wm_mpc.sim.tasks.wall import Wall

from .running import RunningNode


class RunningSim(RunningNode):
    """The node `sim` running in this process, in a context of its own, and what it says.

    images, states, goals, episodes: messages received so far. Times are nanoseconds.
    """

    def __init__(self, observer: Any, **parameters: Any) -> None:
        self.spec = Wall.spec
        self._plans = observer.node.create_publisher(
            JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS
        )
        self.goals = observer.listen(Odometry, "goal/state", qos.LATCHED)
        self.states = observer.listen(Odometry, "odom", qos.ROBOT_STATE)
        self.images = observer.listen(Image, "camera/image_raw", qos.SENSOR_DATA)
        self.episodes = observer.listen(DiagnosticStatus, "sim/episode", qos.STATUS)

        super().__init__(observer, Sim, Sim.run, parameters)
        self.wait_until(lambda: self._plans.get_subscription_count() > 0, "the connection")
        self.wait_until(lambda: self.goals and self.images and self.states, "an observation")

    def plan(self, stamp: int, action: tuple[float, float], points: int = 10) -> None:
        """Publish the same action for so many points."""
        actions = np.tile(np.asarray(action, np.float64), (points, 1))
        # Not `actions_to_trajectory` alone: tests also send what that would refuse.
        message = actions_to_trajectory(
            np.nan_to_num(actions), self.spec.action, self.spec.control_period, to_stamp(stamp)
        )
        for point, values in zip(message.points, actions, strict=True):
            point.velocities = values.tolist()
        self._plans.publish(message)

    @property
    def stamp(self) -> int:
        """The stamp of the newest image."""
        return to_nanoseconds(self.images[-1].header.stamp)

    def answer(self, action: tuple[float, float], points: int = 10) -> int:
        """In lockstep: plan for the newest observation and wait for the next; its stamp."""
        stamp = self.stamp
        self.plan(stamp, action, points)
        self.wait_until(lambda: self.stamp != stamp, "the next observation")
        return self.stamp

    def position(self) -> np.ndarray:
        """x, y (m) of the newest state."""
        return position(self.states[-1])

    def episode(self) -> dict[str, str]:
        """The newest `sim/episode`, its text under "message"."""
        newest = self.episodes[-1]
        return {entry.key: entry.value for entry in newest.values} | {"message": newest.message}

    def join(self) -> None:
        """Wait until the node has come to its end by itself."""
        self.wait_until(self.has_ended, "the end of the run")

    def _clean_up(self) -> None:
        self.node.close()


def position(message: Any) -> np.ndarray:
    """x, y (m) of an Odometry message."""
    point = message.pose.pose.position
    return np.array([point.x, point.y])
