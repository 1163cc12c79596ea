"""Describe the actions of a recording: from the settings where stated, else from the messages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from wm_mpc.data.bag import Bag, BagError, Topic
from wm_mpc.data.bag_arrays import array_kind, array_size, followed
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_joints import Joints
from wm_mpc.data.bag_messages import ARRAY, JOINTS, TRAJECTORY
from wm_mpc.data.bag_points import meaning_of_points
from wm_mpc.data.bag_streams import Clock, CommandStream
from wm_mpc.messages.reading import ACTION_FIELDS, TWIST_FIELDS
from wm_mpc.spec import ActionSpec

UNITS = {"x": "m", "y": "m", "yaw": "rad", "vx": "m/s", "vy": "m/s", "vz": "m/s",
          "wx": "rad/s", "wy": "rad/s", "wz": "rad/s"}  # fmt: skip
# If a message has several of these, controllers follow the first.
_KINDS = ("position", "velocity", "effort")
_MEANS = {"at": "the target at their time", "from": "the action from their time on"}
JOINT_UNITS = {"position": "rad", "velocity": "rad/s", "effort": "N m"}


def first_message(bag: Bag, topic: Topic) -> Any:
    """Return the first decodable message of a topic.

    Args:
        bag: The recording.
        topic: The topic.

    Raises:
        BagError: No message can be decoded.
    """
    message = bag.first(topic.name)
    if message is None:
        raise BagError(f"no message of {topic.name} can be decoded")
    return message


def moving(names: Sequence[str], values: np.ndarray) -> tuple[str, ...]:
    """Return the names of columns that ever differ from 0; all names if none does.

    Args:
        names: Names of the columns.
        values: (rows, columns).
    """
    moving = np.abs(values).max(0, initial=0.0) > 1e-9
    return tuple(itertools.compress(names, moving)) or tuple(names)


def describe_action(
    bag: Bag, topic: Topic, config: BagConfig, notes: list[str], measured: Topic | None = None
) -> ActionSpec:
    """Describe the actions of a recording.

    Args:
        bag: The recording.
        topic: Topic of the commands.
        config: Settings of the import; stated values win.
        notes: Receives a sentence for each guess.
        measured: Topic of the state, if any.

    Raises:
        BagError: A value cannot be inferred.
    """
    wanted = config.action
    first_message(bag, topic)
    names, joints = wanted.names, tuple[str, ...]()
    if wanted.kind is None and topic.type == ARRAY:
        kind, joints = array_kind(bag, topic, measured, notes)
    else:
        kind = wanted.kind or _kind(bag, topic, notes)
        if kind == "position" and topic.type == ARRAY and names is None:
            joints = followed(bag, topic, measured)
    meaning = "from"
    if topic.type == TRAJECTORY:
        meaning, why = meaning_of_points(bag, topic, config)
        if why:
            notes.append(f"trajectory points give {_MEANS[meaning]}: {why}; --trajectory-points")
    if names is None:
        names = joints or _action_names(bag, topic, kind)
        notes.append(f"action {', '.join(names)}, from {topic.name}")
    unit = wanted.unit
    if unit is None:
        of_joints = joints or topic.type != ARRAY
        other = JOINT_UNITS.get(kind, "1") if of_joints else "1"
        known = [UNITS.get(name, other) for name in names]
        unit = ", ".join(dict.fromkeys(known))
        notes.append(f"action unit {unit}")
    low, high = wanted.low, wanted.high
    if low is None or high is None:
        values = _commanded(bag, topic, names, kind, unit, meaning)
        guess = _limits(values, kind, names)
        low, high = low or guess[0], high or guess[1]
        span = ", ".join(f"{n} {a:g} to {b:g}" for n, a, b in zip(names, low, high, strict=False))
        notes.append(
            f"action limits from the commands: {span}; better state the robot's own limits"
        )
    return ActionSpec(names, kind, unit, low, high, wanted.rate_limit)


def _kind(bag: Bag, topic: Topic, notes: list[str]) -> str:
    kind = "velocity"
    if topic.type == TRAJECTORY:
        for item in bag.messages([topic.name]):
            if len(item.message.points):
                point = item.message.points[0]
                kind = next((k for k in _KINDS if len(getattr(point, ACTION_FIELDS[k]))), "")
                break
        if not kind:
            raise BagError(f"the trajectories of {topic.name} have no values")
    elif topic.type == JOINTS:
        kind = ""
        for item in bag.messages([topic.name]):
            if kind := next((k for k in _KINDS if len(getattr(item.message, k))), ""):
                break
        if not kind:
            raise BagError(f"the joints of {topic.name} have no values")
    notes.append(f"actions are of kind {kind}")
    return kind


def _action_names(bag: Bag, topic: Topic, kind: str) -> tuple[str, ...]:
    if topic.type == JOINTS:
        joints = Joints.of(item.message for item in bag.messages([topic.name]))
        return tuple(joints.names)
    if topic.type == ARRAY:
        return tuple(f"action_{i}" for i in range(array_size(bag, topic)))
    if topic.type == TRAJECTORY:
        named = (item.message.joint_names for item in bag.messages([topic.name]))
        if found := tuple(dict.fromkeys(itertools.chain.from_iterable(named))):
            return found
        raise BagError(f"the trajectories of {topic.name} name no joints; state action.names")
    names = tuple(TWIST_FIELDS)
    return moving(names, _commanded(bag, topic, names, kind, ""))


def _commanded(
    bag: Bag, topic: Topic, names: tuple[str, ...], kind: str, unit: str, meaning: str = "from"
) -> np.ndarray:
    """Every commanded action, (commands, size)."""
    size = len(names)
    spec = ActionSpec(names, kind, unit, (-1.0,) * size, (1.0,) * size)
    stream = CommandStream(topic.type, spec, Clock("receive"), meaning)
    for item in bag.messages([topic.name]):
        stream.add_command(item.message, item.received)
    if stream.refused == stream.read:
        raise BagError(f"no message of {topic.name} can be used: {stream.reason}")
    return stream.all_values()


def _limits(
    values: np.ndarray, kind: str, names: Sequence[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Limits around the commanded values, symmetric for velocities and efforts."""
    never = ~np.isfinite(values).any(0)
    if never.any():
        which = ", ".join(itertools.compress(names, never)) if len(values) else "no action"
        raise BagError(
            f"{which} was {'never' if len(values) else 'ever'} commanded; state action.low and "
            "action.high"
        )
    low, high = np.nanmin(values, 0), np.nanmax(values, 0)
    still = np.flatnonzero(high - low < 1e-9)
    if len(still):
        found = ", ".join(f"{names[i]!r} is {low[i]:g}" for i in still.tolist())
        raise BagError(
            f"action {found} in the whole recording; accepted: actions that change. Leave it out "
            "(--action-names, action.names), or state limits (--action-low and --action-high, "
            "action.low and action.high)"
        )
    if kind != "position":
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    return tuple(map(float, low)), tuple(map(float, high))
