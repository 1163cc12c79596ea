"""Read messages as arrays, and check each of them.

A robot's messages cannot be trusted: a truncated image, a missing joint or a NaN must become one
clear `MessageError`, never bad input for the planner. Nothing here needs ROS. Only the fields of a
message matter, so messages from rclpy and messages that `rosbags` finds in a recording
(`wm_mpc.data.bag`) both work.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wm_mpc.messages.compressed_pictures import compressed_to_rgb, decoded
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.pictures import image_to_rgb
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

# Fields of an Odometry message for a planar base: pose in the odom frame, twist in the base frame
# (m, rad, m/s, rad/s).
ODOMETRY_FIELDS = ("x", "y", "yaw", "vx", "vy", "wz")

ACTION_FIELDS = {"velocity": "velocities", "position": "positions", "effort": "effort"}
JOINT_FIELDS = ("position", "velocity", "effort")
LARGEST = float(np.finfo(np.float32).max)  # what a state, which is float32, can hold

# Names of actions that a Twist carries (m/s, rad/s), and where.
TWIST_FIELDS = {
    "vx": ("linear", "x"), "vy": ("linear", "y"), "vz": ("linear", "z"),
    "wx": ("angular", "x"), "wy": ("angular", "y"), "wz": ("angular", "z"),
}  # fmt: skip


# -------------------------------------------------------------------------------------- states


def odometry_to_state(message: Any, spec: StateSpec) -> np.ndarray:
    """Read the state from an Odometry message.

    Args:
        message: An Odometry message.
        spec: The state to read.

    Returns:
        float32 (state size,) in the order of `spec.names`.

    Raises:
        MessageError: Odometry does not have a name, a number is not finite or too large for
            float32, or the length of the orientation is not between 0.9 and 1.1.
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
    length = math.hypot(q.x, q.y, q.z, q.w)
    if not abs(length - 1.0) <= 0.1:
        raise MessageError(
            f"odometry: the orientation quaternion has length {length}; accepted: 0.9 to 1.1"
        )
    return yaw_of(q.x, q.y, q.z, q.w)


def yaw_of(x: float, y: float, z: float, w: float) -> float:
    """Return the rotation about z of a quaternion of any length above 0.

    Args:
        x: Component of the quaternion.
        y: Component of the quaternion.
        z: Component of the quaternion.
        w: Component of the quaternion.

    Returns:
        rad, -pi to pi; NaN if a number is not finite.
    """
    largest = max(abs(x), abs(y), abs(z), abs(w))
    if not 0.0 < largest < math.inf:  # otherwise scaled squares neither overflow nor vanish
        return 0.0 if largest == 0.0 else math.nan
    x, y, z, w = x / largest, y / largest, z / largest, w / largest
    return math.atan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)


def joint_states_to_state(message: Any, spec: StateSpec) -> np.ndarray:
    """Read the state from a JointState.

    Args:
        message: A JointState.
        spec: The state to read. A name is that of a joint (its position), or ends with "/velocity"
            or "/effort".

    Returns:
        float32 (state size,) in the order of `spec.names`.

    Raises:
        MessageError: A joint or a field is missing, or a number is not finite or too large for
            float32.
    """
    values, faults = joint_entries(message, spec.names)
    for name in spec.names:
        if name in faults:
            raise MessageError(faults[name])
        if name not in values:
            joint, field = split_joint(name)
            if joint in message.name:
                raise MessageError(_field_fault(message, joint, field))
            known = ", ".join(message.name) or "none"
            raise MessageError(f"joint_states has no joint {joint!r}; it has: {known}")
    return np.array([values[name] for name in spec.names], np.float32)


def joint_entries(message: Any, names: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Read those entries of a state that one JointState has; others may arrive in other messages.

    Args:
        message: A JointState, which may lack joints and whole fields.
        names: Entries of a state, as in `joint_states_to_state`.

    Returns:
        Numbers by name, and by name the faults of numbers that cannot be used: not finite, too
            large for float32, a field of another length than `name`, or a joint named twice.
    """
    values: dict[str, float] = {}
    faults: dict[str, str] = {}
    count = len(message.name)
    for name, joint, field, index in _places(tuple(message.name), tuple(names)):
        numbers = getattr(message, field)
        if len(numbers) != count:
            if len(numbers):
                faults[name] = _field_fault(message, joint, field)
            continue
        if index < 0:
            faults[name] = f"joint_states names the joint {joint!r} twice; once is accepted"
            continue
        value = float(numbers[index])
        if abs(value) <= LARGEST:
            values[name] = value
        else:
            faults[name] = _number_fault("joint_states", name, value)
    return values, faults


def _places(
    joints: tuple[str, ...], names: tuple[str, ...]
) -> tuple[tuple[str, str, str, int], ...]:
    """Like `_found_places`, which caches, but without the cache for messages too large for a
    robot."""
    find = _remembered_places if len(joints) <= _MOST_JOINTS else _found_places
    return find(joints, names)


def _found_places(
    joints: tuple[str, ...], names: tuple[str, ...]
) -> tuple[tuple[str, str, str, int], ...]:
    """Name, joint, field and number of the joint for each entry in a message with these joints;
    -1 for a joint named twice."""
    found = []
    for name in names:
        joint, field = split_joint(name)
        if joint in joints:
            index = joints.index(joint) if joints.count(joint) == 1 else -1
            found.append((name, joint, field, index))
    return tuple(found)


_MOST_JOINTS = 200
_remembered_places = functools.lru_cache(maxsize=256)(_found_places)


def _field_fault(message: Any, joint: str, field: str) -> str:
    return (
        f"joint_states has {len(getattr(message, field))} values of {field} for "
        f"{len(message.name)} joints; {field} of {joint!r} is needed"
    )


def split_joint(name: str) -> tuple[str, str]:
    """Split a state's name into joint and field.

    Args:
        name: Such as "elbow/velocity".

    Returns:
        Such as ("elbow", "velocity"); the field is "position" by default.
    """
    joint, _, suffix = name.rpartition("/")
    if joint and suffix in JOINT_FIELDS:
        return joint, suffix
    return name, "position"


def _finite_state(source: str, names: Sequence[str], values: Sequence[float]) -> np.ndarray:
    for name, value in zip(names, values, strict=True):
        if not abs(value) <= LARGEST:
            raise MessageError(_number_fault(source, name, value))
    return np.array(values, np.float32)


def _number_fault(source: str, name: str, value: float) -> str:
    if not math.isfinite(value):
        return f"{source}: {name} is {value}; finite numbers are needed"
    return f"{source}: {name} is {value:g}; accepted: numbers up to {LARGEST:.2g} (float32)"


# ------------------------------------------------------------------------------------- actions


def trajectory_to_actions(
    message: Any, spec: ActionSpec, control_period: float
) -> tuple[int, np.ndarray]:
    """Read a plan; the inverse of `actions_to_trajectory`. Limits are checked by the executor.

    Args:
        message: A JointTrajectory with names in any order.
        spec: The action.
        control_period: Time between two points, s.

    Returns:
        The stamp, ns, and actions, float64 (points, action size).

    Raises:
        MessageError: The joints differ, a field is missing, points are not one control period
            apart, or a number is not finite or too large for float32.
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
    wrong = ~(np.abs(actions) <= LARGEST)
    if wrong.any():
        k, dimension = np.argwhere(wrong)[0]
        what = f"point {k} of {message.joint_names[dimension]}"
        raise MessageError(_number_fault("planned_actions", what, actions[k, dimension]))
    order = [message.joint_names.index(name) for name in spec.names]
    return stamp, actions[:, order]


def to_nanoseconds(time: Any) -> int:
    """Convert a `builtin_interfaces/Time` or `/Duration` to ns.

    Args:
        time: The message.
    """
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)
