"""What the node `mpc` trusts, and for how long it does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wm_mpc.codes import HoldCode
from wm_mpc.control.holds import HoldError
from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.control.settings import ControlSettings, LimitSettings, SurpriseSettings
from wm_mpc.control.surprise import Surprise
from wm_mpc.control.timeline import Timeline
from wm_mpc.control.trust import Trust
from wm_mpc.experiments.common.settings import task_settings
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task

SECOND = 1_000_000_000
VALUES = SurpriseSettings()


@pytest.fixture(scope="module")
def model():
    return load_checkpoint(resolve_checkpoint("wall"))[0]


@pytest.fixture
def trust(model):
    """It has begun to hold at 1000 s, for 1 s."""
    trust = Trust(model)
    trust._surprise = Surprise(prediction=9.0, image=0.1)
    with pytest.raises(HoldError, match="does not do what the model predicts"):
        trust._pace(1000 * SECOND, VALUES)
    return trust


def holds(trust, seconds):
    try:
        trust.check_pause(round(seconds * SECOND))
    except HoldError:
        return True
    return False


def test_it_holds_for_as_long_as_the_parameter_says(trust):
    assert [holds(trust, 1000.0), holds(trust, 1000.99), holds(trust, 1001.0)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("now", [0.0, 10.0, 900.0, 998.9])
def test_a_clock_that_jumps_back_does_not_hold_until_the_old_time_comes_again(trust, now):
    assert not holds(trust, now)
    assert not holds(trust, 1000.5)


def test_a_clock_that_is_adjusted_does_not_end_the_pause(trust):
    assert holds(trust, 999.9)


def test_a_pause_that_is_over_does_not_come_back(trust):
    assert not holds(trust, 1002.0)
    assert not holds(trust, 1000.5)


def test_a_clock_that_jumps_back_to_within_a_long_pause_ends_it(model):
    """Else the robot would hold for the pause and for as long as the clock jumped."""
    trust = Trust(model)
    trust._surprise = Surprise(prediction=9.0, image=0.1)
    with pytest.raises(HoldError):
        trust._pace(1000 * SECOND, SurpriseSettings(pause=60.0))
    assert [holds(trust, 1000.1), holds(trust, 1020.0)] == [True, True]
    assert not holds(trust, 1015.0)


# --------------------------------------------------------- an arm that is moved by positions


@pytest.fixture(scope="module")
def arm():
    with simulate(make_task("reach_joints")) as simulation:
        yield load_checkpoint(resolve_checkpoint("reach_joints"))[0], simulation


def drive(arm, executed, *, number=0, steps=25, lag=0.3, surprise=VALUES):
    """What the checks say of every plan of an episode, without middleware: "" where it is sent as
    it is. executed: what becomes of an action, given where the joints are."""
    model, simulation = arm
    control = ControlSettings(limits=LimitSettings(lag=lag), surprise=surprise)
    settings, spec = task_settings(model.spec.task), model.spec
    sent, trust = Timeline.of(spec), Trust(model)
    controller = RecedingHorizon(model, executed=sent)
    observation = simulation.reset(episode_rng(5, "evaluate", number))
    goal, said = simulation.goal.observation, []
    controller.set_goal(goal.image, goal.state)
    for step in range(steps):
        stamp = 1000 * SECOND + step * sent.period
        rest = spec.rest(spec.measured_positions(observation.state))
        if rest is None:  # it ran into its limits; the node holds and says so
            break
        try:
            trust.check_pause(stamp)
            plan = controller.plan(
                observation.image, observation.state, stamp / SECOND,
                planner=settings.planners["adam"], objective=settings.objective, rest=rest,
            )  # fmt: skip
            checked = trust.check(
                plan, observation.image, stamp,
                now=stamp, fixed=0, timeout=1.0, rest=rest, executed=sent, settings=control,
            )  # fmt: skip
        except HoldError as error:
            said.append(str(error))
            sent.hold(stamp, rest)
            controller.forget()
            action = rest
        else:
            said.append(checked.reason)
            sent.put(stamp, checked.actions)
            action = checked.actions[0]
            trust.follow(plan, stamp, sent)
        observation = simulation.step(executed(action, observation.state))
    return said


def as_sent(action, state):
    return action


def opposite(action, state):
    """Every joint moves as fast as it should, and the other way."""
    return 2.0 * state - action


def backwards(action, state):
    """More slowly, so that no joint gets to its limits soon."""
    return state - 0.4 * (action - state)


def crossed(action, state):
    """Three pairs of joints have each other's wires."""
    other = [1, 0, 2, 5, 4, 3, 6]
    return state + (action - state)[other]


def stuck(action, state):
    return state


NOT_FOLLOWING = "the robot does not follow its commands"
PREDICTIONS = ("does not do what the model predicts", "predictions have")


@pytest.mark.parametrize("number", range(3))
def test_an_arm_that_follows_is_neither_slowed_nor_held(arm, number):
    assert drive(arm, as_sent, number=number) == [""] * 25


@pytest.mark.parametrize("number", range(3))
def test_an_arm_that_does_the_opposite_is_held_and_stays_held_for_the_pause(arm, number):
    said = drive(arm, opposite, number=number)
    first = next(k for k, text in enumerate(said) if NOT_FOLLOWING in text)
    assert first <= 8
    assert all(NOT_FOLLOWING in text for text in said[first : first + 10])  # 1 s


@pytest.mark.parametrize(("number", "executed"), [(0, backwards), (1, opposite), (4, crossed)])
def test_predictions_alone_slow_or_hold_an_arm_with_wrong_wires(arm, number, executed):
    """Without the check of how far it is behind its commands."""
    said = drive(arm, executed, number=number, lag=10.0)
    surprised = [any(words in text for words in PREDICTIONS) for text in said]
    assert surprised.index(True) <= 16
    assert sum(surprised) >= 5


@pytest.mark.parametrize("number", [2, 3, 4])
def test_an_arm_that_does_not_move_is_slowed_by_predictions_alone(arm, number):
    """Where its goal is far enough away that it ought to move fast."""
    without = dataclasses.replace(VALUES, effect=0.0)
    said = drive(arm, stuck, number=number, lag=10.0, surprise=without)
    assert any("predictions have" in text for text in said)
    assert not any("of the predicted effect" in text for text in said)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_an_arm_that_does_not_move_is_held_because_actions_have_no_effect(arm, number):
    said = drive(arm, stuck, number=number, lag=10.0, steps=45)
    assert any(HELD in text and "of the predicted effect" in text for text in said)


# ------------------------------------------------------- a base that is moved by velocities


@pytest.fixture(scope="module")
def base(model):
    with simulate(make_task("wall")) as simulation:
        yield model, simulation


HELD = "the robot does not do what the model predicts"
EFFECT = "of the predicted effect"


def times(factor):
    return lambda action, state: factor * action


@pytest.mark.parametrize("number", range(3))
def test_a_base_that_does_what_it_should_is_neither_slowed_nor_held(base, number):
    assert not any(drive(base, as_sent, number=number, steps=40))


@pytest.mark.parametrize(("number", "hold"), [(0, VALUES.hold), (2, VALUES.hold), (1, 1000.0)])
@pytest.mark.parametrize(("factor", "seconds"), [(-1.0, 1.8), (0.0, 3.0)])
def test_a_base_that_does_the_opposite_or_nothing_is_held(base, number, factor, seconds, hold):
    """As in the fault table; also where the size of the error alone never holds."""
    settings = dataclasses.replace(VALUES, hold=hold)
    said = drive(base, times(factor), number=number, steps=36, surprise=settings)
    held = [HELD in text for text in said]
    assert held.index(True) <= 10 * seconds
    assert all(held[held.index(True) :][:10])  # for the pause of 1 s
    if hold > 100.0:
        assert EFFECT in said[held.index(True)]


@pytest.mark.slow
def test_a_base_at_half_speed_is_slowed_and_never_held(base):
    said = [
        text for number in range(6) for text in drive(base, times(0.5), number=number, steps=60)
    ]
    assert sum(EFFECT in text for text in said) >= 10
    assert not any(HELD in text for text in said)


def test_a_base_that_is_a_little_slower_is_left_alone(base):
    assert not any(drive(base, times(0.8), steps=60))


@pytest.mark.parametrize("off", [{"effect": 0.0}, {"hold": 0.0, "slow": 0.0}])
def test_the_effect_of_actions_counts_only_if_the_parameters_say_so(base, off):
    settings = dataclasses.replace(VALUES, **off)
    said = drive(base, times(0.0), steps=30, surprise=settings)
    assert not any(EFFECT in text for text in said)


def test_an_arm_that_somebody_puts_elsewhere_again_and_again_is_not_one_that_does_not_follow(arm):
    task, count = arm[1].task, 0

    def put_elsewhere(action, state):
        nonlocal count
        count += 1
        if count % 6 == 0:
            task.set_state(task.sample_state(episode_rng(6, "evaluate", count)))
            return task.measure()
        return action

    said = drive(arm, put_elsewhere)
    assert sum("put elsewhere" in text for text in said) >= 2
    assert not any(NOT_FOLLOWING in text for text in said)


# ---------------------------------------------------------------- a foreign object in the way


def test_an_object_in_the_way_holds_with_its_own_code_and_outlasts_a_new_model(model):
    """The plan leads through an object that nobody knows."""
    settings, spec = task_settings("wall"), model.spec
    sent, trust = Timeline.of(spec), Trust(model)
    rest, control = np.zeros(spec.action.size), ControlSettings(surprise=SurpriseSettings())
    with simulate(make_task("wall")) as simulation:
        observation = simulation.reset(episode_rng(5, "evaluate", 7))
        goal = simulation.goal.observation
    pale = observation.image.copy()
    pale[24:32, 4:12] = pale[24:32, 4:12].mean((0, 1)) - 27
    codes = []
    for step, image in enumerate([pale, pale, "another model", pale, pale, observation.image]):
        if isinstance(image, str):
            trust.use(model)
            continue
        stamp = 1000 * SECOND + step * sent.period
        controller = RecedingHorizon(model, executed=sent)  # a hold forgets what it saw
        controller.set_goal(goal.image, goal.state)
        controller.conditions = trust.conditions
        plan = controller.plan(
            image, observation.state, stamp / SECOND,
            planner=settings.planners["adam"], objective=settings.objective, rest=rest,
        )  # fmt: skip
        try:
            trust.check(
                plan, image, stamp,
                now=stamp, fixed=0, timeout=1.0, rest=rest, executed=sent, settings=control,
            )  # fmt: skip
        except HoldError as error:
            codes.append(error.code)
            sent.hold(stamp, rest)
        else:
            codes.append(None)
        trust.seek()
    assert codes == [HoldCode.FOREIGN_OBJECT] * 4 + [None]
    assert trust.values()["foreign object"] == "none"
