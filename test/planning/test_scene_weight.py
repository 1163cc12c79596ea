"""The goal distance weighs scene dimensions as the model says."""

from __future__ import annotations

import pytest
import torch

from wm_mpc.model.world_model import Architecture, WorldModel
from wm_mpc.planning.objective import GoalCost, ObjectiveConfig
from wm_mpc.sim.tasks import make_task

CONFIG = ObjectiveConfig("last", action_weight=0.0, distance="squared")


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = WorldModel(make_task("wall").spec, Architecture(3, 4, 4, hidden=8))
    return model.requires_grad_(False)


def costs(model, latents, goal, config=CONFIG):
    carry = model.start(torch.zeros(1, 1, model.latent_size), torch.zeros(1, 0, 10))
    return GoalCost(model, config, carry, goal).of_latents(latents, torch.zeros(4, 2, 10))


def test_distance_is_the_weighted_mean(model):
    latents, goal = torch.randn(4, 2, model.latent_size), torch.randn(model.latent_size)
    offset = (latents[:, -1, :6] - goal[:6]).square()
    torch.testing.assert_close(costs(model, latents, goal), offset.mean(-1))
    weight = torch.tensor([0.0, 1.0, 0.5, 0.2, 1.0, 0.3])
    model.scene_weight.copy_(weight)
    expected = (offset * weight).mean(-1)
    torch.testing.assert_close(costs(model, latents, goal), expected)


def test_cost_of_a_plan_is_that_of_its_predicted_latents(model):
    model.scene_weight.uniform_(0.1, 1.0)
    carry = model.start(torch.randn(1, 1, model.latent_size), torch.zeros(1, 0, 10))
    actions = torch.rand(4, 3, 10) * 2 - 1
    cost = GoalCost(model, ObjectiveConfig(), carry, torch.randn(model.latent_size))
    expected = cost.of_latents(model.rollout(carry, actions), actions)
    torch.testing.assert_close(cost(actions), expected)
