"""The goal distance is measured where the model's embedding puts scenes."""

from __future__ import annotations

import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.sim.tasks import make_task

CONFIG = ObjectiveConfig("last", action_weight=0.0, distance="squared")


@pytest.fixture
def model():
    """Of 6 scene coordinates, and 4 to compare goals in."""
    torch.manual_seed(0)
    model = WorldModel(make_task("wall").spec, Architecture(3, 4, 4, embedding=4, hidden=8))
    return model.requires_grad_(False)


@pytest.fixture
def curved(model):
    """The model with weights as if its embedding were trained."""
    for weight in model.embedding.parameters():
        weight.normal_(std=0.5)
    return model


def costs(model, latents, goal):
    carry = model.start(torch.zeros(1, 1, model.latent_size), torch.zeros(1, 0, 10))
    return GoalCost(model, CONFIG, carry, goal).of_latents(latents, torch.zeros(4, 2, 10))


def test_untrained_distance_is_the_plain_one_in_the_first_scene_coordinates(model):
    latents, goal = torch.randn(4, 2, model.latent_size), torch.randn(model.latent_size)
    expected = (latents[:, -1, :4] - goal[:4]).square().sum(-1)
    torch.testing.assert_close(costs(model, latents, goal), expected)


def test_distance_is_that_of_the_embedded_scenes(curved):
    latents, goal = torch.randn(4, 2, curved.latent_size), torch.randn(curved.latent_size)
    scenes, goal_scene = latents[:, -1, :6], goal[:6]
    offset = curved.embedding(scenes) - curved.embedding(goal_scene)
    torch.testing.assert_close(costs(curved, latents, goal), offset.square().sum(-1))
    plain = (scenes[:, :4] - goal_scene[:4]).square().sum(-1)
    assert not torch.allclose(costs(curved, latents, goal), plain, rtol=0.1)


def test_cost_of_a_plan_is_that_of_its_predicted_latents(curved):
    carry = curved.start(torch.randn(1, 1, curved.latent_size), torch.zeros(1, 0, 10))
    actions = torch.rand(4, 3, 10) * 2 - 1
    cost = GoalCost(curved, ObjectiveConfig(), carry, torch.randn(curved.latent_size))
    expected = cost.of_latents(curved.rollout(carry, actions), actions)
    torch.testing.assert_close(cost(actions), expected)
