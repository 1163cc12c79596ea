"""Trajectories that say where to be, on signals of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.data.setpoints import Setpoints, Targets
from wm_mpc.units import SECOND

PERIOD = SECOND // 10


def ns(*seconds):
    return np.array([round(s * SECOND) for s in seconds], np.int64)


def targets(received, points, start=None):
    """points: (s from the start, value)."""
    begin = received if start is None else start
    offsets = ns(*[at for at, _ in points])
    values = np.array([np.atleast_1d(v) for _, v in points], float)
    values = values if points else np.zeros((0, 1))
    return Targets(int(ns(received)[0]), int(ns(begin)[0]), offsets, values)


def signal(*trajectories, size=1, at=None, **options):
    measured = None if at is None else lambda _: np.full(size, at)
    return Setpoints(trajectories, PERIOD, size, measured=measured, **options)


def test_the_action_of_a_period_is_where_to_be_at_its_end():
    line = signal(targets(1.0, [(0.0, 0.0), (0.5, 1.0)]))
    held = line.held(ns(1.0, 1.1, 1.2, 1.4, 1.5, 9.0))
    np.testing.assert_allclose(held[:, 0], [0.2, 0.4, 0.6, 1.0, 1.0, 1.0], atol=1e-6)


def test_one_point_ahead_is_reached_from_where_the_robot_is():
    line = signal(targets(1.0, [(0.5, 1.0)]), at=0.5)
    np.testing.assert_allclose(line.held(ns(1.0, 1.2, 1.4))[:, 0], [0.6, 0.8, 1.0], atol=1e-6)


def test_the_way_to_the_first_point_is_unknown_where_nobody_knows_where_the_robot_was():
    line = signal(targets(1.0, [(0.5, 1.0), (0.7, 2.0)]))
    assert line.known(ns(0.5, 1.0, 1.3, 1.4, 1.6, 9.0), SECOND).tolist() == [
        False, False, False, True, True, True,
    ]  # fmt: skip


def test_a_new_trajectory_goes_on_from_where_the_old_one_has_come():
    line = signal(targets(1.0, [(0.0, 0.0), (1.0, 1.0)]), targets(1.5, [(0.5, 0.0)]))
    np.testing.assert_allclose(
        line.held(ns(1.3, 1.4, 1.5, 1.7, 1.9, 2.5))[:, 0], [0.4, 0.5, 0.4, 0.2, 0, 0], atol=1e-6
    )


def test_an_empty_trajectory_stops_at_once():
    line = signal(targets(1.0, [(0.0, 0.0), (1.0, 1.0)]), targets(1.5, [], start=1.5))
    np.testing.assert_allclose(line.held(ns(1.4, 1.5, 3.0))[:, 0], [0.5, 0.5, 0.5], atol=1e-6)


def test_joints_that_a_trajectory_does_not_name_stay():
    line = signal(
        targets(1.0, [(0.0, [0.0, 5.0]), (1.0, [1.0, 5.0])]),
        targets(2.0, [(1.0, [np.nan, 7.0])]),
        size=2,
    )
    np.testing.assert_allclose(line.held(ns(2.4, 2.9)), [[1.0, 6.0], [1.0, 7.0]], atol=1e-6)


def test_a_trajectory_that_begins_in_the_past_is_joined_under_way():
    line = signal(targets(1.0, [(0.0, 0.0), (1.0, 1.0)], start=0.5))
    np.testing.assert_allclose(line.held(ns(1.0, 1.3))[:, 0], [0.6, 0.9], atol=1e-6)


def test_a_trajectory_ends_at_its_timeout_where_it_has_come():
    line = signal(targets(1.0, [(0.0, 0.0), (1.0, 1.0)]), timeout=3 * PERIOD)
    np.testing.assert_allclose(line.held(ns(1.1, 1.2, 1.5))[:, 0], [0.2, 0.3, 0.3], atol=1e-6)


def test_speeds_are_the_slopes():
    line = signal(targets(1.0, [(0.0, 0.0), (0.5, 1.0), (1.0, 0.0)]), speeds=True)
    np.testing.assert_allclose(
        line.held(ns(1.0, 1.3, 1.45, 1.6, 1.9, 2.0))[:, 0], [2, 2, 0, -2, -2, 0], atol=1e-5
    )
    np.testing.assert_allclose(line.mean(ns(1.0), ns(2.0))[:, 0], [0.0], atol=1e-6)
    np.testing.assert_allclose(line.all_speeds()[:, 0], [2, -2], atol=1e-5)


def test_a_jump_to_where_another_trajectory_is_is_no_speed():
    line = signal(
        targets(1.0, [(0.0, 0.0), (0.5, 1.0)]), targets(1.5, [(0.0, 3.0), (0.5, 4.0)]), speeds=True
    )
    np.testing.assert_allclose(line.held(ns(1.4, 1.5, 1.9))[:, 0], [2, 2, 2], atol=1e-5)


def test_given_speeds_end_with_the_points():
    line = signal(targets(1.0, [(0.1, 1.0), (0.2, 2.0), (0.3, 0.5)]), rates=True)
    held = line.held(ns(1.0, 1.1, 1.2, 1.3, 1.6))[:, 0]
    np.testing.assert_allclose(held, [1.0, 2.0, 0.5, 0.0, 0.0], atol=1e-6)


def test_long_silence_after_speeds_is_not_known_but_a_position_stays():
    options = [(0.0, 0.0), (0.5, 1.0)]
    at = ns(0.9, 1.2, 1.7, 8.0, 9.1)
    for speeds, expected in ((True, [False, True, False, False, True]),
                             (False, [False, True, True, True, True])):  # fmt: skip
        line = signal(targets(1.0, options), targets(9.0, options), speeds=speeds)
        assert line.known(at, 2 * SECOND).tolist() == expected


def test_nothing_is_known_without_trajectories():
    line = signal()
    assert not line.known(ns(1.0, 2.0), SECOND).any()
    assert line.held(ns(1.0)).shape == (1, 1)


@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=12),
    st.integers(1, 30),
    st.integers(-PERIOD, PERIOD),
)
def test_steps_of_positions_add_up_to_speeds(values, spacing, shift):
    """At any spacing of the points, and wherever steps begin."""
    points = [(0.01 * spacing * k, v) for k, v in enumerate(values)]
    at = np.arange(10 * SECOND + shift, 16 * SECOND, PERIOD)
    where, fast = (signal(targets(10.2, points), speeds=s, at=values[0]) for s in (False, True))
    travelled = where.held(at[-1:])[0, 0] - values[0]
    assert fast.held(at[at > 10.1 * SECOND]).sum() * 0.1 == pytest.approx(travelled, abs=1e-4)
