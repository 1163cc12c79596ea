"""Find the meaning of trajectory points: the target at their time, or the action from then on.

A JointTrajectory does not say which. A `joint_trajectory_controller` must be *at* each point at
its time; our own `planned_actions` apply *from* each point's time on. The form of the messages
usually decides; otherwise the motion of the robot does.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from wm_mpc.data.bag import Bag, Topic
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.messages.reading import ACTION_FIELDS, to_nanoseconds

_LOOK = 1000  # messages
_EVEN = 0.02  # share by which the time between two points may differ from the others


def meaning_of_points(bag: Bag, topic: Topic, config: BagConfig) -> tuple[str, str]:
    """Return the meaning of the points of a JointTrajectory topic.

    Args:
        bag: The recording.
        topic: The topic.
        config: Settings of the import; a stated meaning wins.

    Returns:
        "at" or "from" (`bag_config.POINTS`), and the reason; "" if it was stated.
    """
    if config.action.points is not None:
        return config.action.points, ""
    if topic.name.rsplit("/", 1)[-1] == "planned_actions":
        return "from", "the topic is planned_actions"
    seen: Counter[str] = Counter()
    plans: list[tuple[int, list[str], np.ndarray, np.ndarray]] = []
    for item in bag.messages([topic.name]):
        message = item.message
        if not len(message.points):
            continue
        seen["all"] += 1
        for sign in _signs(message):
            seen[sign] += 1
        if seen["all"] <= _LOOK:
            start = to_nanoseconds(message.header.stamp) or item.received
            plans.append((start, list(message.joint_names), *_positions(message)))
        else:
            break
    for sign, words in _WORDS.items():
        if 2 * seen[sign] > seen["all"]:
            return "at", words
    if topic.name.rsplit("/", 1)[-1] == "joint_trajectory":
        return "at", "the topic is joint_trajectory, as for a joint_trajectory_controller"
    return _as_the_robot_did(bag, plans, config) or (
        "from", "they begin at their stamp and each has one kind of value, as in planned_actions"
    )  # fmt: skip


_WORDS = {
    "ahead": "the first point is later than the start",
    "unstamped": "they start on arrival (stamp 0)",
    "several": "a point has more than one kind of value",
    "uneven": "the points are not evenly spaced",
}


def _signs(message: Any) -> list[str]:
    """The features of a trajectory that `planned_actions` never have."""
    offsets = np.array([to_nanoseconds(point.time_from_start) for point in message.points])
    signs = ["ahead"] if offsets[0] > 0 else []
    if to_nanoseconds(message.header.stamp) == 0:
        signs.append("unstamped")
    point = message.points[-1]
    if sum(len(getattr(point, field)) > 0 for field in ACTION_FIELDS.values()) > 1:
        signs.append("several")
    steps = np.diff(offsets)
    if len(steps) > 1 and np.ptp(steps) > _EVEN * np.median(steps):
        signs.append("uneven")
    return signs


def _positions(message: Any) -> tuple[np.ndarray, np.ndarray]:
    """Times (ns) and positions of the points; empty if any position is missing."""
    joints = len(message.joint_names)
    if any(len(point.positions) != joints for point in message.points):
        return np.zeros(0, np.int64), np.zeros((0, joints))
    times = [to_nanoseconds(point.time_from_start) for point in message.points]
    return np.array(times, np.int64), np.array([point.positions for point in message.points])


def _as_the_robot_did(
    bag: Bag, plans: list[tuple[int, list[str], np.ndarray, np.ndarray]], config: BagConfig
) -> tuple[str, str] | None:
    """Decide by the measured joints, which reach a point at its time or one point later. None if
    unclear."""
    topics = [t for t in bag.topics.values() if t.type.endswith("/JointState")]
    if config.state.topic is not None:
        topics = [t for t in topics if t.name.strip("/") == config.state.topic.strip("/")]
    wanted = {name for _, names, at, _ in plans if len(at) > 1 for name in names}
    tracks: dict[str, tuple[list[int], list[float]]] = {name: ([], []) for name in wanted}
    for item in bag.messages([topic.name for topic in topics]) if wanted else ():
        time = to_nanoseconds(item.message.header.stamp) or item.received
        for name, position in zip(item.message.name, item.message.position, strict=False):
            if name in tracks and np.isfinite(position):
                tracks[name][0].append(time)
                tracks[name][1].append(position)
    misses = {"at": 0.0, "from": 0.0}
    followed = [plan for plan in plans if len(plan[2]) > 1]
    for number, (start, names, at, rows) in enumerate(followed):
        end = followed[number + 1][0] if number + 1 < len(followed) else start + at[-1] + 1
        for name, column in zip(names, rows.T, strict=True):
            times, places = tracks[name]
            chosen = (start + at[1:] <= end) & (start + at[1:] <= (times[-1] if times else 0))
            if times and chosen.any():
                there = np.interp(start + at[1:][chosen], times, places)
                misses["at"] += float(np.abs(there - column[1:][chosen]).sum())
                misses["from"] += float(np.abs(there - column[:-1][chosen]).sum())
    best = min(misses, key=misses.__getitem__)
    if misses[best] >= 0.7 * max(misses.values()):
        return None
    words = {
        "at": "the joints were there at that time",
        "from": "the joints were there one point later",
    }
    return best, words[best]
