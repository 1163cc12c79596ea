"""Describe the robot of a recording: from the settings where stated, else from the messages.

Each guess adds a note that is printed, because the model would learn a wrong limit or period just
like a right one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools

import numpy as np

from wm_mpc.data.bag import Bag, BagError, Topic
from wm_mpc.data.bag_action import JOINT_UNITS, UNITS, describe_action, moving
from wm_mpc.data.bag_angles import angles
from wm_mpc.data.bag_arrays import array_size
from wm_mpc.data.bag_cameras import describe_cameras
from wm_mpc.data.bag_config import BagConfig, CameraConfig
from wm_mpc.data.bag_doubts import doubts
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
from wm_mpc.data.bag_streams import Clock
from wm_mpc.data.bag_topics import find_topics
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.pictures import FULL_RANGE, largest_value
from wm_mpc.messages.reading import split_joint, to_nanoseconds
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, SpecError, StateSpec

_SIZE = 64  # pixels
_LOOK = 500  # images that give the period


@dataclasses.dataclass(frozen=True)
class Description:
    """The description of a recording.

    Attributes:
        spec: The robot.
        topics: Topics by role: "image", "action" and possibly "state".
        notes: One sentence for each guess.
        doubts: One warning for each thing to look at before training, as `bag_doubts` finds them.
    """

    spec: RobotSpec
    topics: dict[str, Topic]
    notes: tuple[str, ...]
    doubts: tuple[str, ...] = ()


def describe(bag: Bag, config: BagConfig, robot: RobotSpec | None = None) -> Description:
    """Describe the robot of a recording.

    Args:
        bag: The recording.
        config: Settings of the import.
        robot: The robot, if a dataset already describes it.

    Raises:
        BagError: A topic is missing or has the wrong type, a value cannot be inferred, or the
            description contradicts itself.
    """
    notes: list[str] = []
    topics = find_topics(bag, config, notes)
    if robot is None:
        try:
            robot = _robot(bag, topics, config, notes)
        except (SpecError, MessageError) as error:
            raise BagError(str(error)) from None
    else:
        notes.append("the description of the robot comes from the dataset")
    if robot.action.kind == "position" and config.action.rule == "integrate":
        raise BagError(
            "action.rule is 'integrate', but the actions are positions; accepted: --action-rule "
            "hold"
        )
    return Description(robot, topics, tuple(notes), tuple(doubts(bag, topics, robot)))


def _robot(bag: Bag, topics: dict[str, Topic], config: BagConfig, notes: list[str]) -> RobotSpec:
    image = _image(bag, topics, config, notes)
    action = describe_action(bag, topics["action"], config, notes, topics.get("state"))
    measured = StateSpec((), (), config.state.source or "odom")
    if "state" in topics:
        measured = _state(bag, topics, action, config, notes)
    period = config.control_period or _period(bag, topics, config, notes)
    return RobotSpec(
        config.task, action, measured, image, period, config.frame_skip, config.history
    )


def _image(bag: Bag, topics: dict[str, Topic], config: BagConfig, notes: list[str]) -> ImageSpec:
    topic = topics["image"]
    if config.image.cameras:

        def range_of(of: Topic, camera: CameraConfig) -> tuple[float, float] | None:
            stated = camera.value_range
            if stated is not None:
                return stated[0], stated[1]
            return _whole_range(bag, of, notes) if of.type == IMAGE_TYPES[0] else None

        return describe_cameras(topics, config, _SIZE, range_of)
    height = config.image.height or config.image.width or _SIZE
    width = config.image.width or height
    if config.image.height is None or config.image.width is None:
        notes.append(f"images of any shape are scaled to {height}x{width}")
    stated = config.image.value_range
    if stated is None and topic.type == IMAGE_TYPES[0]:
        stated = _whole_range(bag, topic, notes)
    return ImageSpec(height, width, value_range=None if stated is None else (stated[0], stated[1]))


def _whole_range(bag: Bag, topic: Topic, notes: list[str]) -> tuple[float, float] | None:
    """The range of encodings that use all of their 16 bits, None for others. Raises BagError if
    the camera clearly uses fewer, because its images would be nearly black."""
    largest, encoding = 0, ""
    for item in itertools.islice(bag.messages([topic.name]), _LOOK // 10):
        if (found := largest_value(item.message)) is not None:
            largest, encoding = max(largest, found), item.message.encoding
    if not encoding:
        return None
    if largest < FULL_RANGE[1] / 8:
        raise BagError(
            f"the largest value in the {encoding} images of {topic.name} is {largest}, far below "
            f"the {FULL_RANGE[1]:g} of 16 bits: state the values that become black and white, such "
            f"as --image-range 0,{2 ** max(largest, 1).bit_length() - 1}"
        )
    notes.append(f"{encoding} images: 0 becomes black, 65535 white; --image-range changes this")
    return FULL_RANGE


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
                f"WARNING the position of {', '.join(restless)} jumps back and forth: do several "
                f"publishers of {topic.name} disagree?"
            )
    names = names or _state_names(bag, topic, source, notes)
    unit = wanted.unit
    if unit is None:
        of_joints = source == "joint_states" and topic.type != ARRAY
        unit = tuple(
            JOINT_UNITS[split_joint(name)[1]] if of_joints else UNITS.get(name, "1")
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
    """The joints of the robot, from all its publishers."""
    named = action.names if commands.type in (JOINTS, TRAJECTORY) else ()
    names, others = joints.robot(named, action.size if commands.type == ARRAY else None)
    if not names:
        raise BagError(f"{topic.name} has no joint positions; state state.names")
    notes.append(f"state {', '.join(names)}, from {topic.name}")
    if unmeasured := joints.unmeasured(names):
        notes.append(
            f"not in the state: {', '.join(unmeasured)}, because no message has a position"
        )
    if others:
        notes.append(
            f"not in the state: {', '.join(others)}, from another publisher of {topic.name} "
            "(--state-names)"
        )
    return tuple(names)


def _state_names(bag: Bag, topic: Topic, source: str, notes: list[str]) -> tuple[str, ...]:
    if topic.type == ARRAY:
        names = tuple(f"state_{i}" for i in range(array_size(bag, topic)))
    elif topic.type == POSE:
        names = ("x", "y", "yaw")
    else:
        # The position in the odometry frame means nothing on another day; the velocity does.
        candidates = ("vx", "vy", "wz")
        spec = StateSpec(candidates, ("1",) * 3, source)
        rows = []
        for item in bag.messages([topic.name]):
            with contextlib.suppress(MessageError):  # reported later, when they are left out
                rows.append(state(ODOMETRY, item.message, spec))
        names = moving(candidates, np.array(rows).reshape(-1, 3))
    notes.append(f"state {', '.join(names)}, from {topic.name}")
    return names


def _period(bag: Bag, topics: dict[str, Topic], config: BagConfig, notes: list[str]) -> float:
    """The time between trajectory points that apply from their time on, else between images."""
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
        raise BagError(
            f"{topics['image'].name} has too few images to infer the control period; state "
            "--control-period"
        )
    # Lost and odd images are left out; the mean of the others averages jitter out.
    near = np.abs(steps - np.median(steps)) < 0.45 * np.median(steps)
    period = max(0.001, round(float(steps[near].mean()) / 1e9, 3))
    notes.append(f"control period {period:g} s, between two images")
    return period
