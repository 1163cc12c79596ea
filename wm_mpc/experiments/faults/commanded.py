"""What an arm was commanded, judged point by point: how far each position is from the one before it
and from where the arm was. Pure, so that it can be tested.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np

STREAMS = ("planned_actions", "commands", "joint_trajectory")
_SAME = 1e-6  # rad; float32 on the way


@dataclasses.dataclass(frozen=True)
class Commanded:
    """received: ns. start: ns, from when the points count. times: int64 (points,), ns, when each
    begins to apply or, on joint_trajectory, is to be reached. points: (points, joints), rad; none:
    a request to hold."""

    received: int
    start: int
    times: np.ndarray
    points: np.ndarray


@dataclasses.dataclass(frozen=True)
class Steps:
    """In rate limits, the largest change in a control period: the largest step between two
    consecutive positions, and how far the first one is from where the arm was measured; NaN where
    there were none."""

    largest: float = math.nan
    first: float = math.nan


class Course:
    """Where an arm was, by time. Times ascend, ns."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._places: list[np.ndarray] = []

    def add(self, time: int, place: np.ndarray) -> None:
        self._times.append(time)
        self._places.append(np.array(place, float))

    def at(self, time: int) -> np.ndarray:
        """(joints,), the last place until then; the first one before."""
        return self._places[max(0, bisect.bisect_right(self._times, time) - 1)]

    def away(self, point: np.ndarray, begin: int, end: int) -> np.ndarray:
        """How far (joints,) a point is from the nearest place between two moments."""
        low = max(0, bisect.bisect_right(self._times, begin) - 1)
        high = max(low + 1, bisect.bisect_right(self._times, end))
        return np.abs(np.array(self._places[low:high]) - point).min(0)


def applied(streams: Sequence[Commanded], output: str, until: int) -> list[tuple[int, np.ndarray]]:
    """The positions that a robot is commanded by one output, one after another, with the moments
    (ns) from when on: each message takes over when it comes, and gives a point for each moment. Of
    a trajectory, which is interpolated, the set-points each 10 ms."""
    rows: list[tuple[int, np.ndarray]] = []
    ends = [*(message.received for message in streams[1:]), until][: len(streams)]
    for message, end in zip(streams, ends, strict=True):
        if not len(message.points):
            continue
        if output == "joint_trajectory":
            rows += _interpolated(message, end, rows[-1][1] if rows else None)
            continue
        index = int(np.searchsorted(message.times, message.received, "right")) - 1
        for k in range(max(0, index), len(message.points)):
            moment = max(message.received, int(message.times[k]))
            if moment >= end:
                break
            rows.append((moment, message.points[k]))
    return rows


def _interpolated(
    message: Commanded, end: int, before: np.ndarray | None
) -> list[tuple[int, np.ndarray]]:
    """Set-points each 10 ms, from `before` (joints,) on, as a joint_trajectory_controller does."""
    ahead = message.times > message.received
    times, points = message.times[ahead], message.points[ahead]
    if not len(points):
        return []
    begin = max(message.received, message.start) if before is None else message.received
    origin = points[0] if before is None else before
    times = np.append(begin, times)
    points = np.concatenate([origin[None], points])
    moments = np.arange(begin, min(end, int(times[-1]) + 1), 10_000_000)
    columns = [np.interp(moments, times, column) for column in points.T]
    return list(zip(moments.tolist(), np.array(columns).T, strict=True))


def steps(
    rows: Sequence[tuple[int, np.ndarray]], course: Course, change: np.ndarray, *, late: int
) -> Steps:
    """Of positions as `applied` gives them. change: (joints,), the largest in a control period.
    late: ns, how old the measurement may be that the first one was made from."""
    if not rows:
        return Steps()
    points = np.array([point for _, point in rows])
    largest = np.abs(np.diff(points, axis=0) / change).max() if len(points) > 1 else 0.0
    first = course.away(points[0], rows[0][0] - late, rows[0][0]) / change
    return Steps(round(float(largest), 4), round(float(first.max()), 4))


def jumps(
    rows: Sequence[tuple[int, np.ndarray]], course: Course, change: np.ndarray, *, late: int
) -> list[str]:
    """Steps of more than `change` that do not end where the arm is: each one would make it move."""
    found = []
    for (_, before), (moment, after) in itertools.pairwise(rows):
        size = np.abs(after - before) / change
        if (size <= 1.0 + _SAME + 1e-3).all():
            continue
        away = course.away(after, moment - late, moment) / change
        if (away > 1e-3).any():
            found.append(
                f"a step of {size.max():.2f} rate limits, to {away.max():.2f} from the arm"
            )
    return found


def farthest(rows: Sequence[tuple[int, np.ndarray]], course: Course, change: np.ndarray) -> float:
    """The largest distance of a commanded position from where the arm is then, in rate limits."""
    away = [float((np.abs(point - course.at(moment)) / change).max()) for moment, point in rows]
    return round(max(away, default=0.0), 4)


def within(streams: Sequence[Commanded], change: np.ndarray) -> float:
    """The largest step between two consecutive points of one message, in rate limits."""
    sizes = [np.abs(np.diff(m.points, axis=0)) / change for m in streams if len(m.points) > 1]
    return round(max((float(size.max()) for size in sizes), default=0.0), 4)
