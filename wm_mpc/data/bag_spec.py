"""The robot's description for a dataset from a recording: what was said, else what the bag tells.

Every guess is a note that is printed: a wrong limit or period would be learned like a right one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from wm_mpc.data.bag import Bag, BagError, Topic
from wm_mpc.data.bag_angles import angles
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_joints import Joints
from wm_mpc.data.bag_messages import (
    ARRAY,
    IMAGE_TYPES,
    JOINTS,
    ODOMETRY,
    POSE,
    TRAJECTORY,
    state,
)
from wm_mpc.data.bag_points import meaning_of_points
from wm_mpc.data.bag_streams import Clock, CommandStream
from wm_mpc.data.bag_topics import find_topics
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.pictures import FULL_RANGE, largest_value
from wm_mpc.messages.reading import ACTION_FIELDS, TWIST_FIELDS, split_joint, to_nanoseconds
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, SpecError, StateSpec

_SIZE = 64  # pixels
_LOOK = 500  # pictures from which the period is taken
_UNITS = {"x": "m", "y": "m", "yaw": "rad", "vx": "m/s", "vy": "m/s", "vz": "m/s",
          "wx": "rad/s", "wy": "rad/s", "wz": "rad/s"}  # fmt: skip
# Where several are given, controllers follow the first of these.
_KINDS = ("position", "velocity", "effort")
_MEANS = {"at": "where to be at their time", "from": "what applies from their time on"}
_JOINT_UNITS = {"position": "rad", "velocity": "rad/s", "effort": "N m"}


@dataclasses.dataclass(frozen=True)
class Description:
    """spec: the robot; topics: "image", "action" and maybe "state"; notes: what was inferred."""

    spec: RobotSpec
    topics: dict[str, Topic]
    notes: tuple[str, ...]


def describe(bag: Bag, config: BagConfig, robot: RobotSpec | None = None) -> Description:
    """The robot of a recording, unless it is known already. Raises BagError for a topic that is
    missing or of a wrong type, a guess that cannot be made, and a description that contradicts
    itself."""
    notes: list[str] = []
    topics = find_topics(bag, config, notes)
    if robot is None:
        try:
            robot = _robot(bag, topics, config, notes)
        except (SpecError, MessageError) as error:
            raise BagError(str(error)) from None
    else:
        notes.append("the robot as the dataset describes it")
    if robot.action.kind == "position" and config.action.rule == "integrate":
        raise BagError("actions are positions, which are held: --action-rule hold")
    return Description(robot, topics, tuple(notes))


def _robot(bag: Bag, topics: dict[str, Topic], config: BagConfig, notes: list[str]) -> RobotSpec:
    image = _image(bag, topics["image"], config, notes)
    action = _action(bag, topics["action"], config, notes)
    measured = StateSpec((), (), config.state.source or "odom")
    if "state" in topics:
        measured = _state(bag, topics, action, config, notes)
    period = config.control_period or _period(bag, topics, config, notes)
    return RobotSpec(
        config.task, action, measured, image, period, config.frame_skip, config.history
    )


def _image(bag: Bag, topic: Topic, config: BagConfig, notes: list[str]) -> ImageSpec:
    height = config.image.height or config.image.width or _SIZE
    width = config.image.width or height
    if config.image.height is None or config.image.width is None:
        notes.append(f"pictures are scaled to {height}x{width}, whatever their shape")
    stated = config.image.value_range
    if stated is None and topic.type == IMAGE_TYPES[0]:
        stated = _whole_range(bag, topic, notes)
    return ImageSpec(height, width, value_range=None if stated is None else (stated[0], stated[1]))


def _whole_range(bag: Bag, topic: Topic, notes: list[str]) -> tuple[float, float] | None:
    """Of encodings that use all of their 16 bits; None for others. Raises BagError where a camera
    obviously does not use them: its pictures would be nearly black."""
    largest, encoding = 0, ""
    for item in itertools.islice(bag.messages([topic.name]), _LOOK // 10):
        if (found := largest_value(item.message)) is not None:
            largest, encoding = max(largest, found), item.message.encoding
    if not encoding:
        return None
    if largest < FULL_RANGE[1] / 8:
        raise BagError(
            f"the {encoding} pictures of {topic.name} go to {largest}, of {FULL_RANGE[1]:g} that "
            f"16 bits hold: state the values that become black and white, such as --image-range "
            f"0,{2 ** max(largest, 1).bit_length() - 1}"
        )
    notes.append(f"{encoding} pictures: 0 becomes black, 65535 white; --image-range says otherwise")
    return FULL_RANGE


def _first(bag: Bag, topic: Topic) -> Any:
    message = bag.first(topic.name)
    if message is None:
        raise BagError(f"no message of {topic.name} can be decoded")
    return message


def _state(
    bag: Bag, topics: dict[str, Topic], action: ActionSpec, config: BagConfig, notes: list[str]
) -> StateSpec:
    wanted, topic = config.state, topics["state"]
    source = wanted.source or ("odom" if topic.type in (ODOMETRY, POSE) else "joint_states")
    names = wanted.names
    if topic.type == JOINTS:
        joints = Joints.of(item.message for item in bag.messages([topic.name]))
        names = names or _joint_names(joints, topic, topics["action"], action, notes)
        if restless := joints.restless(names):
            notes.append(
                f"WARNING the position of {', '.join(restless)} jumps to and fro: do several "
                f"publishers of {topic.name} say different things?"
            )
    names = names or _state_names(bag, topic, source, notes)
    unit = wanted.unit
    if unit is None:
        of_joints = source == "joint_states" and topic.type != ARRAY
        unit = tuple(
            _JOINT_UNITS[split_joint(name)[1]] if of_joints else _UNITS.get(name, "1")
            for name in names
        )
        notes.append(f"state units {', '.join(unit)}")
    if topic.type in (POSE, ARRAY):
        kind = {"odom": "Odometry", "joint_states": "JointState"}[source]
        notes.append(f"at run time, mpc reads the state from a {kind} with these names")
    moved = action.names if action.kind == "position" else ()
    wrapping = angles(bag, topic, names, source, moved, config, notes)
    return StateSpec(names, unit, source, wrapping)


def _joint_names(
    joints: Joints, topic: Topic, commands: Topic, action: ActionSpec, notes: list[str]
) -> tuple[str, ...]:
    """The joints of the robot, whoever publishes them."""
    named = action.names if commands.type in (JOINTS, TRAJECTORY) else ()
    names, others = joints.robot(named, action.size if commands.type == ARRAY else None)
    if not names:
        raise BagError(f"{topic.name} has no joint positions; give state.names")
    notes.append(f"state {', '.join(names)}, from {topic.name}")
    if unmeasured := joints.unmeasured(names):
        notes.append(
            f"not in the state: {', '.join(unmeasured)}, which no message has a position of"
        )
    if others:
        notes.append(
            f"not in the state: {', '.join(others)}, which another publisher of {topic.name} has "
            "(--state-names)"
        )
    return tuple(names)


def _state_names(bag: Bag, topic: Topic, source: str, notes: list[str]) -> tuple[str, ...]:
    if topic.type == ARRAY:
        names = tuple(f"state_{i}" for i in range(len(_first(bag, topic).data)))
    elif topic.type == POSE:
        names = ("x", "y", "yaw")
    else:
        # Where it is in its odometry frame means nothing on another day: how it moves does.
        candidates = ("vx", "vy", "wz")
        spec = StateSpec(candidates, ("1",) * 3, source)
        rows = []
        for item in bag.messages([topic.name]):
            with contextlib.suppress(MessageError):  # those are told of when they are left out
                rows.append(state(ODOMETRY, item.message, spec))
        names = _moving(candidates, np.array(rows).reshape(-1, 3))
    notes.append(f"state {', '.join(names)}, from {topic.name}")
    return names


def _moving(names: Sequence[str], values: np.ndarray) -> tuple[str, ...]:
    """The names of columns that ever differ from 0; all when none does."""
    moving = np.abs(values).max(0, initial=0.0) > 1e-9
    return tuple(itertools.compress(names, moving)) or tuple(names)


def _action(bag: Bag, topic: Topic, config: BagConfig, notes: list[str]) -> ActionSpec:
    wanted, first = config.action, _first(bag, topic)
    kind = wanted.kind or _kind(bag, topic, notes)
    names = wanted.names
    meaning = "from"
    if topic.type == TRAJECTORY:
        meaning, why = meaning_of_points(bag, topic, config)
        if why:
            notes.append(
                f"the points of trajectories say {_MEANS[meaning]}: {why}; --trajectory-points"
            )
    if names is None:
        names = _action_names(bag, topic, first, kind)
        notes.append(f"action {', '.join(names)}, from {topic.name}")
    unit = wanted.unit
    if unit is None:
        joints = "1" if topic.type == ARRAY else _JOINT_UNITS.get(kind, "1")
        known = [_UNITS.get(name, joints) for name in names]
        unit = ", ".join(dict.fromkeys(known))
        notes.append(f"action unit {unit}")
    low, high = wanted.low, wanted.high
    if low is None or high is None:
        values = _commanded(bag, topic, names, kind, unit, meaning)
        guess = _limits(values, kind, names)
        low, high = low or guess[0], high or guess[1]
        told = ", ".join(f"{n} {a:g} to {b:g}" for n, a, b in zip(names, low, high, strict=False))
        notes.append(f"action limits from what was commanded: {told}; better state the robot's own")
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


def _action_names(bag: Bag, topic: Topic, first: Any, kind: str) -> tuple[str, ...]:
    if topic.type == JOINTS:
        joints = Joints.of(item.message for item in bag.messages([topic.name]))
        return tuple(joints.names)
    if topic.type == ARRAY:
        return tuple(f"action_{i}" for i in range(len(first.data)))
    if topic.type == TRAJECTORY:
        named = (item.message.joint_names for item in bag.messages([topic.name]))
        if found := tuple(dict.fromkeys(itertools.chain.from_iterable(named))):
            return found
        raise BagError(f"the trajectories of {topic.name} name no joints; give action.names")
    names = tuple(TWIST_FIELDS)
    return _moving(names, _commanded(bag, topic, names, kind, ""))


def _commanded(
    bag: Bag, topic: Topic, names: tuple[str, ...], kind: str, unit: str, meaning: str = "from"
) -> np.ndarray:
    """Every commanded action (commands, size)."""
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
    """Around what was commanded: the same both ways for velocities and efforts."""
    never = ~np.isfinite(values).any(0)
    if never.any():
        which = ", ".join(itertools.compress(names, never)) if len(values) else "no action"
        raise BagError(
            f"{which} was {'never' if len(values) else 'ever'} commanded; give action.low and "
            "action.high"
        )
    low, high = np.nanmin(values, 0), np.nanmax(values, 0)
    still = np.flatnonzero(high - low < 1e-9)
    if len(still):
        raise BagError(
            f"action {names[still[0]]!r} is {low[still[0]]:g} in all of the recording; leave it "
            "out of action.names, or give action.low and action.high"
        )
    if kind != "position":
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    return tuple(map(float, low)), tuple(map(float, high))


def _period(bag: Bag, topics: dict[str, Topic], config: BagConfig, notes: list[str]) -> float:
    """Of the points of a trajectory that apply from their time on, else of the pictures."""
    plans = topics["action"].type == TRAJECTORY
    if plans and meaning_of_points(bag, topics["action"], config)[0] == "from":
        for item in bag.messages([topics["action"].name]):
            if len(item.message.points) > 1:
                offsets = [to_nanoseconds(p.time_from_start) for p in item.message.points]
                period = round(float(np.median(np.diff(offsets))) / 1e9, 6)
                notes.append(f"control period {period:g} s, between two points of a trajectory")
                return period
    clock = Clock(config.stamps)
    messages = itertools.islice(bag.messages([topics["image"].name]), _LOOK)
    times = np.array([clock.moment(item.message, item.received) for item in messages], np.int64)
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps):
        raise BagError(f"{topics['image'].name} has too few pictures to tell the control period")
    period = max(0.001, round(float(np.median(steps)) / 1e9, 3))
    notes.append(f"control period {period:g} s, between two pictures")
    return period
