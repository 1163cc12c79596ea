"""Turn one recorded message into arrays: an image, a state, a command or a plan.

`wm_mpc.messages.reading` reads the messages that the nodes also use. This module adds the other
types that a recording may contain, and lists the types that each stream accepts.
"""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.reading import (
    ACTION_FIELDS,
    LARGEST,
    TWIST_FIELDS,
    compressed_to_rgb,
    image_to_rgb,
    joint_states_to_state,
    odometry_to_state,
    to_nanoseconds,
)
from wm_mpc.spec import ActionSpec, ImageSpec, StateSpec

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
ODOMETRY, POSE = "nav_msgs/msg/Odometry", "geometry_msgs/msg/PoseStamped"
JOINTS, ARRAY = "sensor_msgs/msg/JointState", "std_msgs/msg/Float64MultiArray"
TWIST, TWIST_STAMPED = "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
STATE_TYPES = (JOINTS, ODOMETRY, POSE, ARRAY)
ACTION_TYPES = (TWIST, TWIST_STAMPED, TRAJECTORY, ARRAY, JOINTS)
ACCEPTED = {"image": IMAGE_TYPES, "state": STATE_TYPES, "action": ACTION_TYPES}


def picture(type_name: str, message: Any, spec: ImageSpec) -> np.ndarray:
    """Read an image.

    Args:
        type_name: One of `IMAGE_TYPES`.
        message: The message.
        spec: The image that the model expects.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        MessageError: The image cannot be read or does not fit `spec`.
    """
    read = image_to_rgb if type_name == IMAGE_TYPES[0] else compressed_to_rgb
    return read(message, spec)


def state(type_name: str, message: Any, spec: StateSpec) -> np.ndarray:
    """Read a state.

    Args:
        type_name: One of `STATE_TYPES`.
        message: The message.
        spec: The state to read.

    Returns:
        float32 (state size,).

    Raises:
        MessageError: An entry is missing or not finite.
    """
    if type_name == JOINTS:
        return joint_states_to_state(message, spec)
    if type_name == ODOMETRY:
        return odometry_to_state(message, spec)
    if type_name == POSE:
        if unknown := set(spec.names) - {"x", "y", "yaw"}:
            raise MessageError(f"a pose has no field {min(unknown)!r}; accepted: x, y, yaw")
        still = types.SimpleNamespace(x=0.0, y=0.0, z=0.0)
        twist = types.SimpleNamespace(linear=still, angular=still)
        odometry = types.SimpleNamespace(
            pose=types.SimpleNamespace(pose=message.pose), twist=types.SimpleNamespace(twist=twist)
        )
        return odometry_to_state(odometry, spec)
    return _numbers(message, spec.size, "state").astype(np.float32)


def command(type_name: str, message: Any, spec: ActionSpec) -> np.ndarray:
    """Read a command of any type except a trajectory.

    Args:
        type_name: One of `ACTION_TYPES` without `TRAJECTORY`.
        message: The message.
        spec: The action to read.

    Returns:
        float64 (action size,).

    Raises:
        MessageError: An entry is missing or not finite.
    """
    if type_name in (TWIST, TWIST_STAMPED):
        twist = message.twist if type_name == TWIST_STAMPED else message
        if unknown := [name for name in spec.names if name not in TWIST_FIELDS]:
            raise MessageError(
                f"a twist has no field {unknown[0]!r}; accepted: {', '.join(TWIST_FIELDS)}"
            )
        fields = [TWIST_FIELDS[name] for name in spec.names]
        values = np.array([getattr(getattr(twist, part), axis) for part, axis in fields])
    elif type_name == JOINTS:
        names = tuple(f"{name}/{spec.kind}" for name in spec.names)
        return joint_states_to_state(message, StateSpec(names, names, "joint_states")).astype(
            np.float64
        )
    else:
        return _numbers(message, spec.size, "action")
    return _finite(values, spec.names)


def trajectory(message: Any, spec: ActionSpec) -> tuple[np.ndarray, np.ndarray]:
    """Read a trajectory whose points apply from their time on.

    Args:
        message: A JointTrajectory.
        spec: The action to read.

    Returns:
        Times from the start, int64 ns (points,), and values, float64 (points, action size).

    Raises:
        MessageError: A joint or value is missing or not finite, or times do not ascend.
    """
    names = list(message.joint_names)
    if not len(message.points):
        return np.zeros(0, np.int64), np.zeros((0, spec.size))
    if missing := [name for name in spec.names if name not in names]:
        raise MessageError(
            f"trajectory has no joint {missing[0]!r}; it has: {', '.join(names) or 'none'}"
        )
    columns = [names.index(name) for name in spec.names]
    field = ACTION_FIELDS[spec.kind]
    offsets, rows = [], []
    for k, point in enumerate(message.points):
        values = getattr(point, field)
        if len(values) != len(names):
            raise MessageError(
                f"trajectory: point {k} has {len(values)} {field} for {len(names)} joints"
            )
        offsets.append(to_nanoseconds(point.time_from_start))
        rows.append(_finite(np.asarray(values, np.float64)[columns], spec.names))
    if (np.diff(offsets) <= 0).any():
        raise MessageError("trajectory: the points' times do not ascend")
    return np.array(offsets, np.int64), np.stack(rows)


def targets(message: Any, spec: ActionSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read a trajectory whose points are targets at their times.

    Args:
        message: A JointTrajectory.
        spec: The action to read.

    Returns:
        Times from the start, int64 ns (points,); values of the action's kind, float64 (points,
        action size); positions likewise, or None if a point has none. Joints that the trajectory
        does not name are NaN and stay where they are. Without values, but with positions, the
        values are NaN.

    Raises:
        MessageError: No joint fits, values are missing or not finite, or times do not ascend.
    """
    names = list(message.joint_names)
    if not len(message.points):
        return np.zeros(0, np.int64), np.zeros((0, spec.size)), None
    mine = [k for k, name in enumerate(spec.names) if name in names]
    if not mine:
        raise MessageError(
            f"trajectory has none of {', '.join(spec.names)}; it has: {', '.join(names) or 'none'}"
        )
    columns = [names.index(spec.names[k]) for k in mine]
    offsets = [to_nanoseconds(point.time_from_start) for point in message.points]
    if (np.diff(offsets) <= 0).any():
        raise MessageError("trajectory: the points' times do not ascend")
    fields = {"values": ACTION_FIELDS[spec.kind], "positions": ACTION_FIELDS["position"]}
    rows = {name: np.full((len(offsets), spec.size), math.nan) for name in fields}
    there = dict.fromkeys(fields, True)
    for k, point in enumerate(message.points):
        for name, field in fields.items():
            numbers = np.asarray(getattr(point, field), np.float64)
            if len(numbers) not in (0, len(names)):
                raise MessageError(
                    f"trajectory: point {k} has {len(numbers)} {field} for {len(names)} joints"
                )
            there[name] &= len(numbers) > 0
            if len(numbers):
                _finite(numbers[columns], [spec.names[i] for i in mine])
                rows[name][k, mine] = numbers[columns]
    if not there["values"] and not (there["positions"] and spec.kind == "velocity"):
        raise MessageError(f"trajectory: not all points have {fields['values']}")
    return (
        np.array(offsets, np.int64),
        rows["values"],
        rows["positions"] if there["positions"] else None,
    )


def array_numbers(message: Any) -> np.ndarray:
    """Return the numbers of a Float64MultiArray, float64 (n,), without the padding at the front.

    Args:
        message: The message.
    """
    return np.asarray(message.data, np.float64)[message.layout.data_offset :]


def _numbers(message: Any, size: int, what: str) -> np.ndarray:
    values = array_numbers(message)
    if len(values) != size:
        raise MessageError(f"{what} has {len(values)} numbers; {size} are needed")
    return _finite(values, [f"{what}[{i}]" for i in range(size)])


def _finite(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    for name, value in zip(names, values, strict=True):
        if not abs(value) <= LARGEST:
            accepted = f"numbers up to {LARGEST:.2g} (float32)"
            raise MessageError(f"{name} is {value:g}; accepted: finite {accepted}")
    return values
