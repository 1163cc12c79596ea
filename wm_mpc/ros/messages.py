"""Between ROS messages and arrays: pure conversions, each of which checks what it is given.

The way from messages to arrays needs no ROS: `wm_mpc.messages.reading`. What has ROS anyway
imports both ways from here.
"""

from __future__ import annotations

import array
import functools
import math
from collections.abc import Mapping

import numpy as np
from builtin_interfaces.msg import Duration, Time
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.reading import (
    ACTION_FIELDS,
    JOINT_FIELDS,
    ODOMETRY_FIELDS,
    compressed_to_rgb,
    image_to_rgb,
    joint_entries,
    joint_states_to_state,
    odometry_to_state,
    split_joint,
    trajectory_to_actions,
    yaw_of,
)
from wm_mpc.ros.images import camera_info, pose_message, rgb_to_image
from wm_mpc.ros.timing import from_seconds, to_duration
from wm_mpc.spec import ActionSpec, StateSpec

__all__ = [
    "ODOMETRY_FIELDS",
    "MessageError",
    "actions_to_trajectory",
    "add_joints",
    "camera_info",
    "compressed_to_rgb",
    "image_to_rgb",
    "joint_entries",
    "joint_states_to_state",
    "odometry_to_state",
    "pose_message",
    "rgb_to_image",
    "split_joint",
    "state_to_joint_states",
    "state_to_odometry",
    "trajectory_to_actions",
    "yaw_of",
]


# -------------------------------------------------------------------------------------- states


def state_to_odometry(
    values: Mapping[str, float],
    stamp: Time,
    frame_id: str = "odom",
    child_frame_id: str = "base_link",
) -> Odometry:
    """Odometry from numbers by name (`ODOMETRY_FIELDS`); what is not given is 0.

    Raises MessageError for any other name.
    """
    unknown = [name for name in values if name not in ODOMETRY_FIELDS]
    if unknown:
        raise MessageError(
            f"odometry has no field {unknown[0]!r}; accepted: {', '.join(ODOMETRY_FIELDS)}"
        )
    number = {name: float(values.get(name, 0.0)) for name in ODOMETRY_FIELDS}
    message = Odometry(child_frame_id=child_frame_id)
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.x, pose.position.y = number["x"], number["y"]
    pose.orientation.z = math.sin(number["yaw"] / 2.0)
    pose.orientation.w = math.cos(number["yaw"] / 2.0)
    twist.linear.x, twist.linear.y, twist.angular.z = number["vx"], number["vy"], number["wz"]
    return message


def state_to_joint_states(state: np.ndarray, spec: StateSpec, stamp: Time) -> JointState:
    """JointState from a state vector (state size,) in the order of `spec.names`.

    A field (position, velocity, effort) that some joint has and another has not is NaN there.
    """
    if np.shape(state) != (spec.size,):
        raise MessageError(f"state has shape {np.shape(state)}; {spec.size} numbers are needed")
    columns: dict[str, dict[str, float]] = {field: {} for field in JOINT_FIELDS}
    joints: dict[str, None] = {}
    for name, value in zip(spec.names, state, strict=True):
        joint, field = split_joint(name)
        joints[joint] = None
        columns[field][joint] = float(value)
    message = JointState(name=list(joints))
    message.header.stamp = stamp
    for field, column in columns.items():
        if column:
            setattr(message, field, [column.get(joint, math.nan) for joint in joints])
    return message


def add_joints(message: JointState, joints: Mapping[str, tuple[float, float]]) -> None:
    """Add joints to a JointState: position and velocity by name; numbers already there stay as they
    are. A field without a number for some joint is NaN there."""
    known = len(message.name)
    new = [name for name in joints if name not in message.name]
    message.name = [*message.name, *new]
    for index, field in enumerate(("position", "velocity")):
        present = list(getattr(message, field)) or [math.nan] * known
        present += [math.nan] * len(new)
        # A measured velocity leaves the position of its joint open.
        given = [joints[name][index] if name in joints else math.nan for name in message.name]
        pairs = zip(present, given, strict=True)
        setattr(message, field, [b if math.isnan(a) else a for a, b in pairs])
    if len(message.effort):
        message.effort = [*message.effort, *[math.nan] * len(new)]


# ------------------------------------------------------------------------------------- actions


def actions_to_trajectory(
    actions: np.ndarray,
    spec: ActionSpec,
    control_period: float,
    stamp: Time,
) -> JointTrajectory:
    """A plan as `planned_actions`: actions (points, action size) in the action's unit, one point
    per control period (s) from `stamp` on; no points mean "hold now".

    Raises MessageError for another shape or a number that is not finite.
    """
    actions = np.asarray(actions, np.float64)
    if actions.size == 0:
        actions = actions.reshape(0, spec.size)
    if actions.ndim != 2 or actions.shape[1] != spec.size:
        raise MessageError(f"plan has shape {actions.shape}; (points, {spec.size}) is needed")
    if not np.isfinite(actions).all():
        raise MessageError("plan has numbers that are not finite")
    message = JointTrajectory(joint_names=list(spec.names))
    offsets = _offsets(len(actions), control_period)
    message.points = [JointTrajectoryPoint(time_from_start=offset) for offset in offsets]
    message.header.stamp = stamp
    field = ACTION_FIELDS[spec.kind]
    for point, action in zip(message.points, actions, strict=True):
        # A message does not look at every element of an array, as it does with a list.
        setattr(point, field, array.array("d", action.tobytes()))
    return message


@functools.lru_cache(maxsize=64)
def _offsets(count: int, period: float) -> tuple[Duration, ...]:
    """Times (s apart) of a plan's points; messages share them, so they are not to be changed."""
    return tuple(to_duration(from_seconds(k * period)) for k in range(count))
