"""What a recording leaves in doubt, or holds and the description of the robot leaves out."""

from __future__ import annotations

from wm_mpc.data.bag import Bag, Topic
from wm_mpc.data.bag_arrays import layout_doubt
from wm_mpc.data.bag_joints import Joints
from wm_mpc.data.bag_messages import (
    ARRAY,
    JOINTS,
    ODOMETRY,
    POSE,
    TRAJECTORY,
    TWIST,
    TWIST_STAMPED,
)
from wm_mpc.messages.frame_looks import FrameLooks
from wm_mpc.messages.reading import TWIST_FIELDS
from wm_mpc.spec import RobotSpec

_STILL = 1e-9  # a command that differs less from 0 commands nothing


def doubts(bag: Bag, topics: dict[str, Topic], robot: RobotSpec) -> list[str]:
    """Return a warning for everything that the user should look at before training.

    Args:
        bag: The recording.
        topics: Topics by role.
        robot: The robot as described.
    """
    arrays = [topic for topic in topics.values() if topic.type == ARRAY]
    found = [
        *(layout_doubt(bag, topic) for topic in arrays),
        _left_out(bag, topics["action"], robot),
        _frames(bag, topics.get("state")),
        _unmeasured(bag, topics["action"], topics.get("state"), robot),
    ]
    if moving := robot.action.why_rest_moves():
        found.append(f"WARNING {moving}")
    return [text for text in found if text]


def _left_out(bag: Bag, topic: Topic, robot: RobotSpec) -> str:
    """What is commanded, but is no action of the robot."""
    names = robot.action.names
    if topic.type in (TWIST, TWIST_STAMPED):
        most = dict.fromkeys((name for name in TWIST_FIELDS if name not in names), 0.0)
        for item in bag.messages([topic.name]):
            twist = item.message.twist if topic.type == TWIST_STAMPED else item.message
            for name in most:
                part, axis = TWIST_FIELDS[name]
                most[name] = max(most[name], abs(getattr(getattr(twist, part), axis)))
        others = [f"{name} (up to {v:g})" for name, v in most.items() if v > _STILL]
    elif topic.type == JOINTS:
        joints = Joints.of(item.message for item in bag.messages([topic.name]))
        others = [name for name in joints.names if name not in names]
    elif topic.type == TRAJECTORY:
        named = (item.message.joint_names for item in bag.messages([topic.name]))
        others = [name for name in dict.fromkeys(n for row in named for n in row)
                  if name not in names]  # fmt: skip
    else:
        others = []
    if not others:
        return ""
    return (
        f"WARNING {topic.name} also commands {', '.join(others)}, which is not among the actions "
        f"({', '.join(names)}): the model learns nothing of it"
    )


def _frames(bag: Bag, topic: Topic | None) -> str:
    """Frames of a pose that change within the recording."""
    if topic is None or topic.type not in (ODOMETRY, POSE):
        return ""
    looks = FrameLooks(topic.name)
    for item in bag.messages([topic.name]):
        looks.see(item.message)
    found = looks.summary()
    return f"WARNING {found}" if found else ""


def _unmeasured(bag: Bag, action: Topic, measured: Topic | None, robot: RobotSpec) -> str:
    """Positions that are commanded and, by all that was recorded, never measured."""
    if not robot.rest_is_measured:
        return ""
    known = {"x", "y", "yaw"}  # of a base, which odom measures
    sources = [bag.topics[name] for name in bag.topics if bag.topics[name].type == JOINTS]
    for other in sources:
        if other.name != action.name and (measured is None or measured.type != JOINTS
                                          or other.name == measured.name):  # fmt: skip
            joints = Joints.of(item.message for item in bag.messages([other.name]))
            known |= set(joints.measured(joints.names))
    if measured is not None and measured.type == ARRAY:
        known |= set(robot.state.names)
    missing = [name for name in robot.action.names if name not in known]
    if not missing:
        return ""
    return (
        f"WARNING no position of {', '.join(missing)} was measured in this recording. A robot "
        "moved by positions needs it: mpc sends nothing until joint_states have these names; "
        "--action-names gives the actions the names of their joints"
    )
