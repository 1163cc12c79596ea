"""The rules that make steps out of streams, on signals of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.control.following import PlanFollower
from wm_mpc.data.resample import (
    Commands,
    Plan,
    commands_of_plans,
    freshest_moments,
    interpolate,
    latest,
    pieces,
    runs,
    split_at_gaps,
)
from wm_mpc.spec import ActionSpec
from wm_mpc.units import SECOND

PERIOD = SECOND // 10
REST = np.zeros(1)


def ns(*seconds):
    return np.array([round(s * SECOND) for s in seconds], np.int64)


def commands(times, values, timeout=0.5, rest=REST):
    times = ns(*times)
    return Commands(times, np.array(values, float)[:, None], times + ns(timeout), rest)


# -------------------------------------------------------------------------------------- pictures


def test_latest_picture_is_taken_never_a_later_one():
    assert latest(ns(0.0, 0.1, 0.25), ns(-0.1, 0.0, 0.09, 0.2, 9.0)).tolist() == [-1, 0, 0, 1, 2]


def test_jitter_within_tolerance_neither_repeats_nor_skips_a_picture():
    rng = np.random.default_rng(0)
    at = np.arange(200, dtype=np.int64) * PERIOD
    times = at + rng.integers(-PERIOD // 20, PERIOD // 20, 200)
    assert latest(times, at, PERIOD // 10).tolist() == list(range(200))


@pytest.mark.parametrize("seed", range(20))
def test_jitter_beyond_tolerance_does_not_make_pictures_a_period_old(seed):
    rng = np.random.default_rng(seed)
    times = np.arange(200, dtype=np.int64) * PERIOD + rng.integers(-PERIOD // 5, PERIOD // 5, 200)
    at = freshest_moments(times, PERIOD, PERIOD // 10)
    ages = (at - times[latest(times, at, PERIOD // 10)]) / PERIOD
    assert np.median(ages) < 0.25
    assert (ages > 0.5).mean() < 0.1
    assert 0 <= at[0] - times[0] < PERIOD
    assert set(np.diff(at).tolist()) == {PERIOD}


@pytest.mark.parametrize("every", [PERIOD, PERIOD // 3, PERIOD // 4, 2 * PERIOD, PERIOD * 5 // 4])
def test_steps_begin_with_the_first_picture_of_a_steady_camera(every):
    times = ns(3.0)[0] + np.arange(50, dtype=np.int64) * every
    at = freshest_moments(times, PERIOD, PERIOD // 10)
    assert at[0] == times[0]
    assert at[-1] <= times[-1] + PERIOD // 10 < at[-1] + PERIOD


def test_one_picture_gives_one_moment():
    assert freshest_moments(ns(5.0), PERIOD, 0).tolist() == ns(5.0).tolist()


# ---------------------------------------------------------------------------------------- states


def test_a_line_is_interpolated_exactly():
    times = np.sort(np.random.default_rng(1).integers(0, 10 * SECOND, 300))
    values = np.stack([times / SECOND * 2.0 - 3.0, -times / SECOND], 1)
    at = np.arange(times[0], times[-1], PERIOD)
    result, valid = interpolate(times, values, at, SECOND)
    assert valid.all()
    np.testing.assert_allclose(result[:, 0], at / SECOND * 2.0 - 3.0, atol=1e-9)
    np.testing.assert_allclose(result[:, 1], -at / SECOND, atol=1e-9)


def test_a_state_is_as_measured_at_its_own_moment():
    times, values = ns(0.0, 0.1, 0.2), np.array([[1.0], [5.0], [2.0]])
    result, valid = interpolate(times, values, times, SECOND)
    assert valid.all()
    assert result.tolist() == values.tolist()


def test_nothing_is_extrapolated_nor_bridged_over_a_gap():
    times, values = ns(1.0, 1.1, 2.0), np.zeros((3, 1))
    _, valid = interpolate(times, values, ns(0.9, 1.05, 1.5, 2.0, 2.1), ns(0.5)[0])
    assert valid.tolist() == [False, True, False, True, False]


def test_an_angle_goes_the_short_way_round():
    times = ns(0.0, 1.0)
    values = np.array([[3.0], [-3.0]])  # 0.28 rad apart, not 6
    result, _ = interpolate(times, values, ns(0.0, 0.25, 0.75, 1.0), SECOND, angles=[0])
    turned = np.unwrap(result[:, 0])
    np.testing.assert_allclose(np.diff(turned), (2 * np.pi - 6) * np.array([0.25, 0.5, 0.25]))
    assert (np.abs(result) <= np.pi).all()


# --------------------------------------------------------------------------------------- actions


def test_a_command_is_held_until_the_next():
    held = commands([0.0, 0.25, 0.5], [1, 2, 3]).held(ns(-0.1, 0.0, 0.2, 0.25, 0.3, 0.5))
    assert held[:, 0].tolist() == [0, 1, 1, 2, 2, 3]


def test_an_old_command_counts_as_rest():
    held = commands([0.0, 2.0], [1, 2], timeout=0.5).held(ns(0.4, 0.5, 1.0, 2.0, 2.4, 2.6))
    assert held[:, 0].tolist() == [1, 0, 0, 2, 2, 0]


def test_a_position_stays_however_old_it_is():
    held = commands([0.0, 2.0], [1, 2], rest=None).held(ns(0.4, 1.9, 2.0, 99.0))
    assert held[:, 0].tolist() == [1, 1, 2, 2]


def test_the_mean_is_over_what_was_in_force():
    signal = commands([0.0, 0.05, 0.075], [1, 3, 2], timeout=0.5)
    mean = signal.mean(ns(0.0, 0.1, 0.5, 0.6), ns(0.1, 0.2, 0.6, 0.7))
    # 0.575 s: the last command times out.
    np.testing.assert_allclose(mean[:, 0], [0.5 * 1 + 0.25 * 3 + 0.25 * 2, 2, 0.75 * 2, 0])


def test_means_of_all_steps_add_up_to_the_whole():
    rng = np.random.default_rng(2)
    times = np.sort(rng.uniform(0.0, 9.0, 50))
    signal = commands(times, rng.normal(size=50), timeout=0.1)
    edges = np.arange(101, dtype=np.int64) * PERIOD
    fine = np.arange(0, 10 * SECOND, SECOND // 10000)
    whole = signal.held(fine, 0).mean() * 10.0
    assert signal.mean(edges[:-1], edges[1:]).sum() * 0.1 == pytest.approx(whole, abs=2e-3)


def test_silence_before_the_first_command_and_long_silence_are_not_known():
    known = commands([1.0, 2.0, 9.0], [1, 2, 3], timeout=0.5).known
    at = ns(0.9, 1.0, 1.7, 2.4, 2.6, 8.9, 9.0, 9.6)
    assert known(at, 2 * SECOND).tolist() == [False, True, True, True, False, False, True, False]


# ----------------------------------------------------------------------------------------- plans


def plan(received, start, values, period=PERIOD):
    offsets = np.arange(len(values), dtype=np.int64) * period
    return Plan(int(ns(received)[0]), int(ns(start)[0]), offsets, np.array(values, float)[:, None])


def test_points_are_executed_by_time_until_they_run_out():
    signal = commands_of_plans([plan(0.0, 0.0, [1, 2, 3])], PERIOD, REST)
    assert signal.held(ns(0.0, 0.1, 0.15, 0.2, 0.3))[:, 0].tolist() == [1, 2, 2, 3, 0]


def test_a_plan_replaces_the_rest_of_the_one_before():
    plans = [plan(0.0, 0.0, [1, 2, 3, 4]), plan(0.05, 0.2, [7, 8])]
    signal = commands_of_plans(plans, PERIOD, REST)
    assert signal.held(ns(0.0, 0.1, 0.2, 0.3, 0.4))[:, 0].tolist() == [1, 2, 7, 8, 0]


def test_a_plan_does_not_act_before_it_has_arrived():
    plans = [plan(0.0, 0.0, [1, 2, 3, 4]), plan(0.15, 0.0, [5, 6, 7, 8])]
    signal = commands_of_plans(plans, PERIOD, REST)
    assert signal.held(ns(0.0, 0.1, 0.15, 0.2, 0.3))[:, 0].tolist() == [1, 2, 6, 7, 8]


def test_a_plan_without_points_means_rest_at_once():
    empty = Plan(int(0.1 * SECOND), 0, np.zeros(0, np.int64), np.zeros((0, 1)))
    signal = commands_of_plans([plan(0.0, 0.0, [1, 2, 3]), empty], PERIOD, REST)
    assert signal.held(ns(0.0, 0.1, 0.2))[:, 0].tolist() == [1, 0, 0]


def test_a_plan_ends_at_its_timeout():
    signal = commands_of_plans([plan(0.0, 0.0, [1] * 9)], PERIOD, REST, timeout=3 * PERIOD)
    assert signal.held(ns(0.2, 0.3))[:, 0].tolist() == [1, 0]


_PLANS = st.lists(
    st.tuples(
        st.integers(0, 30),  # arrival, in thirds of a period after the one before
        st.integers(-3, 4),  # start, in thirds of a period after the arrival
        st.lists(st.sampled_from([-1.0, -0.5, 0.25, 1.0]), max_size=6),
    ),
    min_size=1,
    max_size=8,
)


@given(_PLANS)
def test_plans_are_executed_as_the_simulated_robot_does(drawn):
    """The same plans at the same times give the same actions as `PlanFollower`."""
    spec = ActionSpec(("a",), "velocity", "m/s", (-1.0,), (1.0,))
    follower = PlanFollower(spec, PERIOD / SECOND, plan_timeout=1e6)
    third = PERIOD // 3 + 5001  # so that nothing happens within the tolerance of a step
    plans, now = [], 10 * PERIOD
    for wait, start, values in drawn:
        now += wait * third
        offsets = np.arange(len(values), dtype=np.int64) * PERIOD
        plans.append(Plan(now, now + start * third, offsets, np.array(values)[:, None]))
    signal = commands_of_plans(plans, PERIOD, REST)
    steps = np.arange(10, 60, dtype=np.int64) * PERIOD + 2500
    waiting, expected = list(plans), []
    for at in steps.tolist():
        while waiting and waiting[0].received <= at:
            due = waiting.pop(0)
            follower.offer(due.start, due.actions, due.received)
        expected.append(follower.action_at(at)[0])
    held = signal.held(steps)[:, 0] if len(signal.times) else np.zeros(len(steps))
    assert held.tolist() == expected


def test_a_robot_of_positions_stays_at_the_last_point():
    signal = commands_of_plans([plan(0.0, 0.0, [1, 2, 3])], PERIOD, None)
    assert signal.held(ns(0.1, 0.2, 0.5))[:, 0].tolist() == [2, 3, 3]


# -------------------------------------------------------------------------------------- episodes


def test_a_stream_is_split_at_gaps():
    parts = split_at_gaps(ns(0.0, 0.1, 0.2, 0.9, 1.0, 5.0), SECOND // 2)
    assert [(part.start, part.stop) for part in parts] == [(0, 3), (3, 5), (5, 6)]
    assert split_at_gaps(np.zeros(0, np.int64), 1) == []


def test_runs_end_where_a_frame_or_a_step_is_missing():
    frames = np.array([1, 1, 1, 0, 1, 1, 1, 1, 1], bool)
    steps = np.array([1, 1, 1, 1, 1, 0, 1, 1], bool)
    assert runs(frames, steps) == [(0, 2), (4, 5), (6, 8)]
    assert runs(np.zeros(3, bool), np.ones(2, bool)) == []


@given(st.integers(1, 2000), st.integers(1, 300))
def test_long_runs_are_cut_into_like_parts_without_losing_a_step(steps, most):
    parts = pieces(5, 5 + steps, most)
    lengths = [last - first for first, last in parts]
    assert sum(lengths) == steps
    assert max(lengths) <= most
    assert max(lengths) - min(lengths) <= 1
    assert [first for first, _ in parts[1:]] == [last for _, last in parts[:-1]]
