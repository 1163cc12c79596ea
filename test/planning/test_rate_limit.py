"""Robots whose actions may change only so fast."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.tasks.wall import Wall

LIMIT = (2.0, 1.0)  # m/s^2: 0.2 and 0.1 m/s per control period


@pytest.fixture(scope="module")
def model():
    action = dataclasses.replace(Wall.spec.action, rate_limit=LIMIT)
    torch.manual_seed(0)
    spec = dataclasses.replace(Wall.spec, action=action)
    return WorldModel(spec, Architecture(keypoints=2, hidden=8)).requires_grad_(False)


@pytest.mark.parametrize("planner", ["adam", "cem"])
def test_plans_change_no_faster_than_the_robot_may(model, planner):
    controller = RecedingHorizon(model)
    image = np.full((64, 64, 3), 90, np.uint8)
    controller.set_goal(image[::-1] + 100, np.zeros(2, np.float32))
    before = np.zeros(2)  # at rest
    for number in range(3):
        plan = controller.plan(
            image,
            np.zeros(2, np.float32),
            0.1 * number,
            planner=PlannerConfig(type=planner, iterations=5, samples=40, elites=5),
            objective=ObjectiveConfig(),
        )
        actions = np.concatenate([before[None], plan.actions])
        assert (np.abs(np.diff(actions, axis=0)) <= np.array(LIMIT) * 0.1 + 1e-5).all()
        before = plan.actions[0]


def test_committed_actions_are_never_altered(model):
    committed = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    start = model.start(torch.zeros(1, 1, model.latent_size), torch.zeros(1, 0, 10))
    cost = GoalCost(model, ObjectiveConfig(), start, torch.ones(model.latent_size), committed)
    bound = cost.bind(torch.zeros(3, 2, 10)).reshape(3, 10, 2)
    assert torch.equal(bound[:, :2], committed.expand(3, 2, 2))
    torch.testing.assert_close(bound[0, 2], torch.tensor([-0.8, 0.9]))


def test_gradient_is_alive_where_the_limit_bites(model):
    start = model.start(torch.zeros(1, 1, model.latent_size), torch.zeros(1, 0, 10))
    cost = GoalCost(model, ObjectiveConfig(), start, torch.ones(model.latent_size))
    actions = torch.full((1, 2, 10), 0.05)
    actions[0, 1] = 1.0  # a jump the robot cannot make
    actions.requires_grad_()
    (slope,) = torch.autograd.grad(cost(actions).sum(), actions)
    assert slope[0, 0].abs().max() > 0.0
