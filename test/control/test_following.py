"""The consumer of plans: what it executes, when it holds, and what it never does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.control.following import Following, PlanError, PlanFollower
from wm_mpc.spec import ActionSpec

MS = 1_000_000
PERIOD = 100 * MS
T0 = 1_700_000_000_123_456_789  # a time of day, as on a robot


def follower(kind="velocity", **options):
    action = ActionSpec(("a", "b"), kind, "", (-1.0, -2.0), (1.0, 2.0))
    return PlanFollower(action, 0.1, **options)


def ramp(points=5, start=0.1):
    """Points (points, 2) that differ from one another: 0.1, 0.2, ..."""
    return np.repeat(start + 0.1 * np.arange(points)[:, None], 2, axis=1)


@given(st.integers(0, 49), st.integers(0, PERIOD - 2_000))
def test_point_k_applies_during_period_k(k, within):
    subject = follower(plan_timeout=100.0)
    plan = np.linspace(-1, 1, 100).reshape(50, 2)
    subject.offer(T0, plan, T0)
    np.testing.assert_array_equal(subject.action_at(T0 + k * PERIOD + within), plan[k])
    assert subject.status is Following.EXECUTING


def test_stamp_that_went_through_a_float_is_forgiven():
    subject = follower()
    subject.offer(int(float(T0)) + 300, ramp(), T0)
    assert subject.action_at(T0 + PERIOD)[0] == pytest.approx(0.2)


def test_holds_before_the_first_plan():
    subject = follower()
    np.testing.assert_array_equal(subject.action_at(T0), [0.0, 0.0])
    assert subject.status is Following.WAITING


def test_holds_when_the_points_run_out():
    subject = follower()
    subject.offer(T0, ramp(3), T0)
    np.testing.assert_array_equal(subject.action_at(T0 + 3 * PERIOD), [0.0, 0.0])
    assert subject.status is Following.FINISHED


def test_holds_when_the_planner_falls_silent():
    subject = follower(plan_timeout=0.25)
    subject.offer(T0, ramp(9), T0)
    assert subject.action_at(T0 + 2 * PERIOD)[0] > 0
    np.testing.assert_array_equal(subject.action_at(T0 + 3 * PERIOD), [0.0, 0.0])
    assert subject.status is Following.TIMED_OUT


def test_late_plan_starts_in_its_middle():
    subject = follower()
    subject.offer(T0, ramp(), T0 + 2 * PERIOD)
    assert subject.action_at(T0 + 2 * PERIOD)[0] == pytest.approx(0.3)


def test_plan_that_is_all_past_replaces_the_old_one():
    subject = follower()
    subject.offer(T0, ramp(9), T0)
    subject.offer(T0 + 1, ramp(2), T0 + 3 * PERIOD)
    np.testing.assert_array_equal(subject.action_at(T0 + 3 * PERIOD), [0.0, 0.0])
    assert subject.status is Following.FINISHED


def test_old_plan_goes_on_until_the_new_one_begins():
    subject = follower()
    subject.offer(T0, ramp(9), T0)
    subject.offer(T0 + 2 * PERIOD, -ramp(9), T0)
    assert subject.action_at(T0 + PERIOD)[0] == pytest.approx(0.2)
    assert subject.action_at(T0 + 2 * PERIOD)[0] == pytest.approx(-0.1)


def test_earlier_plan_replaces_one_that_has_not_begun():
    subject = follower()
    subject.offer(T0 + 3 * PERIOD, ramp(9), T0)
    subject.offer(T0, -ramp(9), T0)
    assert subject.action_at(T0 + 3 * PERIOD)[0] == pytest.approx(-0.4)


def test_plans_do_not_pile_up_where_nobody_executes_them():
    subject = follower()
    sizes = set()
    for number in range(50):
        subject.offer(T0 + number * PERIOD, ramp(), T0 + number * PERIOD)
        sizes.add(len(subject._timeline.entries))
    assert max(sizes) <= 2


def test_future_plan_alone_means_hold():
    subject = follower()
    subject.offer(T0 + PERIOD, ramp(), T0)
    np.testing.assert_array_equal(subject.action_at(T0), [0.0, 0.0])
    assert subject.status is Following.PENDING


def test_empty_plan_means_hold_now():
    subject = follower()
    subject.offer(T0, ramp(), T0)
    subject.offer(T0, np.zeros((0, 2)), T0)
    np.testing.assert_array_equal(subject.action_at(T0), [0.0, 0.0])
    assert subject.status is Following.REQUESTED


def test_plan_of_the_last_episode_is_ignored():
    subject = follower()
    subject.offer(T0, ramp(9), T0)
    subject.reset(not_before=T0 + 5 * PERIOD)
    assert subject.offer(T0 + 4 * PERIOD, ramp(9), T0 + 5 * PERIOD) is False
    np.testing.assert_array_equal(subject.action_at(T0 + 6 * PERIOD), [0.0, 0.0])
    assert subject.status is Following.WAITING
    assert subject.offer(T0 + 5 * PERIOD, ramp(9), T0 + 5 * PERIOD) is True


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (np.full((2, 2), np.nan), "not finite"),
        (np.zeros((2, 3)), r"shape \(2, 3\)"),
        (np.zeros(2), r"shape \(2,\)"),
        (np.array([[0.0, 0.0], [0.0, 2.1]]), r"point 1 of b is 2\.1 ; accepted: -2 to 2"),
    ],
)
def test_senseless_plan_is_refused_and_means_hold(plan, says):
    subject = follower()
    subject.offer(T0, ramp(), T0)
    with pytest.raises(PlanError, match=says):
        subject.offer(T0, plan, T0)
    np.testing.assert_array_equal(subject.action_at(T0), [0.0, 0.0])
    assert subject.status is Following.REFUSED
    subject.offer(T0, ramp(), T0)
    assert subject.action_at(T0)[0] > 0


def test_rounding_of_float32_is_forgiven_but_not_executed():
    subject = follower()
    subject.offer(T0, np.array([[1.0 + 1e-7, -2.0 - 1e-7]]), T0)
    np.testing.assert_array_equal(subject.action_at(T0), [1.0, -2.0])


def test_positions_are_held_not_zeroed():
    subject = follower("position")
    subject.reset(rest=np.array([0.5, 0.6]))
    np.testing.assert_array_equal(subject.action_at(T0), [0.5, 0.6])
    subject.offer(T0, ramp(2), T0)
    assert subject.action_at(T0 + PERIOD)[0] == pytest.approx(0.2)
    np.testing.assert_allclose(subject.action_at(T0 + 2 * PERIOD), [0.2, 0.2])


@given(
    st.lists(
        st.tuples(
            st.integers(-20, 20),
            st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), max_size=8),
            st.integers(0, 300),
        ),
        max_size=12,
    )
)
def test_action_never_leaves_the_limits(offers):
    subject, now = follower(), T0
    for start, plan, elapsed in offers:
        try:
            subject.offer(T0 + start * PERIOD, np.array(plan).reshape(-1, 2), now)
        except PlanError:
            np.testing.assert_array_equal(subject.action_at(now), [0.0, 0.0])
        now += elapsed * MS
        action = subject.action_at(now)
        assert (np.abs(action) <= [1.0, 2.0]).all()
        if subject.status is not Following.EXECUTING:
            np.testing.assert_array_equal(action, [0.0, 0.0])


def test_remaining_points_are_the_ones_to_come():
    subject = follower()
    assert subject.remaining(T0).shape == (0, 2)
    subject.offer(T0, ramp(5), T0)
    np.testing.assert_array_equal(subject.remaining(T0 + 2 * PERIOD), ramp(5)[2:])


# ------------------------------------------------------------------------ robots moved by positions

ARM = {"a": 0.7, "b": -1.5}


def arm(rate_limit=(1.0, 1.0)):
    """0.1 a period."""
    action = ActionSpec(("a", "b"), "position", "rad", (-1.0, -2.0), (1.0, 2.0), rate_limit)
    return PlanFollower(action, 0.1)


def test_before_it_is_measured_there_is_no_action_for_a_position_robot():
    subject = arm()
    assert subject.action_at(T0) is None
    assert subject.rest_at(T0) is None
    assert subject.status is Following.UNKNOWN
    subject.offer(T0, np.zeros((0, 2)), T0, {"a": 0.7})
    assert subject.action_at(T0) is None


def test_a_position_robot_rests_where_it_is_measured():
    subject = arm()
    subject.measure(ARM)
    np.testing.assert_array_equal(subject.action_at(T0), [0.7, -1.5])


def test_a_robot_that_sags_keeps_its_place_and_one_that_was_moved_away_does_not():
    subject = arm()
    subject.measure(ARM)
    for sag in (0.03, 0.06, 0.09):
        subject.offer(T0, np.zeros((0, 2)), T0, {"a": 0.7 - sag, "b": -1.5})
        assert subject.action_at(T0)[0] == 0.7
    subject.offer(T0, np.zeros((0, 2)), T0, {"a": 0.2, "b": -1.5})
    assert subject.action_at(T0)[0] == 0.2


def test_a_hold_in_motion_is_one_step_towards_where_the_robot_is():
    subject = arm()
    subject.measure(ARM)
    subject.offer(T0, np.array([[0.6, -1.5], [0.5, -1.5], [0.4, -1.5]]), T0)
    now = T0 + 2 * PERIOD
    assert subject.action_at(now)[0] == 0.4
    subject.offer(now, np.zeros((0, 2)), now, {"a": 0.55, "b": -1.48})
    np.testing.assert_allclose(subject.action_at(now + 1), [0.5, -1.48])
    assert subject.status is Following.REQUESTED


def test_a_plan_that_makes_no_sense_holds_a_position_robot_where_its_plan_has_brought_it():
    subject = arm()
    subject.measure(ARM)
    subject.offer(T0, np.array([[0.6, -1.5], [0.5, -1.5]]), T0)
    with pytest.raises(PlanError):
        subject.offer(T0 + PERIOD, np.array([[9.0, 0.0]]), T0 + PERIOD)
    np.testing.assert_array_equal(subject.action_at(T0 + 3 * PERIOD), [0.5, -1.5])


def test_rest_of_velocities_is_inside_their_limits():
    action = ActionSpec(("a", "b"), "velocity", "m/s", (0.2, -2.0), (1.0, 2.0))
    np.testing.assert_array_equal(PlanFollower(action, 0.1).action_at(T0), [0.2, 0.0])


def test_a_robot_that_was_moved_outside_its_limits_is_not_sent_back():
    subject = arm()
    subject.measure(ARM)
    subject.offer(T0, np.zeros((0, 2)), T0, {"a": 1.5, "b": -1.5})
    assert subject.action_at(T0) is None
    assert subject.status is Following.UNKNOWN
    subject.offer(T0, np.zeros((0, 2)), T0, {"a": 0.9, "b": -1.5})
    assert subject.action_at(T0).tolist() == [0.9, -1.5]


def test_a_moving_robot_measured_outside_its_limits_holds_at_its_last_command():
    subject = arm()
    subject.measure({"a": 0.9, "b": -1.5})
    subject.offer(T0, np.array([[1.0, -1.5], [1.0, -1.5]]), T0)
    assert subject.action_at(T0)[0] == 1.0
    subject.offer(T0 + 1, np.zeros((0, 2)), T0 + 1, {"a": 1.05, "b": -1.5})
    assert subject.action_at(T0 + 2).tolist() == [1.0, -1.5]
