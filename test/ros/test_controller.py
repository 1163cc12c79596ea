"""Plans for a joint_trajectory_controller: sent again and again, they never make it jump."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.ros.controller import to_controller
from wm_mpc.ros.timing import to_nanoseconds
from wm_mpc.spec import ActionSpec

PERIOD, TICK = 0.1, 100_000_000  # s, ns
START = 50_000_000_000
HIGH = 0.8


def spec(kind):
    return ActionSpec(("shoulder", "elbow"), kind, "rad", (-HIGH, -HIGH), (HIGH, HIGH))


class Controller:
    """As ros2_control's, linear: goes from where it is to the first point of a new trajectory, and
    on from point to point; holds the last one."""

    def __init__(self, position):
        self.position = np.array(position, float)
        self.knots = []

    def receive(self, message, now):
        times = [
            to_nanoseconds(message.header.stamp) + to_nanoseconds(point.time_from_start)
            for point in message.points
        ]
        assert times == sorted(set(times)), "times must increase"
        assert times[0] > now, "a point in the past"
        last = message.points[-1].velocities
        assert not len(last) or not any(last), "a trajectory must end at rest"
        here = self.at(now)
        self.knots = [(now, here)] + [
            (time, np.array(point.positions))
            for time, point in zip(times, message.points, strict=True)
        ]

    def at(self, now):
        if not self.knots:
            return self.position
        times = [time for time, _ in self.knots]
        places = np.array([place for _, place in self.knots])
        return np.array([np.interp(now, times, column) for column in places.T])


@pytest.mark.parametrize("kind", ["position", "velocity"])
@pytest.mark.parametrize("latency", [0.0, 0.012, 0.04])
def test_plans_sent_again_and_again_never_make_it_jump(kind, latency):
    """New plans every period, each of which begins with what is executed until it arrives, as the
    node's do, and then wants something else."""
    rng = np.random.default_rng(0)
    controller = Controller([0.0, 0.0])
    delay, late = round(latency * 1e9), int(np.ceil(latency / PERIOD))
    positions, before = [], np.zeros((21, 2))
    for number in range(40):
        start = START + number * TICK
        measured = dict(zip(spec(kind).names, controller.at(start), strict=True))
        wanted = rng.uniform(-HIGH, HIGH, (20, 2))
        if kind == "position":
            origin = before[late] if late else controller.at(start)
            wanted = origin + np.cumsum(PERIOD * wanted, 0)
        actions = np.concatenate([before[1 : 1 + late], wanted])[:20]
        positions += [controller.at(start + k * delay // 10) for k in range(10)]
        now = start + delay
        controller.receive(to_controller(actions, spec(kind), PERIOD, start, now, measured), now)
        positions += [controller.at(now + k * (TICK - delay) // 10) for k in range(10)]
        before = np.concatenate([actions, actions[-1:]])
    times = [delay // 10] * 10 + [(TICK - delay) // 10] * 10
    speeds = np.abs(np.diff(positions, axis=0)) / 1e-9 / np.maximum(1, times * 40)[:-1, None]
    # What it wants in a period, and what it has not done yet of the one that is under way.
    assert speeds.max() <= 2.0 * HIGH / (1.0 - latency / PERIOD)


def test_velocities_without_positions_are_sent_as_such_and_end_at_rest():
    actions = np.full((3, 2), 0.5)
    message = to_controller(actions, spec("velocity"), PERIOD, START, START, {"shoulder": 0.2})
    assert [list(point.velocities) for point in message.points] == [[0.5, 0.5]] * 3 + [[0.0, 0.0]]
    assert all(not len(point.positions) for point in message.points)
    assert to_nanoseconds(message.points[0].time_from_start) == TICK


def test_positions_are_integrated_from_where_the_robot_was():
    measured = {"shoulder": 0.2, "elbow": -0.1}
    message = to_controller(
        np.array([[0.5, 0.0], [0.5, 1.0]]), spec("velocity"), PERIOD, START, START, measured
    )
    assert np.array([point.positions for point in message.points]) == pytest.approx(
        np.array([[0.25, -0.1], [0.3, 0.0], [0.3, 0.0]])
    )


@pytest.mark.parametrize("kind", ["position", "velocity", "effort"])
def test_no_points_mean_hold_where_it_is(kind):
    measured = {"shoulder": 0.2, "elbow": -0.1}
    message = to_controller(np.zeros((0, 2)), spec(kind), PERIOD, START - TICK, START, measured)
    (point,) = message.points
    assert to_nanoseconds(message.header.stamp) == START
    assert to_nanoseconds(point.time_from_start) == TICK
    if kind == "effort":
        assert list(point.effort) == [0.0, 0.0]
    else:
        assert list(point.positions) == [0.2, -0.1]


def test_what_is_over_is_left_out_and_a_plan_that_is_over_is_rest():
    actions = np.arange(8.0).reshape(4, 2) / 10
    late = to_controller(actions, spec("effort"), PERIOD, START, START + 2 * TICK + 1, {})
    assert [list(point.effort) for point in late.points] == [[0.4, 0.5], [0.6, 0.7], [0.0, 0.0]]
    over = to_controller(actions, spec("effort"), PERIOD, START, START + 60 * TICK, {})
    assert [list(point.effort) for point in over.points] == [[0.0, 0.0]]


@pytest.mark.parametrize("points", [0, 1, 3])
@pytest.mark.parametrize(("low", "high", "rest"), [(0.2, 1.0, 0.2), (-1.0, -0.3, -0.3), (-1, 1, 0)])
def test_efforts_rest_within_their_limits_also_for_a_controller(points, low, high, rest):
    """Zero effort is no rest for a robot that must always push a little; there is one rest."""
    effort = ActionSpec(("shoulder", "elbow"), "effort", "N m", (low, low), (high, high))
    actions = np.full((points, 2), (low + high) / 2)
    message = to_controller(actions, effort, PERIOD, START, START, {})
    assert list(message.points[-1].effort) == [rest, rest]
    assert len(message.points) == points + 1


def test_velocities_that_cannot_be_zero_still_end_in_standstill_for_a_controller():
    """joint_trajectory_controller refuses a trajectory that ends in motion, and goes on instead."""
    forward = ActionSpec(("shoulder",), "velocity", "rad/s", (0.2,), (1.0,))
    message = to_controller(np.full((2, 1), 0.5), forward, PERIOD, START, START, {})
    assert list(message.points[-1].velocities) == [0.0]
