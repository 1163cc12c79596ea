"""The three former books on which action applies when, as they were: `Timeline` is compared with
them where they were right."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.control.timeline import FOREVER, Timeline

MS = 1_000_000


class SentPlans:
    """Of the node that sends plans; for velocities, whose rest was right."""

    def __init__(self, period: int, rest: np.ndarray) -> None:
        self.period, self._rest = period, rest
        self._plans: deque = deque(maxlen=1000)

    def sent(self, start, actions):
        self._plans.append((start, actions))

    def action_at(self, time):
        for start, actions in reversed(self._plans):
            if start <= time and len(actions) == 0:
                return self._rest
            if start <= time:
                index = (time - start) // self.period
                return actions[index] if index < len(actions) else self._rest
        return self._rest

    def between(self, start, arrival):
        count = max(0, math.ceil((arrival - start) / self.period))
        rows = [self.action_at(start + k * self.period) for k in range(count)]
        return np.array(rows).reshape(count, len(self._rest))


class FollowedPlans:
    """Of the consumer: the point that applies, None without one."""

    def __init__(self, period: int, tolerance: int) -> None:
        self._period, self._tolerance = period, tolerance
        self._plans: list = []

    def offer(self, start, actions):
        self._plans = [plan for plan in self._plans if plan[0] < start]
        self._plans.append((start, actions))

    def point_at(self, now):
        begun = [plan for plan in self._plans if plan[0] <= now + self._tolerance]
        if not begun:
            return None
        start, actions = begun[-1]
        index = (now - start + self._tolerance) // self._period
        return actions[index] if index < len(actions) else None


def recorded_pieces(plans, period, timeout):
    """Of the import: (received, start, offsets, actions) in the order of arrival -> times, until,
    values."""
    kept: list = []
    for plan in plans:
        received, first, offsets, _ = plan
        begin = max(first + int(offsets[0]), received) if len(offsets) else received
        kept = [pair for pair in kept if pair[0] < begin]
        kept.append((begin, plan))
    times, until, values = [], [], []
    replaced = [begin for begin, _ in kept[1:]] + [FOREVER]
    for (begin, (received, first, offsets, actions)), end in zip(kept, replaced, strict=True):
        if timeout is not None:
            end = min(end, received + timeout)
        starts = first + offsets
        ends = np.append(starts[1:], starts[-1:] + period)
        now = (np.maximum(starts, begin) < np.minimum(ends, end)).nonzero()[0]
        times.append(np.maximum(starts, begin)[now])
        until.append(np.minimum(ends, end)[now])
        values.append(actions[now])
    return np.concatenate(times), np.concatenate(until), np.concatenate(values)


PLANS = st.lists(
    st.tuples(st.integers(0, 900), st.integers(0, 5), st.integers(0, 400)), min_size=1, max_size=8
)  # start (ms, or tenths of a period), points, time on the way (ms)


def numbered(plans):
    """Plans whose every action tells where it comes from."""
    return [
        (start * MS, np.array([[100.0 * k + i] for i in range(points)]).reshape(points, 1))
        for k, (start, points, _) in enumerate(plans, start=1)
    ]


@given(PLANS, st.lists(st.integers(-100, 2000), min_size=1, max_size=30))
def test_velocities_apply_as_in_the_book_of_sent_plans(plans, times):
    former, timeline = SentPlans(100 * MS, np.zeros(1)), Timeline(100 * MS, np.zeros(1))
    for start, actions in numbered(plans):
        former.sent(start, actions)
        if len(actions):
            timeline.put(start, actions)
        else:
            timeline.hold(start)
    for time in times:
        assert timeline.at(time * MS) == former.action_at(time * MS)
    first, last = sorted((times[0] * MS, times[-1] * MS))
    np.testing.assert_array_equal(timeline.between(first, last), former.between(first, last))


@given(PLANS, st.lists(st.integers(-100, 2000), min_size=1, max_size=30), st.integers(-2000, 2000))
def test_points_apply_as_in_the_book_of_the_follower(plans, times, off):
    former = FollowedPlans(100 * MS, 1000)
    timeline = Timeline(100 * MS, None, tolerance=1000)
    for start, actions in numbered(plans):
        if len(actions):
            former.offer(start, actions)
            timeline.put(start, actions)
    for time in times:
        expected, found = former.point_at(time * MS + off), timeline.planned_at(time * MS + off)
        assert (found is None) == (expected is None)
        assert found is None or found == expected


@given(PLANS, st.sampled_from([None, 150, 1000]), st.integers(1, 300))
def test_pieces_are_those_of_the_book_of_recordings(plans, timeout, spacing):
    timeline, recorded = Timeline(100 * MS, None), []
    arrived = 0
    for (start, actions), (_, _, delay) in zip(numbered(plans), plans, strict=True):
        arrived = max(arrived, start + (delay - 100) * MS)
        offsets = np.arange(len(actions), dtype=np.int64) * spacing * MS
        recorded.append((arrived, start, offsets, actions))
        expires = FOREVER if timeout is None else arrived + timeout * MS
        timeline.put(start, actions, offsets=offsets, received=arrived, expires=expires)
    expected = recorded_pieces(recorded, 100 * MS, None if timeout is None else timeout * MS)
    for found, wanted in zip(timeline.pieces(), expected, strict=True):
        assert found.tolist() == wanted.tolist()
