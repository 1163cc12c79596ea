"""`joint_trajectory`: each plan as a whole, for a joint_trajectory_controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trajectory_msgs.msg import JointTrajectory

from wm_mpc.nodes.mpc.outputs.output import Moment, Output
from wm_mpc.ros import qos
from wm_mpc.ros.controller import position_at, to_controller
from wm_mpc.ros.course import Course
from wm_mpc.spec import RobotSpec


class JointTrajectories(Output):
    """See `Output`. A hold is a trajectory, too: a controller would go on with the one before."""

    text = "each plan as a whole, for a joint_trajectory_controller"
    message = "`trajectory_msgs/JointTrajectory`"
    streams = False

    def __init__(self, node: Any, spec: RobotSpec, settings: Any) -> None:
        self._spec = spec
        self.publisher = node.create_publisher(
            JointTrajectory, "joint_trajectory", qos.PLANNED_ACTIONS
        )
        self.forget()

    def forget(self) -> None:
        self._sent: JointTrajectory | None = None  # the last one
        # Where joints are held; None: not held.
        self._held: Mapping[str, float] | None = None
        self._course: Course | None = None  # of a robot moved by positions
        if self._spec.rest_is_measured:
            self._course = Course(self._spec.action, self._spec.control_period)

    def begin(self, now: int) -> None:
        if self._course is not None:
            self._course.begin(now)

    def end(self) -> None:
        self._sent = self._held = None  # others may move the joints now

    def send(self, moment: Moment) -> None:
        plan, now, rest = moment.plan, moment.now, moment.action
        assert plan is not None
        measured: Mapping[str, float] = moment.measured
        if self._spec.rest_is_measured:
            measured = {} if rest is None else dict(zip(self._spec.action.names, rest, strict=True))
        elif len(plan.actions):
            self._held = None
        else:
            # As measured when the hold began. With a new measurement each time, joints that sag
            # would creep away.
            measured = self._held = self._held or self._here(moment)
        trajectory = to_controller(
            plan.actions, self._spec.action, self._spec.control_period, plan.stamp, now, measured
        )
        if self._course is not None:
            self._course.follow(trajectory, now, {**moment.measured, **moment.newest})
        if trajectory.points:
            self.publisher.publish(trajectory)
            self._sent = trajectory

    def _here(self, moment: Moment) -> Mapping[str, float]:
        """Where the joints are, or else where they are wanted now."""
        if all(name in moment.measured for name in self._spec.action.names):
            return moment.measured
        return {} if self._sent is None else position_at(self._sent, moment.now)
