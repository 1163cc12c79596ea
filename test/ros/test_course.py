"""Trajectories sent late: a controller of positions is never asked to jump."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.ros.controller import to_controller
from wm_mpc.ros.course import Course
from wm_mpc.ros.timing import to_nanoseconds
from wm_mpc.spec import ActionSpec

PERIOD, TICK, LIMIT = 0.1, 100_000_000, 0.6  # s, ns, rad/s
START = 50_000_000_000
SPEC = ActionSpec(
    ("shoulder", "elbow"), "position", "rad", (-2.0, -2.0), (2.0, 2.0), (LIMIT, LIMIT)
)


def message(actions, start, now):
    return to_controller(np.array(actions), SPEC, PERIOD, start, now, {})


class Controller:
    """Interpolates from where the joints are; notes the fastest it was asked to go."""

    def __init__(self, positions):
        self.knots, self.fastest = [(0, np.array(positions, float))], 0.0

    def at(self, now):
        times = [time for time, _ in self.knots]
        places = np.array([place for _, place in self.knots])
        return np.array([np.interp(now, times, column) for column in places.T])

    def receive(self, trajectory, now):
        self.knots = [(now, self.at(now))]
        start = to_nanoseconds(trajectory.header.stamp)
        for point in trajectory.points:
            time, place = start + to_nanoseconds(point.time_from_start), np.array(point.positions)
            before, old = self.knots[-1]
            assert time > before, "a point in the past"
            speed = np.abs(place - old).max() / ((time - before) / 1e9)
            self.fastest = max(self.fastest, speed)
            self.knots.append((time, place))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("transport", [0, 1_000_000, 10_000_000])
def test_plans_that_come_at_any_time_never_make_it_jump(seed, transport):
    """Each plan begins where the one before it would be, whenever it is sent: up to 0.3 s late."""
    rng = np.random.default_rng(seed)
    start_place = rng.uniform(-1.0, 1.0, 2)
    controller, course = Controller(start_place), Course(SPEC, PERIOD)
    measured = dict(zip(SPEC.names, start_place, strict=True))
    now = START
    for _ in range(60):
        now += int(rng.integers(30, 130)) * 1_000_000
        begin = now - int(rng.integers(0, 300)) * 1_000_000
        steps = rng.uniform(-1.0, 1.0, (20, 2)).round() * LIMIT * PERIOD
        planned = np.clip(controller.at(begin) + np.cumsum(steps, 0), -2.0, 2.0)
        trajectory = message(planned, begin, now)
        course.follow(trajectory, now, measured)
        controller.receive(trajectory, now + transport)
        measured = dict(zip(SPEC.names, controller.at(now), strict=True))
    assert controller.fastest <= 1.002 * LIMIT


def test_a_plan_in_time_is_sent_as_it_is():
    here = {"shoulder": 0.5, "elbow": -0.5}
    course = Course(SPEC, PERIOD)
    rows = [[0.5 + 0.06 * k, -0.5] for k in range(6)]  # it does not move before it is sent
    trajectory = message(rows, START, START)
    assert not course.follow(trajectory, START + TICK // 4, here)
    assert [list(point.positions) for point in trajectory.points] == rows
    later = message(rows[1:], START + TICK, START + TICK + TICK // 2)  # on the way already
    assert not course.follow(later, START + TICK + TICK // 2, here)
    assert list(later.points[0].positions) == rows[1]


def test_a_point_out_of_reach_is_brought_into_reach_and_the_rest_follows():
    course = Course(SPEC, PERIOD)
    trajectory = message([[0.2, 0.0], [0.2, 0.0], [0.2, 0.0], [0.2, 0.0], [0.2, 0.0]], START, START)
    assert course.follow(trajectory, START, {"shoulder": 0.0, "elbow": 0.0})
    places = [point.positions[0] for point in trajectory.points]
    assert places[0] <= LIMIT * PERIOD
    assert places == sorted(places)
    assert places[-1] == pytest.approx(0.2)


def test_a_course_that_is_over_gives_way_to_what_is_measured():
    course = Course(SPEC, PERIOD)
    course.follow(message([[0.08, 0.0]], START, START), START, {"shoulder": 0.04, "elbow": 0.0})
    moved = {"shoulder": 1.0, "elbow": 1.0}  # by hand
    np.testing.assert_allclose(course.at(START + TICK // 2, moved), [0.06, 0.0])
    np.testing.assert_allclose(course.at(START + 2 * TICK, moved), [1.0, 1.0])
    np.testing.assert_allclose(course.at(START + 2 * TICK, {}), [0.08, 0.0])
    course.clear()
    assert course.at(START, {"shoulder": 1.0}) is None


@pytest.mark.parametrize("count", [1, 2])
def test_a_point_due_at_once_is_not_sent(count):
    """It would be in the past when it arrives."""
    now = START + TICK - 1_000_000
    trajectory = message([[0.0, 0.0]] * count, START, now)
    assert not Course(SPEC, PERIOD).follow(trajectory, now, {"shoulder": 0.0, "elbow": 0.0})
    (point,) = trajectory.points
    assert START + to_nanoseconds(point.time_from_start) >= now + TICK


@pytest.mark.parametrize("period", [0.1, 0.05, 0.04, 0.03, 0.02, 0.01, 0.005])
def test_a_hold_leaves_at_any_control_period(period):
    here = dict(zip(SPEC.names, (0.3, -0.2), strict=True))
    trajectory = to_controller(np.zeros((0, 2)), SPEC, period, START, START, here)
    Course(SPEC, period).follow(trajectory, START, here)
    (point,) = trajectory.points
    np.testing.assert_allclose(point.positions, (0.3, -0.2))


def test_after_the_clock_was_set_back_a_robot_is_where_it_is_measured():
    course = Course(SPEC, PERIOD)
    before = dict(zip(SPEC.names, (0.8, 0.8), strict=True))
    course.follow(message([[0.8, 0.8]] * 10, START, START), START, before)
    measured = dict(zip(SPEC.names, (0.0, 0.0), strict=True))
    np.testing.assert_array_equal(course.at(START - 10**9, measured), [0.0, 0.0])


@pytest.mark.parametrize("period", [0.002, 0.005, 0.01, 0.013, 0.04, 0.1, 0.25, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_each_point_is_in_reach_at_any_control_period(period, seed):
    """Plans and holds at any time, early and late, whose first points are where the robot is going
    or anywhere: in time, the robot turns where the plan turns, and else it is limited."""
    rng = np.random.default_rng(seed)
    change, tick = LIMIT * period, round(period * 1e9)
    spec, now = SPEC, START
    controller, course = Controller([0.3, -0.4]), Course(spec, period)
    for _ in range(120):
        now += int(rng.uniform(0.02, 3.0) * tick) + 1
        begin = now - int(rng.uniform(-0.5, 4.0) * tick)
        place = controller.at(begin) if rng.random() < 0.7 else rng.uniform(-1.0, 1.0, 2)
        steps = rng.choice([-1.0, 0.0, 1.0], (25, 2)) * change
        planned = np.clip(place + np.cumsum(steps, 0), -2.0, 2.0)
        if rng.random() < 0.2:  # as the plan before it says, and then something else
            planned[0] = np.clip(controller.at(begin + tick), -2.0, 2.0)
        if rng.random() < 0.15:
            planned = planned[:0]
        measured = dict(zip(spec.names, controller.at(now), strict=True))
        trajectory = to_controller(planned, spec, period, begin, now, measured)
        course.follow(trajectory, now, measured)
        assert trajectory.points
        arrived = now + int(rng.integers(0, 10_000_001))
        controller.receive(trajectory, arrived)
        now = max(now, arrived)
        assert controller.fastest <= 1.002 * LIMIT


def test_a_point_of_a_short_period_is_not_reached_at_once():
    """0.8 rad, 13 ms from now, at a control period of 5 ms."""
    here = {"shoulder": 0.0, "elbow": 0.0}
    trajectory = to_controller(np.full((14, 2), 0.8), SPEC, 0.005, START, START + 2_000_000, here)
    assert Course(SPEC, 0.005).follow(trajectory, START + 2_000_000, here)
    for point in trajectory.points:
        seconds = (START + to_nanoseconds(point.time_from_start) - (START + 2_000_000)) / 1e9
        assert max(point.positions) <= LIMIT * seconds


def test_after_a_pause_only_what_is_on_its_way_still_counts():
    course = Course(SPEC, PERIOD)
    course.follow(message([[0.04, 0.0]], START, START), START, {"shoulder": 0.0, "elbow": 0.0})
    course.begin(START + TICK // 2)
    np.testing.assert_allclose(course.at(START + TICK // 2, {}), [0.02, 0.0])
    course.begin(START + 2 * TICK)
    assert course.at(START + 2 * TICK, {}) is None
