"""What is fitted to latents: the scene's coordinates, and what can be read out of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.tasks import make_task
from wm_mpc.spec import StateSpec
from wm_mpc.training.readout import explained_by_state, fit_pose_readout, fit_scene_map


@pytest.fixture
def model():
    joints = ("a", "b", "c")
    spec = dataclasses.replace(
        make_task("wall").spec, state=StateSpec(joints, ("rad",) * 3, "joint_states")
    )
    return WorldModel(spec, Architecture(2, 4, 4, hidden=8, pose_names=("x",)))


def latents_of(model, scene_of):
    """scene_of: normalised state (frames, 3), noise (frames, 4) -> scene (frames, 4)."""
    generator = torch.Generator().manual_seed(0)
    state = torch.rand(3000, 3, generator=generator) * 2 - 1
    noise = torch.randn(3000, 4, generator=generator)
    return torch.cat([scene_of(state, noise), state], 1)


def mixed(state, noise):
    """The end of an arm; half arm, half object; an object; what never moves."""
    arm = torch.sin(state[:, 0]) + 0.5 * torch.cos(state[:, 0] + state[:, 1])
    return torch.stack([arm, state[:, 2] + 0.577 * noise[:, 1], noise[:, 2], 0 * arm + 3.0], 1)


def test_share_that_the_state_explains_is_found(model):
    explained = explained_by_state(model, latents_of(model, mixed)).tolist()
    assert explained[0] > 0.99
    assert explained[1] == pytest.approx(0.5, abs=0.05)
    assert explained[2] < 0.02
    assert explained[3] == 0.0


@pytest.fixture
def points():
    """Keypoints (frames, 4): a large common motion, a small difference, and noise."""
    generator = torch.Generator().manual_seed(1)
    place = 0.4 * torch.randn(5000, 1, generator=generator)
    turn = 0.02 * torch.randn(5000, 1, generator=generator)
    noise = 1e-4 * torch.randn(5000, 2, generator=generator)
    return torch.cat([place + turn, place - turn, noise], 1) + 0.1


def scene_of(model, points):
    return (points - model.scene_mean) @ model.scene_map


def test_scene_map_is_undone_by_its_inverse(model, points):
    fit_scene_map(model, scene_of(model, points), 0.6)
    scene = scene_of(model, points)
    again = scene @ model.scene_unmap + model.scene_mean
    torch.testing.assert_close(again[:, :2], points[:, :2], atol=1e-4, rtol=1e-4)
    assert scene.var(0)[:2].mean().item() == pytest.approx(1.0, rel=1e-2)
    assert not scene[:, 2:].any()  # noise is left out


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_whitening_brings_small_components_to_the_size_of_large_ones(model, points, whitening):
    fit_scene_map(model, scene_of(model, points), whitening)
    spread = scene_of(model, points).std(0)
    expected = (0.02 / 0.4) ** (1.0 - whitening)
    assert (spread[1] / spread[0]).item() == pytest.approx(expected, rel=0.05)


def test_scene_map_can_be_fitted_again(model, points):
    fit_scene_map(model, scene_of(model, points), 0.3)
    fit_scene_map(model, scene_of(model, points), 0.6)
    once = model.scene_map.clone()
    model.scene_mean.zero_()
    model.scene_map.copy_(torch.eye(4))
    model.scene_unmap.copy_(torch.eye(4))
    fit_scene_map(model, points, 0.6)
    torch.testing.assert_close(
        once.abs()[:, :2], model.scene_map.abs()[:, :2], rtol=1e-2, atol=1e-3
    )


def test_few_frames_explain_nothing_by_chance(model):
    latents = latents_of(model, lambda _, noise: noise)[:12]
    explained = explained_by_state(model, latents)
    assert ((explained >= 0.0) & (explained <= 1.0)).all()
    assert explained.mean() < 0.5


def test_pose_readout_finds_what_is_linear(model):
    latents = latents_of(model, mixed)
    poses = 2.0 * latents[:, :1] - latents[:, 2:3] + 1.0
    fit_pose_readout(model, latents, poses)
    torch.testing.assert_close(model.read_pose(latents), poses, atol=1e-3, rtol=1e-3)
