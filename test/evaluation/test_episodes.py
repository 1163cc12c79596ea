"""Closed-loop episodes in the real simulator."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from wm_mpc.evaluation.episodes import run_episode
from wm_mpc.model.world_model import Architecture, WorldModel
from wm_mpc.planning.objective import ObjectiveConfig
from wm_mpc.planning.receding_horizon import RecedingHorizon
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.bullet import Simulation, episode_rng
from wm_mpc.sim.tasks.wall import TOLERANCE, Wall

torch.set_num_threads(1)
PLANNER = PlannerConfig(horizon=2, iterations=2, restarts=3)


@pytest.fixture(scope="module")
def simulation():
    with Simulation(Wall()) as simulation:
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
    return dataclasses.replace(result, plan_seconds=[])


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

    def set_goal(self, image, state):
        self.goals.append(image)

    def plan(self, image, state, stamp, **_):
        self.stamps.append(stamp)
        task, goal = self.simulation.task, self.simulation.goal.true_state[:2]
        offset = goal - task.pose()
        plan = np.tile(np.clip(offset / task.spec.control_period, -1, 1), (10, 1))
        return type("Plan", (), {"actions": plan, "plan_seconds": 0.0})


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
    assert len(result.plan_seconds) == result.steps
    assert result.errors["distance"] < TOLERANCE
    assert simulation.is_success()


def test_controller_starts_each_episode_afresh_with_its_goal(simulation):
    pilot, _ = pilot_episode(simulation)
    assert pilot.forgotten == 1
    assert len(pilot.goals) == 1
    assert np.array_equal(pilot.goals[0], simulation.goal.observation.image)
    period = simulation.task.spec.control_period
    assert pilot.stamps == pytest.approx([k * period for k in range(len(pilot.stamps))])
