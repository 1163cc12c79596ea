"""Which entries of a recorded state are angles that wrap: as was said, or as the recording shows.

An angle is the same again after a whole turn: a yaw, or the position of a continuous joint. Such a
joint's position jumps by a turn from one message to the next, or goes on over more than a turn.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from wm_mpc.data.bag import Bag, Topic
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_joints import joint_row
from wm_mpc.data.bag_messages import ARRAY, JOINTS
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.reading import split_joint

_TURN = 2.0 * math.pi
_SLACK = 0.6  # rad; what a joint may have moved while it jumped by a turn
_SOON = 4.0  # rad apart and more: no joint moves so far from one message to the next


def angles(
    bag: Bag, topic: Topic, names: Sequence[str], source: str, commanded: Sequence[str],
    config: BagConfig, notes: list[str],
) -> tuple[str, ...]:  # fmt: skip
    """Those of the state's names that are angles. commanded: joints whose position is an action:
    where they go on over a turn, the turn counts."""
    if config.state.angles is not None:
        return config.state.angles
    if source == "odom":
        return tuple(name for name in names if name == "yaw")
    kinds = _described_joints(bag)
    tracks = _tracks(bag, topic, names)
    found: dict[str, str] = {}
    for name in names:
        joint, field = split_joint(name)
        if field != "position":
            continue
        track = tracks.get(name, np.zeros(0))
        span = float(np.ptp(track)) if len(track) else 0.0
        if kinds.get(joint) == "continuous":
            found[name] = "continuous in the robot's description"
        elif jumps := _jumps(track):
            found[name] = f"it jumps by a turn {jumps} times"
        elif span > _TURN and topic.type == JOINTS and joint not in kinds:
            if joint in commanded:
                notes.append(
                    f"{name} covers {span:.3g} rad, more than a turn, and is commanded by "
                    "position: taken as a number, not as an angle (--angles)"
                )
            else:
                found[name] = f"it covers {span:.3g} rad, more than a turn"
    if found:
        told = ", ".join(f"{name} ({why})" for name, why in found.items())
        notes.append(f"angles that wrap at +-pi: {told}; --angles says which")
    return tuple(found)


def _jumps(track: np.ndarray) -> int:
    """How often neighbours are about a turn apart; 0 if some are apart by anything else that no
    joint moves at once."""
    steps = np.abs(np.diff(track))
    far = steps > _SOON
    turns = np.abs(steps - _TURN) < _SLACK
    inside = len(track) and np.ptp(track) < _TURN + _SLACK
    return int(turns.sum()) if inside and (far == turns).all() else 0


def _tracks(bag: Bag, topic: Topic, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The numbers of each name, in the order of arrival."""
    rows = []
    for item in bag.messages([topic.name]):
        if topic.type == JOINTS:
            with contextlib.suppress(MessageError):
                rows.append(joint_row(item.message, names))
        elif topic.type == ARRAY and len(item.message.data) == len(names):
            rows.append(np.asarray(item.message.data, np.float64))
    values = np.array(rows, np.float64).reshape(-1, len(names))
    return {name: column[np.isfinite(column)] for name, column in zip(names, values.T, strict=True)}


def _described_joints(bag: Bag) -> dict[str, str]:
    """The type of each joint in a recorded robot description (URDF), by name."""
    kinds: dict[str, str] = {}
    for topic in bag.topics.values():
        if topic.type != "std_msgs/msg/String" or not topic.name.endswith("robot_description"):
            continue
        with contextlib.suppress(ElementTree.ParseError):
            text = getattr(bag.first(topic.name), "data", "<robot/>")
            for joint in ElementTree.fromstring(text).iter("joint"):
                if joint.get("name") and joint.get("type"):
                    kinds[str(joint.get("name"))] = str(joint.get("type"))
    return kinds
