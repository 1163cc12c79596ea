"""The weight of the robot's place, from held-out moments whose scenes tell the place or do not."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.tasks.maze import Maze
from wm_mpc.spec import StateSpec
from wm_mpc.training.place_weight import place_weight

MOMENTS = 600
EPISODES = torch.arange(MOMENTS) % 12


def model_of(names, units):
    spec = dataclasses.replace(Maze.spec, state=StateSpec(names, units, "odom"))
    torch.manual_seed(0)
    return WorldModel(spec, Architecture(3, 4, 4, hidden=16)).eval().requires_grad_(False)


@pytest.fixture
def model():
    """Its untrained embedding keeps distances."""
    return model_of(("x", "y"), ("m", "m"))


def moments(model, scene, place):
    """Latents with a scene whose first entries are given."""
    latents = torch.zeros(MOMENTS, model.latent_size)
    latents[:, : scene.shape[1]] = scene
    latents[:, model.scene_size :] = place
    return latents


def spread(points):
    return float((points - points.mean(0)).square().sum(-1).mean())


def test_a_scene_that_tells_the_place_leaves_it_no_weight(model):
    place = torch.randn(MOMENTS, 2)
    assert place_weight(model, moments(model, 0.5 * place, place), EPISODES) < 0.02


def test_a_place_that_the_scene_does_not_tell_counts_as_much_as_the_scene(model):
    place, scene = 2.0 * torch.randn(MOMENTS, 2), 0.3 * torch.randn(MOMENTS, 3)
    latents = moments(model, scene, place)
    weight = place_weight(model, latents, EPISODES)
    distance_of_places = weight * spread(place * model.place_shares.sqrt())
    assert distance_of_places == pytest.approx(spread(model.embed(latents)), rel=1e-3)


def test_a_scene_that_shows_one_of_two_coordinates_leaves_half_the_weight(model):
    place = torch.randn(MOMENTS, 2)
    scene = torch.cat([place[:, :1], torch.randn(MOMENTS, 1)], 1)  # it shows x, but not y
    ratio = 1.0 / float(model.place_shares[0])  # of the spreads
    weight = place_weight(model, moments(model, scene, place), EPISODES)
    assert 0.4 * ratio < weight < 0.7 * ratio


def test_moments_of_one_episode_do_not_tell_each_others_place(model):
    """Neighbours in time are near in both, though scenes of other episodes say nothing."""
    episodes = torch.arange(12).repeat_interleave(MOMENTS // 12)
    place = torch.randn(12, 2)[episodes]
    scene = torch.randn(12, 3)[episodes]
    alone = place_weight(model, moments(model, scene, place), episodes)
    assert alone > 0.5 * spread(scene) / spread(place * model.place_shares.sqrt())


@pytest.mark.parametrize("change", ["few", "one episode", "still robot", "still scene", "NaN"])
def test_what_cannot_be_measured_is_no_weight(model, change):
    place, scene, episodes = torch.randn(MOMENTS, 2), torch.randn(MOMENTS, 3), EPISODES
    if change == "one episode":
        episodes = torch.zeros_like(EPISODES)
    elif change == "still robot":
        place = torch.ones(MOMENTS, 2)
    elif change == "still scene":
        scene = torch.zeros(MOMENTS, 3)
    elif change == "NaN":
        scene[5] = torch.nan
    latents = moments(model, scene, place)
    count = 99 if change == "few" else MOMENTS
    assert place_weight(model, latents[:count], episodes[:count]) == 0.0


def test_a_robot_that_measures_no_place_has_no_weight():
    model = model_of(("vx", "vy"), ("m/s", "m/s"))
    latents = moments(model, torch.randn(MOMENTS, 3), torch.randn(MOMENTS, 2))
    assert place_weight(model, latents, EPISODES) == 0.0
