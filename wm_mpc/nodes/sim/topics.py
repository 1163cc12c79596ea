"""What the node `sim` says on its topics, and small readings of what it hears."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState

from wm_mpc.messages.progress_statuses import EpisodeStatus
from wm_mpc.nodes.sim.camera_topics import CameraTopics
from wm_mpc.nodes.sim.frames import FramesPublisher
from wm_mpc.ros import qos
from wm_mpc.ros.messages import (
    ODOMETRY_FIELDS,
    MessageError,
    add_joints,
    rgb_to_image,
    state_to_joint_states,
    state_to_odometry,
    yaw_of,
)
from wm_mpc.ros.status import mpc_statuses, to_diagnostics
from wm_mpc.ros.timing import to_stamp
from wm_mpc.sim.engine import Observation, Simulation
from wm_mpc.sim.frames import ODOM, world_frames

_ACKNOWLEDGE = Duration(seconds=1)


class Topics:
    """The publishers of `sim`. Stamps are nanoseconds.

    Attributes:
        frames: Those of the robot.
    """

    def __init__(
        self,
        node: Node,
        simulation: Simulation,
        *,
        is_time_source: bool,
        has_camera_info: bool = True,
    ) -> None:
        self._simulation = simulation
        self._spec = simulation.task.spec
        state_type = Odometry if self._spec.state.source == "odom" else JointState
        # An absolute name, because that is where every node looks for it in any namespace.
        self._clock = node.create_publisher(Clock, "/clock", qos.CLOCK) if is_time_source else None
        self._cameras = [
            CameraTopics(node, simulation, number, has_info=has_camera_info)
            for number in range(len(self._spec.images))
        ]
        self._state = node.create_publisher(state_type, self._spec.state.source, qos.ROBOT_STATE)
        self._goal_image = node.create_publisher(Image, "goal/image", qos.LATCHED)
        self._goal_state = node.create_publisher(state_type, "goal/state", qos.LATCHED)
        self._episode = node.create_publisher(DiagnosticStatus, "sim/episode", qos.STATUS)
        self._result = node.create_publisher(DiagnosticStatus, "sim/result", qos.RESULTS)
        self.frames = FramesPublisher(node, simulation)

    def publish_clock(self, now: int) -> None:
        """Simulated time; does nothing where somebody else makes the time."""
        if self._clock is not None:
            self._clock.publish(Clock(clock=to_stamp(now)))

    def publish_observation(self, observation: Observation, now: int) -> None:
        """State before image: whoever waits for the picture has the state already."""
        self.publish_clock(now)
        stamp = to_stamp(now)
        message = self._state_message(observation.state, self._pose(), now)
        if isinstance(message, JointState):
            add_joints(message, self._simulation.joints())
        self._state.publish(message)
        self.frames.publish(now)
        for camera in self._cameras:
            camera.publish(observation.image, stamp)

    def publish_goal(self, now: int, *, wait: bool) -> None:
        """wait: until every subscriber has received it, or a second is over."""
        goal = self._simulation.goal
        assert goal is not None
        pose = self._named(goal.pose)
        self._goal_state.publish(self._state_message(goal.observation.state, pose, now))
        self._goal_image.publish(rgb_to_image(goal.observation.image, to_stamp(now)))
        if wait:
            self._goal_state.wait_for_all_acked(_ACKNOWLEDGE)
            self._goal_image.wait_for_all_acked(_ACKNOWLEDGE)

    def publish_episode(self, status: EpisodeStatus, *, has_ended: bool) -> None:
        """has_ended: whether it is the last word on its episode, which `sim/result` keeps."""
        message = to_diagnostics(status, self._spec.task)
        self._episode.publish(message)
        if has_ended:
            self._result.publish(message)

    def close(self) -> None:
        """Wait for a second until every listener has the results."""
        self._result.wait_for_all_acked(_ACKNOWLEDGE)

    def _pose(self) -> dict[str, float]:
        return self._named(self._simulation.pose())

    def _named(self, pose: np.ndarray) -> dict[str, float]:
        return dict(zip(self._simulation.task.pose_names, pose.tolist(), strict=True))

    def _state_message(
        self, state: np.ndarray, pose: Mapping[str, float], now: int
    ) -> Odometry | JointState:
        if self._spec.state.source == "joint_states":
            return state_to_joint_states(state, self._spec.state, to_stamp(now))
        measured = dict(zip(self._spec.state.names, state.tolist(), strict=True))
        values = {name: value for name, value in pose.items() if name in ODOMETRY_FIELDS}
        return state_to_odometry(values | measured, to_stamp(now))


def planar_pose(message: PoseStamped, root: str = ODOM) -> tuple[float, float, float]:
    """x, y (m) and yaw (rad). root: the frame in which the robot is measured. Raises MessageError
    for another frame than that or the world's, and for numbers that are not finite."""
    frame, pose = message.header.frame_id, message.pose
    known = world_frames(root)
    if frame and frame not in known:
        raise MessageError(f"goal_pose is in frame {frame!r}; accepted: {', '.join(known)}")
    q = pose.orientation
    values = (pose.position.x, pose.position.y, q.x, q.y, q.z, q.w)
    if not all(math.isfinite(value) for value in values):
        raise MessageError("goal_pose has numbers that are not finite")
    return pose.position.x, pose.position.y, yaw_of(q.x, q.y, q.z, q.w)


def mean_plan_ms(message: DiagnosticArray, namespace: str) -> float | None:
    """The mean plan time that the `mpc` node of a namespace reports, in ms, when this message is
    from it."""
    times = [status.plan_ms("mean") for status in mpc_statuses(message, namespace)]
    return next((time for time in times if math.isfinite(time)), None)


def rest_position(simulation: Simulation) -> np.ndarray | None:
    """Where position-controlled joints are now: what to hold before the first plan."""
    spec = simulation.task.spec
    measured = dict(zip(spec.state.names, simulation.measure().tolist(), strict=True))
    if not all(name in measured for name in spec.action.names):
        return None
    return np.array([measured[name] for name in spec.action.names])
