"""Find the entries of a recorded state that are angles and wrap at a full turn.

A yaw is an angle, and so is the position of a continuous joint. The position of such a joint jumps
by a full turn between two messages, or grows beyond a turn. Stated angles override this search.
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
_SLACK = 0.6  # rad; largest real motion of a joint during a jump by a turn
_SOON = 4.0  # rad; no joint really moves farther than this between two messages


def angles(
    bag: Bag, topic: Topic, names: Sequence[str], source: str, commanded: Sequence[str],
    config: BagConfig, notes: list[str],
) -> tuple[str, ...]:  # fmt: skip
    """Return the names of the state that are angles.

    Args:
        bag: The recording.
        topic: Topic of the state.
        names: Entries of the state.
        source: "odom" or "joint_states", as in `StateSpec`.
        commanded: Joints whose position is an action. If such a joint moves over more than a turn,
            its position is a number, because the turn matters.
        config: Settings of the import.
        notes: Receives a sentence for each guess.
    """
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
        elif jumps := turns_in([track]):
            found[name] = f"jumps by a turn {jumps} times"
        elif span > _TURN and topic.type == JOINTS and joint not in kinds:
            if joint in commanded:
                notes.append(
                    f"{name} covers {span:.3g} rad, more than a turn, and is commanded by "
                    "position, so it counts as a number, not as an angle (--angles)"
                )
            else:
                found[name] = f"covers {span:.3g} rad, more than a turn"
    if found:
        listed = ", ".join(f"{name} ({why})" for name, why in found.items())
        notes.append(f"angles that wrap at +-pi: {listed}; --angles sets them")
    return tuple(found)


def turns_in(tracks: Sequence[np.ndarray]) -> int:
    """How often neighbours differ by about one turn.

    Args:
        tracks: Positions of one joint, rad, in order of time, one array for each episode.

    Returns:
        The number; 0 if some neighbours differ by another impossible amount, or if all positions
        together cover more than a turn.
    """
    steps = np.abs(np.concatenate([np.zeros(0), *(np.diff(track) for track in tracks)]))
    far = steps > _SOON
    turns = np.abs(steps - _TURN) < _SLACK
    all_of_them = np.concatenate([np.zeros(0), *tracks])
    inside = len(all_of_them) and np.ptp(all_of_them) < _TURN + _SLACK
    return int(turns.sum()) if inside and (far == turns).all() else 0


def _tracks(bag: Bag, topic: Topic, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The finite values of each name, in the order of arrival."""
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
    """Type of each joint in a recorded robot description (URDF), by name."""
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
