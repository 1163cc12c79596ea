"""What messages say, as arrays: pure readings, each of which checks what it is given.

A robot's messages are not to be trusted: a truncated image, a joint that is missing or a NaN must
become one clear `MessageError`, never a picture of garbage in front of the planner. Nothing here
needs ROS: only a message's fields are looked at, so those that rclpy received are read as well as
those that `rosbags` found in a recording (`wm_mpc.data.bag`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wm_mpc.ros.compressed_pictures import compressed_to_rgb, decoded
from wm_mpc.ros.errors import MessageError
from wm_mpc.ros.pictures import image_to_rgb
from wm_mpc.spec import ActionSpec, StateSpec

__all__ = [
    "ACTION_FIELDS",
    "JOINT_FIELDS",
    "ODOMETRY_FIELDS",
    "TWIST_FIELDS",
    "compressed_to_rgb",
    "decoded",
    "image_to_rgb",
    "joint_states_to_state",
    "odometry_to_state",
    "split_joint",
    "to_nanoseconds",
    "trajectory_to_actions",
    "yaw_of",
]

# What an Odometry message can carry of a planar base: pose in the odom frame, twist in the base
# frame (m, rad, m/s, rad/s).
ODOMETRY_FIELDS = ("x", "y", "yaw", "vx", "vy", "wz")

ACTION_FIELDS = {"velocity": "velocities", "position": "positions", "effort": "effort"}
JOINT_FIELDS = ("position", "velocity", "effort")

# Names of actions that a Twist carries (m/s, rad/s), and where.
TWIST_FIELDS = {
    "vx": ("linear", "x"), "vy": ("linear", "y"), "vz": ("linear", "z"),
    "wx": ("angular", "x"), "wy": ("angular", "y"), "wz": ("angular", "z"),
}  # fmt: skip


# -------------------------------------------------------------------------------------- states


def odometry_to_state(message: Any, spec: StateSpec) -> np.ndarray:
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


def _yaw(message: Any) -> float:
    q = message.pose.pose.orientation
    norm = math.sqrt(q.x**2 + q.y**2 + q.z**2 + q.w**2)
    if abs(norm - 1.0) > 0.1:
        raise MessageError(f"odometry: the orientation quaternion has length {norm}; 1 is needed")
    return yaw_of(q.x, q.y, q.z, q.w)


def yaw_of(x: float, y: float, z: float, w: float) -> float:
    """The rotation about z (rad, -pi to pi) of a quaternion of any length above 0."""
    return math.atan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)


def joint_states_to_state(message: Any, spec: StateSpec) -> np.ndarray:
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
    if joint and suffix in JOINT_FIELDS:
        return joint, suffix
    return name, "position"


def _finite_state(source: str, names: Sequence[str], values: Sequence[float]) -> np.ndarray:
    for name, value in zip(names, values, strict=True):
        if not math.isfinite(value):
            raise MessageError(f"{source}: {name} is {value}; finite numbers are needed")
    return np.array(values, np.float32)


# ------------------------------------------------------------------------------------- actions


def trajectory_to_actions(
    message: Any, spec: ActionSpec, control_period: float
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
    field = ACTION_FIELDS[spec.kind]
    tolerance = round(control_period * 1e7)
    rows = []
    for k, point in enumerate(message.points):
        values = getattr(point, field)
        if len(values) != spec.size:
            raise MessageError(
                f"planned_actions: point {k} has {len(values)} {field}; {spec.size} are needed"
            )
        at = to_nanoseconds(point.time_from_start)
        if abs(at - round(k * control_period * 1e9)) > tolerance:
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


def to_nanoseconds(time: Any) -> int:
    """Of a `builtin_interfaces/Time` or `/Duration`."""
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)
