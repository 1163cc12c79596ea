"""Between ROS messages and arrays: pure conversions, each of which checks what it is given.

A robot's messages are not to be trusted: a truncated image, a joint that is missing or a NaN must
become one clear `MessageError`, never a picture of garbage in front of the planner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wm_mpc.ros.errors import MessageError
from wm_mpc.ros.images import camera_info, compressed_to_rgb, image_to_rgb, rgb_to_image
from wm_mpc.ros.timing import from_seconds, to_duration, to_nanoseconds
from wm_mpc.spec import ActionSpec, StateSpec

__all__ = [
    "ODOMETRY_FIELDS",
    "MessageError",
    "actions_to_trajectory",
    "add_joints",
    "camera_info",
    "compressed_to_rgb",
    "image_to_rgb",
    "joint_states_to_state",
    "odometry_to_state",
    "rgb_to_image",
    "split_joint",
    "state_to_joint_states",
    "state_to_odometry",
    "trajectory_to_actions",
    "yaw_of",
]

# What an Odometry message can carry of a planar base: pose in the odom frame, twist in the base
# frame (m, rad, m/s, rad/s).
ODOMETRY_FIELDS = ("x", "y", "yaw", "vx", "vy", "wz")

_ACTION_FIELDS = {"velocity": "velocities", "position": "positions", "effort": "effort"}
_JOINT_FIELDS = ("position", "velocity", "effort")


# -------------------------------------------------------------------------------------- states


def odometry_to_state(message: Odometry, spec: StateSpec) -> np.ndarray:
    """The measured state: float32 (state size,) in the order of `spec.names`.

    Raises MessageError for a name that odometry has not, a NaN, or an orientation of length 0.
    """
    unknown = [name for name in spec.names if name not in ODOMETRY_FIELDS]
    if unknown:
        raise MessageError(
            f"odometry has no field {unknown[0]!r}; accepted: {', '.join(ODOMETRY_FIELDS)}"
        )
    position, twist = message.pose.pose.position, message.twist.twist
    values = {
        "x": position.x,
        "y": position.y,
        "vx": twist.linear.x,
        "vy": twist.linear.y,
        "wz": twist.angular.z,
    }
    if "yaw" in spec.names:
        values["yaw"] = _yaw(message)
    return _finite_state("odometry", spec.names, [values[name] for name in spec.names])


def _yaw(message: Odometry) -> float:
    q = message.pose.pose.orientation
    norm = math.sqrt(q.x**2 + q.y**2 + q.z**2 + q.w**2)
    if abs(norm - 1.0) > 0.1:
        raise MessageError(f"odometry: the orientation quaternion has length {norm}; 1 is needed")
    return yaw_of(q.x, q.y, q.z, q.w)


def yaw_of(x: float, y: float, z: float, w: float) -> float:
    """The rotation about z (rad, -pi to pi) of a quaternion of any length above 0."""
    return math.atan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)


def joint_states_to_state(message: JointState, spec: StateSpec) -> np.ndarray:
    """The measured state: float32 (state size,) in the order of `spec.names`.

    A name is a joint's name (its position), or one with the suffix "/velocity" or "/effort".
    Raises MessageError naming a joint or a field that is missing, and for a NaN.
    """
    index = {name: i for i, name in enumerate(message.name)}
    values = []
    for name in spec.names:
        joint, field = split_joint(name)
        if joint not in index:
            known = ", ".join(message.name) or "none"
            raise MessageError(f"joint_states has no joint {joint!r}; it has: {known}")
        numbers = getattr(message, field)
        if len(numbers) != len(message.name):
            raise MessageError(
                f"joint_states has {len(numbers)} values of {field} for {len(message.name)} "
                f"joints; {field} of {joint!r} is needed"
            )
        values.append(numbers[index[joint]])
    return _finite_state("joint_states", spec.names, values)


def split_joint(name: str) -> tuple[str, str]:
    """A state's name as joint and field: "elbow/velocity" is ("elbow", "velocity")."""
    joint, _, suffix = name.rpartition("/")
    if joint and suffix in _JOINT_FIELDS:
        return joint, suffix
    return name, "position"


def _finite_state(source: str, names: Sequence[str], values: Sequence[float]) -> np.ndarray:
    for name, value in zip(names, values, strict=True):
        if not math.isfinite(value):
            raise MessageError(f"{source}: {name} is {value}; finite numbers are needed")
    return np.array(values, np.float32)


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
    columns: dict[str, dict[str, float]] = {field: {} for field in _JOINT_FIELDS}
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
    """Append further joints to a JointState: position and velocity by name; names already there
    stay as they are. A field without a number for some joint is NaN there."""
    known = len(message.name)
    new = {name: row for name, row in joints.items() if name not in message.name}
    message.name = [*message.name, *new]
    for index, field in enumerate(("position", "velocity")):
        present = list(getattr(message, field)) or [math.nan] * known
        setattr(message, field, present + [row[index] for row in new.values()])
    if len(message.effort):
        message.effort = [*message.effort, *[math.nan] * len(new)]


# ------------------------------------------------------------------------------------- actions


def actions_to_trajectory(
    actions: np.ndarray, spec: ActionSpec, control_period: float, stamp: Time
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
    message.header.stamp = stamp
    field = _ACTION_FIELDS[spec.kind]
    for k, action in enumerate(actions.tolist()):
        point = JointTrajectoryPoint(time_from_start=to_duration(from_seconds(k * control_period)))
        setattr(point, field, action)
        message.points.append(point)
    return message


def trajectory_to_actions(
    message: JointTrajectory, spec: ActionSpec, control_period: float
) -> tuple[int, np.ndarray]:
    """Inverse of `actions_to_trajectory`: the stamp in nanoseconds and float64 (points, action
    size); names may come in any order.

    Raises MessageError for other joints, a field that is missing, points that are not one control
    period apart, or a number that is not finite. Limits are the executor's business.
    """
    stamp = to_nanoseconds(message.header.stamp)
    if not message.points:
        return stamp, np.zeros((0, spec.size))
    if sorted(message.joint_names) != sorted(spec.names):
        raise MessageError(
            f"planned_actions is for {', '.join(message.joint_names) or 'no joints'}; "
            f"accepted: {', '.join(spec.names)}"
        )
    field = _ACTION_FIELDS[spec.kind]
    tolerance = from_seconds(control_period * 0.01)
    rows = []
    for k, point in enumerate(message.points):
        values = getattr(point, field)
        if len(values) != spec.size:
            raise MessageError(
                f"planned_actions: point {k} has {len(values)} {field}; {spec.size} are needed"
            )
        at = to_nanoseconds(point.time_from_start)
        if abs(at - from_seconds(k * control_period)) > tolerance:
            raise MessageError(
                f"planned_actions: point {k} is at {at / 1e9} s; {k * control_period:.6g} s is "
                f"needed (one point per control period of {control_period} s)"
            )
        rows.append(values)
    actions = np.array(rows, np.float64)
    if not np.isfinite(actions).all():
        k, dimension = np.argwhere(~np.isfinite(actions))[0]
        raise MessageError(
            f"planned_actions: point {k} of {message.joint_names[dimension]} is "
            f"{actions[k, dimension]}; finite numbers are needed"
        )
    order = [message.joint_names.index(name) for name in spec.names]
    return stamp, actions[:, order]
