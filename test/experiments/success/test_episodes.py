"""Closed-loop episodes in the real simulator."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from wm_mpc.control.receding_horizon import PlanningError, RecedingHorizon
from wm_mpc.control.wide_search import Thought
from wm_mpc.experiments.common.episodes import draw_episode, run_episode
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.planar import TOLERANCE
from wm_mpc.sim.tasks.wall import Wall

torch.set_num_threads(1)
PLANNER = PlannerConfig(horizon=2, iterations=2, restarts=3)


@pytest.fixture(scope="module")
def simulation():
    with simulate(Wall()) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return WorldModel(Wall.spec, Architecture(4, 4, 4, hidden=16)).eval().requires_grad_(False)


def run(simulation, model, index=0, seed=3, **settings):
    return run_episode(
        simulation,
        RecedingHorizon(model, seed),
        episode_rng(seed, "evaluate", index),
        planner=PLANNER,
        objective=ObjectiveConfig(),
        **{"steps": 8, **settings},
    )


def outcome(result):
    return dataclasses.replace(result, plan_seconds=[], between_seconds=[])


def test_open_loop_executes_one_plan_to_its_end(simulation, model):
    result = run(simulation, model, replan=None, steps=100)
    assert (len(result.plan_seconds), result.steps) == (1, 10)


def test_open_loop_keeps_to_the_step_budget(simulation, model):
    assert run(simulation, model, replan=None, steps=4).steps == 4


def test_episode_is_repeatable_by_its_seed(simulation, model):
    first = run(simulation, model)
    run(simulation, model, index=1)
    assert outcome(run(simulation, model)) == outcome(first)


def test_episodes_differ(simulation, model):
    errors = [run(simulation, model, index).errors for index in range(4)]
    assert len({tuple(error.values()) for error in errors}) == 4


@pytest.mark.parametrize(("replan", "plans"), [(1, 8), (3, 3), (8, 1), (100, 1)])
def test_a_plan_is_made_every_replan_steps(simulation, model, replan, plans):
    result = run(simulation, model, replan=replan)
    assert (result.success, result.steps, len(result.plan_seconds)) == (False, 8, plans)


def test_plan_that_ran_out_is_followed_by_another(simulation, model):
    """Two model steps of five are ten low-level steps, however many should be executed."""
    result = run(simulation, model, replan=100, steps=25)
    assert len(result.plan_seconds) == 3


class Pilot:
    """Knows the way, and stands in for a perfect world model."""

    def __init__(self, simulation):
        self.simulation = simulation
        self.forgotten, self.goals, self.stamps = 0, [], []

    def forget(self):
        self.forgotten += 1

    def think(self):
        return Thought(seconds=0.125)

    def set_goal(self, image, state):
        self.goals.append(image)

    def plan(self, image, state, stamp, **_):
        self.stamps.append(stamp)
        task, goal = self.simulation.task, self.simulation.goal.true_state[:2]
        offset = goal - task.pose()
        plan = np.tile(np.clip(offset / task.spec.control_period, -1, 1), (10, 1))
        return type("Plan", (), {"actions": plan, "encode_seconds": 0.25, "plan_seconds": 0.5})


def pilot_episode(simulation):
    """The first held-out episode whose goal is straight ahead."""
    for index in itertools.count():
        pilot = Pilot(simulation)
        result = run_episode(
            simulation, pilot, episode_rng(0, "evaluate", index),
            planner=PLANNER, objective=ObjectiveConfig(), steps=60,
        )  # fmt: skip
        if result.success:
            return pilot, result
    raise AssertionError


def test_success_ends_the_episode_and_is_judged_by_the_true_state(simulation):
    _, result = pilot_episode(simulation)
    assert 0 < result.steps < 60
    assert result.success_at_end
    assert result.plan_seconds == [0.75] * result.steps
    assert result.between_seconds == [0.125] * result.steps
    assert result.errors["distance"] < TOLERANCE
    assert simulation.is_success()


def test_controller_starts_each_episode_afresh_with_its_goal(simulation):
    pilot, _ = pilot_episode(simulation)
    assert pilot.forgotten == 1
    assert len(pilot.goals) == 1
    assert np.array_equal(pilot.goals[0], simulation.goal.observation.image)
    period = simulation.task.spec.control_period
    assert pilot.stamps == pytest.approx([k * period for k in range(len(pilot.stamps))])


class Overshooting(Pilot):
    """Drives over the goal and on: its plan is three times as long as the way."""

    def plan(self, *arguments, **settings):
        plan = super().plan(*arguments, **settings)
        offset = self.simulation.goal.true_state[:2] - self.simulation.task.pose()
        count = 3 * int(np.ceil(np.abs(offset).max() / 0.1))
        speed = offset / np.abs(offset).max()
        plan.actions = np.tile(speed, (count, 1))
        return plan


def test_open_loop_counts_success_on_the_way_and_tells_of_the_end(simulation):
    for index in itertools.count():
        result = run_episode(
            simulation, Overshooting(simulation), episode_rng(0, "evaluate", index),
            planner=PLANNER, objective=ObjectiveConfig(), replan=None,
        )  # fmt: skip
        if result.success and not result.success_at_end:
            break
    assert result.errors["distance"] > TOLERANCE
    assert len(result.plan_seconds) == 1


def test_controller_without_a_plan_leaves_the_robot_standing(simulation):
    class Broken(Pilot):
        def plan(self, *_, **__):
            raise PlanningError("no candidate had a finite cost")

    start = None

    def watch(step, observation, plan, left):
        nonlocal start
        start = simulation.task.pose() if start is None else start

    result = run_episode(
        simulation, Broken(simulation), episode_rng(0, "evaluate", 0),
        planner=PLANNER, objective=ObjectiveConfig(), steps=5, watch=watch,
    )  # fmt: skip
    assert (result.success, result.steps, result.holds, result.plan_seconds) == (False, 5, 5, [])
    assert simulation.task.pose() == pytest.approx(start, abs=1e-3)


class AtItsGoal(Wall):
    """Draws the start as the goal, three times out of four."""

    draws = 0

    def sample_goal(self, rng, start, kind):
        self.draws += 1
        return start if self.draws % 4 else super().sample_goal(rng, start, kind)


def test_start_at_the_goal_is_drawn_again():
    with simulate(AtItsGoal()) as simulation:
        draw_episode(simulation, episode_rng(0, "evaluate", 0))
        assert simulation.task.draws == 4  # type: ignore[attr-defined]
        assert not simulation.is_success()


def test_task_without_any_other_start_is_an_error():
    with simulate(AtItsGoal()) as simulation:
        simulation.task.sample_goal = lambda rng, start, kind: start
        simulation.task.sample_state = lambda rng: np.array([0.5, 0.5, 0, 0])
        simulation.camera.render = lambda: np.zeros((64, 64, 3), np.uint8)  # for speed
        with pytest.raises(RuntimeError, match="every start was already at its goal"):
            draw_episode(simulation, episode_rng(0, "evaluate", 0))


def test_watcher_sees_every_step_and_the_end(simulation, model):
    seen = []
    run(simulation, model, replan=3, watch=lambda *what: seen.append(what))
    assert [step for step, *_ in seen] == list(range(9))
    assert [len(left) for *_, left in seen] == [10, 9, 8, 10, 9, 8, 10, 9, 0]
    assert seen[-1][2] is None
