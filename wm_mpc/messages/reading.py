"""What messages say, as arrays: pure readings, each of which checks what it is given.

A robot's messages are not to be trusted: a truncated image, a joint that is missing or a NaN must
become one clear `MessageError`, never a picture of garbage in front of the planner. Nothing here
needs ROS: only a message's fields are looked at, so those that rclpy received are read as well as
those that `rosbags` found in a recording (`wm_mpc.data.bag`).
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

# What an Odometry message can carry of a planar base: pose in the odom frame, twist in the base
# frame (m, rad, m/s, rad/s).
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
    """The measured state: float32 (state size,) in the order of `spec.names`.

    Raises MessageError for a name that odometry has not, for numbers that are not finite or too
    large for float32, and for an orientation whose length is not between 0.9 and 1.1.
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
    """The rotation about z (rad, -pi to pi) of a quaternion of any length above 0. NaN when a
    number is not finite."""
    largest = max(abs(x), abs(y), abs(z), abs(w))
    if not 0.0 < largest < math.inf:  # the squares of what is left neither overflow nor vanish
        return 0.0 if largest == 0.0 else math.nan
    x, y, z, w = x / largest, y / largest, z / largest, w / largest
    return math.atan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)


def joint_states_to_state(message: Any, spec: StateSpec) -> np.ndarray:
    """The measured state: float32 (state size,) in the order of `spec.names`.

    A name is a joint's name (its position), or one with the suffix "/velocity" or "/effort".
    Raises MessageError naming a joint or a field that is missing, and for numbers that are not
    finite or too large for float32.
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
    """What one JointState says of some entries of a state; others may come in other messages.

    Args:
        message: a JointState. It may lack joints, and whole fields; both are no fault.
        names: entries of a state, as `joint_states_to_state` has them.

    Returns:
        The numbers by name, and by name what is wrong with those that cannot be used: not finite,
        too large for float32, a field of another length than `name`, a joint named twice.
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
    """As `_found_places`, which remembers; but not what is too large to be a robot's."""
    find = _remembered_places if len(joints) <= _MOST_JOINTS else _found_places
    return find(joints, names)


def _found_places(
    joints: tuple[str, ...], names: tuple[str, ...]
) -> tuple[tuple[str, str, str, int], ...]:
    """Of entries (names) that a message with these joints has: name, joint, field and the joint's
    number; -1 for one that is named twice."""
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
    """A state's name as joint and field: "elbow/velocity" is ("elbow", "velocity")."""
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
    """Inverse of `actions_to_trajectory`: the stamp in nanoseconds and float64 (points, action
    size); names may come in any order.

    Raises MessageError for other joints, a field that is missing, points that are not one control
    period apart, or a number that is not finite or too large for float32. Limits are the executor's
    business.
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
    """Of a `builtin_interfaces/Time` or `/Duration`."""
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)
