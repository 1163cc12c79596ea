"""The last check before the robot: nothing unsafe passes, whoever made the plan."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wm_mpc.control.validator import PlanValidator, Verdict
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

PERIOD = 0.1
LOW, HIGH = np.array([-0.5, -2.0]), np.array([1.5, 1.0])


def make_spec(kind="velocity", rate_limit=None):
    action = ActionSpec(("a", "b"), kind, "m/s", tuple(LOW), tuple(HIGH), rate_limit)
    return RobotSpec("toy", action, StateSpec((), (), "odom"), ImageSpec(16, 16), PERIOD, 2)


def check(actions, spec=None, *, age=0.0, timeout=0.5, before=(0.0, 0.0), **rest):
    validator = PlanValidator(spec or make_spec())
    return validator.check(
        np.array(actions, float), age=age, timeout=timeout, before=np.array(before), **rest
    )


def test_a_good_plan_passes_as_it_is():
    actions = [[0.1, 0.2], [1.5, -2.0]]
    found = check(actions)
    assert (found.verdict, found.reason) == (Verdict.SUCCESS, "")
    assert found.actions.tolist() == actions


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_means_hold(wrong):
    found = check([[0.1, 0.2], [0.1, wrong]])
    assert found.verdict is Verdict.HOLD
    assert len(found.actions) == 0
    assert "not finite" in found.reason


@pytest.mark.parametrize("shape", [(0, 2), (3, 1), (3,), (1, 3, 2)])
def test_another_shape_means_hold(shape):
    found = check(np.zeros(shape))
    assert found.verdict is Verdict.HOLD
    assert str(shape) in found.reason


@pytest.mark.parametrize("age", [0.51, 3.0, np.inf, np.nan])
def test_a_plan_of_an_old_observation_means_hold(age):
    found = check([[0.0, 0.0]], age=age)
    assert found.verdict is Verdict.HOLD
    assert "observation_timeout 0.5 s" in found.reason


def test_what_is_outside_the_limits_is_brought_inside_and_named():
    found = check([[0.0, 0.0], [0.0, 1.5]])
    assert found.verdict is Verdict.DEGRADED
    assert found.actions.tolist() == [[0.0, 0.0], [0.0, 1.0]]
    assert found.reason == "outside the limits at point 1 of b"


def test_rounding_is_no_fault_and_still_ends_inside():
    found = check([[1.5 + 1e-7, 0.0]])
    assert found.verdict is Verdict.SUCCESS
    assert found.actions[0, 0] == 1.5


def test_a_jump_is_spread_over_as_many_points_as_the_rate_limit_needs():
    spec = make_spec(rate_limit=(3.0, 3.0))  # 0.3 a period
    found = check([[1.0, 0.0]] * 5, spec, before=(0.2, 0.0))
    assert found.verdict is Verdict.DEGRADED
    assert found.actions[:, 0] == pytest.approx([0.5, 0.8, 1.0, 1.0, 1.0])
    assert "changed faster" in found.reason


def test_points_that_are_executed_already_stay_and_later_ones_start_from_them():
    spec = make_spec(rate_limit=(3.0, 3.0))
    found = check([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], spec, fixed=2)
    assert found.actions[:, 0] == pytest.approx([1.0, 1.0, 0.7])


def test_a_slower_pace_is_a_share_of_the_velocity_and_says_why():
    found = check([[0.4, -0.2], [1.0, 0.6]], pace=0.5, fixed=1, why="it slips")
    assert found.verdict is Verdict.DEGRADED
    assert found.reason == "it slips"
    assert found.actions.tolist() == [[0.4, -0.2], [0.5, 0.3]]


def test_a_slower_pace_of_positions_stays_near_where_the_robot_is_going():
    spec = make_spec("position")
    found = check(
        [[1.0, 0.96], [0.98, 0.96]], spec, pace=0.5, before=(1.0, 1.0), measured=np.array([1.0, 1])
    )
    assert found.actions == pytest.approx(np.array([[1.0, 0.98], [0.99, 0.98]]))


@given(
    arrays.arrays(float, (6, 2), elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.integers(0, 8),
    st.floats(0.05, 1.0),
    st.booleans(),
    st.sampled_from(["velocity", "position", "effort"]),
)
def test_whatever_comes_only_safe_actions_leave(actions, fixed, pace, is_limited, kind):
    spec = make_spec(kind, (3.0, 3.0) if is_limited else None)
    found = check(actions, spec, fixed=fixed, pace=pace, measured=np.zeros(2))
    if found.verdict is Verdict.HOLD:
        assert len(found.actions) == 0
        return
    assert np.isfinite(found.actions).all()
    assert (found.actions >= LOW).all()
    assert (found.actions <= HIGH).all()
    if is_limited and fixed == 0:
        changes = np.diff(np.concatenate([np.zeros((1, 2)), found.actions]), axis=0)
        assert np.abs(changes).max() <= 0.3 + 1e-9


def test_limits_that_exclude_rest_are_kept_at_any_pace():
    action = dataclasses.replace(make_spec().action, low=(0.2, -2.0))
    spec = dataclasses.replace(make_spec(), action=action)
    found = check([[0.4, 0.0]], spec, pace=0.5)
    assert found.actions[0, 0] == pytest.approx(0.3)


# ------------------------------------------------------------------------ robots moved by positions

ARM = np.array([1.2, -1.5])  # where it is measured
LIMITED = (1.0, 1.0)  # 0.1 a period


def check_arm(actions, *, measured=ARM, before=ARM, rate_limit=LIMITED, **rest):
    spec = make_spec("position", rate_limit)
    return check(actions, spec, before=before, measured=measured, **rest)


def test_positions_from_where_the_robot_is_measured_pass():
    actions = ARM + np.array([[0.1, -0.1], [0.2, -0.2], [0.2, -0.3]])
    found = check_arm(actions)
    assert (found.verdict, found.reason) == (Verdict.SUCCESS, "")
    np.testing.assert_allclose(found.actions, actions)


@pytest.mark.parametrize("rate_limit", [LIMITED, None])
@pytest.mark.parametrize("fixed", [0, 1, 3])
@pytest.mark.parametrize("place", [[0.0, 0.0], [1.2, 0.0], [0.6, -1.5]])
def test_a_plan_that_begins_far_from_the_robot_is_refused_whoever_made_it(rate_limit, fixed, place):
    found = check_arm([place] * 6, rate_limit=rate_limit, fixed=fixed, before=np.array(place))
    assert found.verdict is Verdict.HOLD
    assert len(found.actions) == 0
    assert "jump" in found.reason
    assert "measured" in found.reason
    assert "accepted" in found.reason


@pytest.mark.parametrize("measured", [None, np.array([1.2, np.nan]), np.array([np.inf, 0.0])])
def test_without_a_measurement_no_position_is_sent(measured):
    found = check_arm([ARM] * 3, measured=measured)
    assert found.verdict is Verdict.HOLD
    assert "has not been measured" in found.reason


def test_a_robot_in_motion_may_be_as_far_behind_as_the_lag_allows():
    ahead = np.subtract(ARM, [0.35, 0.0])
    plan = ahead - np.arange(6)[:, None] * [0.1, 0.0]
    assert check_arm(plan, before=ahead, fixed=1, lag=0.3).verdict is Verdict.SUCCESS
    assert check_arm(plan, before=ahead, fixed=1, lag=0.1).verdict is Verdict.HOLD


@pytest.mark.parametrize(("behind", "verdict"), [(0.39, Verdict.SUCCESS), (0.41, Verdict.HOLD)])
def test_the_first_point_of_a_robot_in_motion_is_a_period_and_the_lag_ahead_at_most(
    behind, verdict
):
    ahead = np.subtract(ARM, [behind, 0.0])
    assert check_arm([ahead] * 6, before=ahead, fixed=0, lag=0.3).verdict is verdict


@pytest.mark.parametrize("fixed", [0, 1])
def test_the_first_free_point_is_near_where_a_standing_robot_is_measured(fixed):
    """It sags: it is held a little above where it is."""
    held = np.add(ARM, [0.04, 0.0])
    plan = np.repeat(held[None], 6, axis=0)
    plan[fixed:, 0] += 0.1
    found = check_arm(plan, before=held, fixed=fixed)
    assert found.actions[fixed, 0] == pytest.approx(ARM[0] + 0.1)
    steps = np.diff(np.concatenate([held[None], found.actions]), axis=0)
    assert np.abs(steps).max() <= 0.1 + 1e-9


def test_velocities_need_no_measured_position():
    assert check([[0.1, 0.2]], measured=None).verdict is Verdict.SUCCESS


def test_the_point_that_applies_now_and_those_before_it_are_checked():
    """Of three that are executed already, the one in the middle is far away."""
    near = [ARM[0], ARM[1]]
    far = [ARM[0] - 1.0, ARM[1]]
    for fixed in (2, 3):
        found = check_arm([near, far, near, near, near], fixed=fixed)
        assert found.verdict is Verdict.HOLD
        assert "point 1" in found.reason
