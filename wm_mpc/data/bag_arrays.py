"""What the numbers of a Float64MultiArray are: such messages name neither joints nor kinds.

How many there are follows from most messages, not from the first one. The topic's name or the
measured joints, if they follow the commands, show the kind and the joints.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter

import numpy as np

from wm_mpc.data.bag import Bag, BagError, Topic
from wm_mpc.data.bag_joints import Joints, joint_row
from wm_mpc.data.bag_messages import JOINTS, array_numbers
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.reading import LARGEST

_WORDS = {"position": "position", "velocity": "velocity", "effort": "effort", "torque": "effort"}
_WORD = re.compile("|".join(_WORDS))
_FEWEST = 10  # commands that are compared with joints, at least
_NEAR = 0.4  # root mean square distance of commands and positions, as a share of their spread


def array_size(bag: Bag, topic: Topic) -> int:
    """Return how many numbers most messages of a topic have, apart from empty ones.

    Args:
        bag: The recording.
        topic: A topic of Float64MultiArray messages.

    Raises:
        BagError: No message has a number.
    """
    sizes = Counter(len(array_numbers(item.message)) for item in bag.messages([topic.name]))
    del sizes[0]
    if not sizes:
        raise BagError(f"no message of {topic.name} has a number")
    return sizes.most_common(1)[0][0]


def array_kind(
    bag: Bag, topic: Topic, measured: Topic | None, notes: list[str]
) -> tuple[str, tuple[str, ...]]:
    """Infer the kind of commands without names, and their joints.

    Args:
        bag: The recording.
        topic: A topic of Float64MultiArray messages.
        measured: Topic of the state, if any.
        notes: Receives a sentence for each guess.

    Returns:
        The kind, and the joints that follow the numbers; no joints if that is not clear.
    """
    joints = followed(bag, topic, measured)
    words = set(map(_WORDS.get, _WORD.findall(topic.name.lower())))
    if len(words) == 1:
        kind = str(words.pop())
        notes.append(f"actions are of kind {kind}, by the name of {topic.name}")
        return kind, joints if kind == "position" else ()
    if joints:
        notes.append(
            f"actions are of kind position: the joints {', '.join(joints)} follow them "
            "(--action-kind)"
        )
        return "position", joints
    notes.append("actions are of kind velocity")
    notes.append(
        f"WARNING nothing in {topic.name} shows whether its numbers are positions, velocities or "
        "efforts: velocities are assumed; state --action-kind"
    )
    return "velocity", ()


def followed(bag: Bag, topic: Topic, measured: Topic | None) -> tuple[str, ...]:
    """Return the joints whose positions follow the numbers of commands, in their order.

    Args:
        bag: The recording.
        topic: A topic of Float64MultiArray messages.
        measured: Topic of the state, if any.

    Returns:
        A different joint for each number; none if one of the numbers has no joint of its own.
    """
    if measured is None or measured.type != JOINTS:
        return ()
    size = array_size(bag, topic)
    rows = [(item.received, array_numbers(item.message)) for item in bag.messages([topic.name])]
    rows = [(t, v) for t, v in rows if len(v) == size and (np.abs(v) <= LARGEST).all()]
    if len(rows) < _FEWEST:
        return ()
    times = np.array([t for t, _ in rows], np.float64)
    values = np.array([v for _, v in rows])
    at = times + np.median(np.diff(times))  # a command comes before the motion
    tracks = _tracks(bag, measured, at)
    found: list[str] = []
    for column in values.T:
        near = [name for name, track in tracks.items() if _is_near(column, track)]
        if len(near) != 1 or near[0] in found:
            return ()
        found += near
    return tuple(found)


def _tracks(bag: Bag, topic: Topic, at: np.ndarray) -> dict[str, np.ndarray]:
    """The position of each joint at moments (ns)."""
    names = Joints.of(item.message for item in bag.messages([topic.name])).names
    times, rows = [], []
    for item in bag.messages([topic.name]):
        with contextlib.suppress(MessageError):
            rows.append(joint_row(item.message, names))
            times.append(item.received)
    values, moments = np.array(rows).reshape(-1, len(names)), np.array(times, np.float64)
    there = np.isfinite(values)
    return {
        name: np.interp(at, moments[there[:, k]], values[there[:, k], k])
        for k, name in enumerate(names)
        if there[:, k].any()
    }


def _is_near(commanded: np.ndarray, measured: np.ndarray) -> bool:
    spread = min(float(commanded.std()), float(measured.std()))
    distance = float(np.sqrt(np.mean((commanded - measured) ** 2)))
    return spread > 1e-4 and distance < _NEAR * spread


def layout_doubt(bag: Bag, topic: Topic) -> str:
    """Say that the layout of arrays contradicts that they are a row of numbers each; else empty.

    Args:
        bag: The recording.
        topic: A topic of Float64MultiArray messages.
    """
    for item in bag.messages([topic.name]):
        sizes = [int(each.size) for each in item.message.layout.dim]
        numbers = len(array_numbers(item.message))
        if sizes and (int(np.prod(sizes)) != numbers or sum(n > 1 for n in sizes) > 1):
            return (
                f"WARNING the layout of {topic.name} is {' x '.join(map(str, sizes))}, but its "
                f"{numbers} numbers are taken for a row: one number for each entry"
            )
    return ""
