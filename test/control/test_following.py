"""The consumer of plans: what it executes, when it holds, and what it never does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
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
    subject.reset(rest=np.array([0.15, 0.2]))
    np.testing.assert_array_equal(subject.action_at(T0), [0.15, 0.2])
    subject.offer(T0, ramp(2), T0)
    assert subject.action_at(T0)[0] == pytest.approx(0.1)
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
    assert [subject.action_at(T0 + k * PERIOD)[0] for k in range(2)] == [0.6, 0.5]
    assert subject.action_at(now)[0] == 0.4
    subject.offer(now, np.zeros((0, 2)), now, {"a": 0.55, "b": -1.48})
    np.testing.assert_allclose(subject.action_at(now + 1), [0.5, -1.48])
    assert subject.status is Following.REQUESTED


def test_a_plan_that_makes_no_sense_holds_a_position_robot_where_its_plan_has_brought_it():
    subject = arm()
    subject.measure(ARM)
    subject.offer(T0, np.array([[0.6, -1.5], [0.5, -1.5]]), T0)
    assert [subject.action_at(T0 + k * PERIOD)[0] for k in range(2)] == [0.6, 0.5]
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


def descent(points, start=0.7, step=0.1):
    """Full speed downwards from where the arm is measured."""
    return np.stack([start - step * np.arange(1, points + 1), np.full(points, -1.5)], 1)


def moving_arm(points=12):
    subject = arm()
    subject.measure(ARM)
    subject.offer(T0, descent(points), T0)
    return subject


def test_a_late_plan_makes_no_jump():
    """0.48 s late, its fifth point applies: 0.5 away, where 0.1 a period is the limit."""
    subject = arm()
    subject.measure(ARM)
    now = T0 + 480 * MS
    subject.offer(T0, descent(12), now)
    assert subject.action_at(now)[0] == pytest.approx(0.6, abs=1e-5)
    assert subject.status is Following.EXECUTING


@pytest.mark.parametrize("silence", [150, 500, 900])  # ms
def test_after_a_stall_a_stream_catches_up_at_the_rate_limit(silence):
    subject = moving_arm()
    assert subject.action_at(T0)[0] == pytest.approx(0.6)
    resumed = T0 + silence * MS
    after = [subject.action_at(resumed + k * PERIOD)[0] for k in range(3)]
    steps = -np.diff([0.6, *after])
    assert (steps <= 0.1 + 1e-5).all()
    assert steps[0] == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("pause", [0, 1, 2 * MS, 20 * MS, 50 * MS])  # ns
def test_two_calls_in_one_period_are_not_two_steps(pause):
    """A tick, and a plan that comes right behind it and is a point further."""
    subject = moving_arm()
    assert subject.action_at(T0 + PERIOD - 2_000)[0] == pytest.approx(0.6)
    first = subject.action_at(T0 + PERIOD)[0]
    subject.offer(T0 - 2 * PERIOD, descent(12), T0 + PERIOD + pause)
    second = subject.action_at(T0 + PERIOD + pause)[0]
    rest = subject.rest_at(T0 + PERIOD + pause)[0]
    assert first >= second == rest
    assert 0.6 - second <= 0.1 * (1.0 + pause / PERIOD) + 1e-5


@pytest.mark.parametrize("pause", [1, 5 * MS, 20 * MS])  # ns
def test_many_calls_in_a_period_that_go_to_and_fro_stay_within_a_step(pause):
    subject, sent = arm(), []
    subject.measure({"a": 0.0, "b": 0.0})
    for number in range(3):
        now = T0 + number * pause
        subject.offer(now, np.full((3, 2), (-1.0) ** (number > 0)), now)
        sent.append(subject.action_at(now)[0])
    assert sent[0] == pytest.approx(0.1)
    assert np.ptp(sent) <= 0.1 + 1e-6


def test_ticks_that_jitter_follow_a_plan_at_full_speed_to_the_point():
    subject, rng = moving_arm(16), np.random.default_rng(0)
    for k in range(10):
        now = T0 + k * PERIOD + int(rng.integers(0, 20)) * MS
        assert subject.action_at(now)[0] == pytest.approx(0.6 - 0.1 * k, abs=1e-4)


def test_a_hold_is_one_step_from_the_last_command_not_from_a_point_that_was_never_sent():
    """As the plan's next point is due, a hold comes in its place: back to the blocked arm."""
    subject = moving_arm()
    for k in range(3):
        assert subject.action_at(T0 + k * PERIOD)[0] == pytest.approx(0.6 - 0.1 * k)
    now = T0 + 3 * PERIOD + 1
    subject.offer(now, np.zeros((0, 2)), now, ARM)
    # Others, who execute that point, are at 0.3 and get a step back, too.
    assert subject.action_at(now)[0] == pytest.approx(0.4, abs=1e-5)


def test_who_lets_others_execute_the_plan_holds_where_it_has_brought_them():
    """Nobody asks for actions, as with plans every half a second and no stream."""
    subject = moving_arm()
    subject.go_along(T0 + 5 * PERIOD)
    now = T0 + 5 * PERIOD
    subject.offer(now, np.zeros((0, 2)), now, {"a": 0.12, "b": -1.5})
    assert subject.action_at(now)[0] == pytest.approx(0.12)


def test_a_plan_begins_where_it_was_measured_if_nothing_was_before():
    subject = arm()
    subject.offer(T0, descent(3), T0, ARM)
    assert subject.action_at(T0)[0] == pytest.approx(0.6)


@settings(deadline=None)
@given(st.data())
def test_commands_are_within_reach_of_all_before_them(data):
    """At any times, with any plans and holds: however many there are, in a time they move no
    farther than the rate limit allows in it, and a step; or to where the arm is measured."""
    subject, now, sent = arm(), T0, []
    subject.measure({"a": 0.0, "b": 0.0})
    for _ in range(data.draw(st.integers(1, 20))):
        now += data.draw(st.integers(0, 400)) * MS
        kind = data.draw(st.sampled_from(("ask", "ask", "plan", "hold")))
        here = subject._pace.last + data.draw(st.floats(-0.1, 0.1))
        if kind == "plan":
            late = data.draw(st.integers(-3, 6)) * PERIOD
            goal = data.draw(st.floats(-1, 1))
            subject.offer(now - late, np.full((8, 2), goal), now)
        elif kind == "hold":
            subject.offer(now, np.zeros((0, 2)), now, {"a": here[0], "b": here[1]})
        sent.append((now, subject.action_at(now)))
    times, places = np.array([time for time, _ in sent]), np.array([place for _, place in sent])
    # A command may come a quarter of a period early.
    periods = 1.25 + np.abs(times[:, None] - times) / (0.75 * PERIOD)
    moved = np.abs(places[:, None] - places).max(2)
    assert (moved <= 0.1 * periods + 1e-4).all()
    assert (np.abs(np.diff(places, axis=0)) <= 0.1 + 1e-4).all()


@settings(deadline=None)
@given(st.data())
def test_a_clock_that_is_set_back_by_any_amount_makes_no_two_steps_of_one(data):
    """Nobody notices less than a tick. It cannot matter: in true time, the commands of a period
    stay within a step of each other."""
    subject, now, back, sent = arm(), T0, 0, []
    subject.measure({"a": 0.0, "b": 0.0})
    for _ in range(data.draw(st.integers(1, 20))):
        now += data.draw(st.integers(0, 120)) * MS
        back += data.draw(st.sampled_from((0, 0, 1, 30, 60, 99, 150, 5000))) * MS
        clock = now - back
        if data.draw(st.booleans()):
            goal = data.draw(st.floats(-1, 1))
            subject.offer(
                clock - data.draw(st.integers(-1, 3)) * PERIOD, np.full((8, 2), goal), clock
            )
        sent.append((now, subject.action_at(clock)))
    for (first, place), (second, other) in itertools.combinations(sent, 2):
        if second - first < 0.75 * PERIOD:
            assert (np.abs(other - place) <= 0.1 + 1e-4).all()


def test_after_the_clock_was_set_back_a_robot_goes_on_within_a_period():
    subject = arm()
    subject.measure({"a": 0.0, "b": 0.0})
    assert subject.action_at(T0)[0] == 0.0
    back = T0 - 3600 * 1000 * MS
    subject.offer(back, np.full((8, 2), 1.0), back)
    places = [subject.action_at(back + k * PERIOD)[0] for k in range(4)]
    np.testing.assert_allclose(places, [0.1, 0.2, 0.3, 0.4], atol=1e-4)


def test_a_blocked_arm_is_never_led_farther_away_than_its_lag_allows():
    subject = moving_arm()
    subject.lag = 0.3  # 0.1 + 0.3 s at 1 rad/s
    sent = [subject.action_at(T0 + k * PERIOD, ARM)[0] for k in range(9)]
    assert min(sent) == pytest.approx(0.7 - 0.4)
    assert sent[:4] == pytest.approx([0.6, 0.5, 0.4, 0.3])
    free = [subject.action_at(T0 + 9 * PERIOD + k * MS, {})[0] for k in range(3)]
    assert free == pytest.approx([0.2] * 3, abs=0.01)


def test_the_last_word_of_an_output_is_a_step_towards_where_the_arm_is_and_the_plan_goes_on():
    subject = moving_arm()
    for k in range(4):
        subject.action_at(T0 + k * PERIOD)
    now = T0 + 4 * PERIOD
    assert subject.rest_at(now, {"a": 0.6, "b": -1.5})[0] == pytest.approx(0.3)
    assert subject.action_at(now + 50 * MS)[0] < 0.3
