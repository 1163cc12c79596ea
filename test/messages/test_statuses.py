"""What nodes say of themselves, as data and as values by name."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from wm_mpc.codes import GoalCode, HoldCode, LearnerCode, Level, SimCode, StatusCode, WarningCode
from wm_mpc.control.following import Following
from wm_mpc.control.goals import GoalStatus
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.progress_statuses import EpisodeStatus, LearnerStatus
from wm_mpc.messages.statuses import GoalReport, MpcStatus

CODES = [HoldCode, StatusCode, WarningCode, GoalCode, SimCode, LearnerCode]
MPC = MpcStatus(
    "left/mpc",
    Level.WARN,
    StatusCode.DEGRADED,
    "planning, degraded: slower",
    {
        "warnings": "warning.plan_changed warning.clocks",
        "plans": "12",
        "overruns": "3",
        "holds": "1",
        "plan time p50 (ms)": "8.5",
        "messages dropped": "3 on /odom, 2 on /left/goal/state",
        "goals refused": "4; last: image is 8x8",
    },
)
GOAL = GoalReport(
    3, GoalCode.ABORTED, "not reached within 1 s", 1_700_000_000_000_000_007, 2.5, 1.25, 1.02
)
EPISODE = EpisodeStatus(
    SimCode.EXECUTING, "executing the plan", "push_t", 4, True, 31,
    {"distance": 0.0625, "angle": 0.125}, 3, 2, 1,
)  # fmt: skip
LEARNER = LearnerStatus(
    "learner", LearnerCode.TRAINING, "", 12.5, "dynamics", 5, 100, 40.0, {"one_step": 0.25},
    Path("/runs/wall.safetensors"), {"live episodes": "7"},
)  # fmt: skip
FAILED = LearnerStatus("left/learner", LearnerCode.FAILED, "no dataset at here")


def through_text(status):
    """As a message carries it: all values as text."""
    values = {key: str(value) for key, value in status.to_values().items()}
    return type(status).of(status.level, status.name, status.sentence, values)


@pytest.mark.parametrize("status", [MPC, GOAL, EPISODE, LEARNER, FAILED, LearnerStatus("learner")])
def test_a_status_comes_back_as_it_was(status):
    assert through_text(status) == status


def test_a_goal_of_unknown_distance_comes_back():
    found = through_text(GoalReport(1, GoalCode.WAITING))
    assert math.isnan(found.distance)
    assert math.isnan(found.tolerance)
    assert (found.code, found.reason, found.stamp) == (GoalCode.WAITING, "", 0)


@pytest.mark.parametrize("code", [*HoldCode, *StatusCode])
def test_each_code_of_the_controller_comes_back_as_itself(code):
    status = through_text(MpcStatus("mpc", Level.OK, code, ""))
    assert status.code is code
    assert status.is_holding == isinstance(code, HoldCode)
    assert status.is_planning == code.value.startswith("planning")


def test_a_code_of_a_later_version_stays_a_text():
    found = through_text(
        MpcStatus("mpc", Level.ERROR, "hold.moon", "", {"warnings": "warning.sun"})
    )
    assert (found.code, found.is_holding, found.warnings) == ("hold.moon", True, {"warning.sun"})


def test_counts_and_times_of_the_controller_are_numbers():
    assert (MPC.plans, MPC.overruns, MPC.holds, MPC.plan_ms("p50")) == (12, 3, 1, 8.5)
    assert MPC.warnings == {WarningCode.PLAN_CHANGED, WarningCode.CLOCKS}
    assert (MPC.dropped, MPC.refused_goals) == ({"/odom": 3, "/left/goal/state": 2}, 4)


def test_what_a_controller_does_not_say_counts_as_nothing():
    bare = MpcStatus("mpc", Level.OK, StatusCode.INACTIVE, "")
    assert (bare.plans, bare.overruns, bare.holds, bare.refused_goals) == (0, 0, 0, 0)
    assert (bare.warnings, bare.dropped) == (frozenset(), {})
    assert math.isnan(bare.plan_ms("mean"))


def test_sentences_are_for_people():
    assert GOAL.sentence == "aborted: not reached within 1 s"
    assert GoalReport(1, GoalCode.REACHED).sentence == "reached"
    assert LEARNER.sentence == "training: dynamics, 5 of 100"
    assert FAILED.sentence == "failed: no dataset at here"


def test_levels_say_how_bad_it_is():
    levels = {code: GoalReport(1, code).level for code in GoalCode}
    assert [code for code, level in levels.items() if level is Level.ERROR] == [GoalCode.ABORTED]
    assert [code for code, level in levels.items() if level is Level.WARN] == [GoalCode.CANCELLED]
    assert (FAILED.level, LEARNER.level) == (Level.ERROR, Level.OK)


@pytest.mark.parametrize(
    ("status", "key", "text", "told"),
    [
        (GOAL, "code", "goal.lost", "code is 'goal.lost'; accepted: goal.waiting, goal.executing"),
        (GOAL, "number", "three", "number is 'three'; accepted: a whole number"),
        (GOAL, "stamp", "yesterday", "stamp is 'yesterday'; accepted: s.ns"),
        (GOAL, "distance", "far", "distance is 'far'; accepted: a number"),
        (EPISODE, "code", "", "code is ''; accepted: sim.no_rest"),
        (EPISODE, "angle", "wide", "angle is 'wide'; accepted: a number"),
        (LEARNER, "code", "learner.bored", "accepted: learner.idle"),
        (LEARNER, "update", "1.5", "update is '1.5'; accepted: a whole number"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_accepted(status, key, text, told):
    values = {name: str(value) for name, value in status.to_values().items()} | {key: text}
    with pytest.raises(MessageError, match=told):
        type(status).of(status.level, status.name, "", values)


@pytest.mark.parametrize("kind", [GoalReport, EpisodeStatus, LearnerStatus])
def test_a_message_of_somebody_else_is_refused(kind):
    with pytest.raises(MessageError, match=r"disk has no value '.*'; it has: free"):
        kind.of(Level.OK, "disk", "", {"free": "3 GB"})


def test_no_two_codes_are_the_same():
    values = [code.value for kind in CODES for code in kind]
    assert len(set(values)) == len(values)


def test_a_code_is_its_text():
    assert HoldCode.PERSON == "hold.person"
    assert {"hold.person": 1}[HoldCode.PERSON] == 1
    assert f"{HoldCode.PERSON} {GoalCode.REACHED}" == "hold.person goal.reached"


def test_goals_of_the_control_loop_have_codes():
    for status in GoalStatus:
        code = GoalCode[status.name]
        assert (code.word, code.is_final) == (status.value, status.is_final)


def test_each_way_of_following_has_a_code_of_its_own():
    assert {following.code for following in Following} == set(SimCode)
