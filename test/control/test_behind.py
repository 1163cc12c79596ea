"""A robot moved by positions that stays behind its plan is held while it executes the plan."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wm_mpc.codes import HoldCode
from wm_mpc.control.holds import HoldError
from wm_mpc.control.loop import ControlLoop, Hold, Send
from wm_mpc.control.settings import ControlSettings, LimitSettings

from .test_loop import MS, PERIOD, START, World, make_model

CHANGE = 0.05  # rad in a control period: 0.5 rad/s, 0.1 s
LAG = 0.3  # s
REACH = CHANGE * (1.0 + LAG / 0.1)  # of the measured place
SETTINGS = ControlSettings(limits=LimitSettings(lag=LAG))


@pytest.fixture
def world():
    return World(make_model("position"))


@pytest.fixture
def loop(world):
    """It has sent a plan from rest at 0, which leads both joints away at the rate limit."""
    loop = ControlLoop(make_model("position"), 0, world)
    loop.stands(START, np.zeros(2))
    loop.executed.put(START, np.repeat(CHANGE * np.arange(1, 11)[:, None], 2, 1))
    return loop


def behind(loop, at, place, *, measured=None, settings=SETTINGS):
    """What is said at `at` ms, of joints that were at `place` at `measured` ms."""
    stamp = START + (at if measured is None else measured) * MS
    places = {name: (stamp, value) for name, value in zip("ab", place, strict=True)}
    return loop.why_behind(START + at * MS, places, settings)


def planned(at):
    """By the plan, at `at` ms."""
    return CHANGE * (at // 100 + 1)


@pytest.mark.parametrize("at", [0, 50, 150, 450, 950])
@pytest.mark.parametrize("lag", [0, 1, 3])  # control periods
def test_an_arm_that_follows_within_the_lag_goes_on(loop, at, lag):
    place = max(0.0, planned(at) - lag * CHANGE)
    assert behind(loop, at, (place, place)) is None


@pytest.mark.parametrize("joint", ["a", "b"])
@pytest.mark.parametrize("at", [450, 650, 950])
def test_an_arm_that_stays_behind_by_more_is_held_between_two_plans(loop, at, joint):
    blocked = [0.0 if name == joint else planned(at) for name in "ab"]
    hold = behind(loop, at, blocked)
    assert isinstance(hold, Hold)
    assert (hold.code, hold.is_fault) == (HoldCode.NOT_FOLLOWING, True)
    assert hold.reason.startswith(f"{joint} is at 0 rad, {planned(at):.4g} from its plan")
    assert f"accepted: {REACH:.4g} (limits.lag 0.3 s)" in hold.reason


def test_a_blocked_arm_is_held_as_soon_as_the_plan_is_out_of_reach(loop):
    held = [at for at in range(0, 1000, 10) if behind(loop, at, (0.0, 0.0)) is not None]
    assert held[0] == 400  # its fifth point is 0.25 rad away, and 0.2 rad are accepted


def test_a_larger_lag_accepts_more(loop):
    wide = ControlSettings(limits=LimitSettings(lag=1.0))
    assert behind(loop, 950, (0.0, 0.0), settings=wide) is None


def test_a_measurement_is_compared_with_the_plan_of_its_own_moment(loop):
    assert behind(loop, 450, (0.0, 0.0), measured=350) is None
    assert behind(loop, 450, (0.0, 0.0), measured=410) is not None


def test_joints_that_nobody_has_just_measured_say_nothing(loop):
    assert loop.why_behind(START + 900 * MS, {}, SETTINGS) is None
    place = {"b": (START + 900 * MS, 0.5)}
    assert loop.why_behind(START + 900 * MS, place, SETTINGS) is None


def test_the_second_time_within_some_seconds_it_pauses(loop, world):
    assert behind(loop, 900, (0.0, 0.0)).code is HoldCode.NOT_FOLLOWING
    loop.trust.check_pause(START + 940 * MS)  # raises nothing
    assert "does not follow its commands" in behind(loop, 950, (0.0, 0.0)).reason
    with pytest.raises(HoldError, match="does not follow its commands"):
        loop.trust.check_pause(START + 1940 * MS)
    world.pass_ms(1000)
    world.want()
    world.see()
    world.feel((0.0, 0.0))
    decision = loop.decide(SETTINGS)
    assert isinstance(decision, Hold)
    assert decision.code is HoldCode.NOT_FOLLOWING


def test_an_arm_that_somebody_moves_is_not_said_to_ignore_its_commands(loop):
    loop.trust._place = START + 800 * MS, np.array([0.4, 0.4])
    hold = behind(loop, 900, (-0.9, 0.5))
    assert hold.code is HoldCode.JUMP
    assert not hold.is_fault
    assert hold.reason.startswith("the robot was put elsewhere")
    loop.trust.check_pause(START + 940 * MS)  # raises nothing


def test_a_plan_in_progress_is_not_sent_after_such_a_hold(loop):
    hold = behind(loop, 900, (0.0, 0.0))
    loop.stop(START + 900 * MS, np.zeros(2), hold)
    assert loop.may_send() is hold
    assert behind(loop, 950, (0.0, 0.0)) is None  # it is held already
    loop.begin()
    assert loop.may_send() is None
    assert behind(loop, 1000, (0.5, 0.5)) is None  # it rests


def test_what_rests_or_is_moved_by_velocities_is_never_behind(world):
    resting = ControlLoop(make_model("position"), 0, world)
    resting.stands(START, np.zeros(2))
    assert behind(resting, 900, (0.9, 0.9)) is None
    fast = ControlLoop(make_model(), 0, world)
    fast.executed.put(START, np.full((10, 2), 0.9))
    assert behind(fast, 900, (0.0, 0.0)) is None


def test_a_calm_arm_is_never_held_between_plans():
    """It follows each of its commands 0.2 s late."""
    model = make_model("position")
    world = World(model)
    world.want()
    loop = ControlLoop(model, 0, world)
    places = [np.zeros(2)] * 3
    for _ in range(30):
        world.see()
        world.feel(tuple(places[-3]))
        loop.begin()
        decision = loop.decide(dataclasses.replace(SETTINGS, planner=_planner()))
        assert isinstance(decision, Send), decision
        loop.sent(decision)
        for _ in range(10):
            world.pass_ms(10)
            now = world.now()
            here = {n: (now, float(v)) for n, v in zip("ab", places[-3], strict=True)}
            assert loop.why_behind(now, here, SETTINGS) is None
        action = loop.executed.at(world.now() - PERIOD)
        assert action is not None
        places.append(action)


def _planner():
    from wm_mpc.planning.registry import PlannerConfig

    return PlannerConfig(horizon=5, iterations=1, restarts=2)
