"""Where scenes lie as goals are compared."""

from __future__ import annotations

import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint, save_checkpoint
from wm_mpc.model.embedding import TemporalEmbedding
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.tasks import make_task

ONE_LAYOUT = torch.zeros(4000, dtype=torch.int64)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def trained(embedding):
    """With weights as if it were."""
    for weight in embedding.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return embedding


def make_world_model(**settings):
    """Of 6 scene coordinates."""
    return WorldModel(make_task("wall").spec, Architecture(3, 4, 4, hidden=8, **settings))


def test_untrained_embedding_is_the_first_coordinates():
    scene = torch.randn(5, 2, 6)
    torch.testing.assert_close(TemporalEmbedding(6, 4)(scene), scene[..., :4])


def test_trained_embedding_can_bend():
    """The middle between two scenes is no longer the middle between their places."""
    embedding = trained(TemporalEmbedding(6, 4))
    first, second = torch.randn(2, 6)
    middle = (embedding(first) + embedding(second)) / 2
    assert not torch.allclose(embedding((first + second) / 2), middle, rtol=0.1)


@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
def test_two_random_frames_have_a_mean_squared_distance_of_one(spread):
    embedding = trained(TemporalEmbedding(6, 4))
    scene = spread * torch.randn(4000, 6) + 0.3
    embedding.normalise(scene, ONE_LAYOUT[: len(scene)])
    first, second = embedding(scene).chunk(2)
    assert (first - second).square().sum(-1).mean().item() == pytest.approx(1.0, rel=0.1)


def test_frames_of_other_layouts_do_not_count():
    embedding = TemporalEmbedding(6, 4)
    scene, layout = torch.randn(4000, 6), torch.arange(4000) % 40
    embedding.normalise(scene + 100.0 * torch.randn(40, 6)[layout], layout)
    first, second = embedding(scene).chunk(2)
    assert (first - second).square().sum(-1).mean().item() == pytest.approx(1.0, rel=0.1)


def test_normalising_again_changes_nothing():
    embedding, scene = trained(TemporalEmbedding(6, 4)), torch.randn(50, 6)
    embedding.normalise(scene, ONE_LAYOUT[: len(scene)])
    once = embedding.scale.clone()
    embedding.normalise(scene, ONE_LAYOUT[: len(scene)])
    assert torch.equal(embedding.scale, once)


def test_scenes_that_never_move_have_a_finite_distance():
    embedding = TemporalEmbedding(6, 4)
    embedding.normalise(torch.ones(50, 6), ONE_LAYOUT[:50])
    assert embedding(torch.randn(3, 6)).isfinite().all()


@pytest.mark.parametrize(("asked", "size"), [(4, 4), (6, 6), (50, 6)])
def test_embedding_has_no_more_coordinates_than_the_scene(asked, size):
    model = make_world_model(embedding=asked)
    assert model.embed(torch.randn(3, 2, model.latent_size)).shape == (3, 2, size)


def test_robot_state_plays_no_part():
    model = make_world_model()
    latent = torch.randn(4, model.latent_size)
    other = latent.clone()
    other[:, model.scene_size :] += 1.0
    assert torch.equal(model.embed(latent), model.embed(other))


def test_gradient_reaches_every_scene_coordinate_and_nothing_else():
    model = make_world_model(embedding=4)
    trained(model.embedding)
    latent = torch.randn(3, model.latent_size, requires_grad=True)
    (slope,) = torch.autograd.grad(model.embed(latent).square().sum(), latent)
    assert (slope[:, : model.scene_size] != 0).all()
    assert (slope[:, model.scene_size :] == 0).all()


def test_checkpoint_keeps_the_embedding_and_its_scale(tmp_path):
    model = make_world_model(embedding=4)
    trained(model.embedding).normalise(torch.randn(50, 6), ONE_LAYOUT[:50])
    save_checkpoint(model, tmp_path / "wall.safetensors", {})
    loaded, _ = load_checkpoint(tmp_path / "wall.safetensors")
    latent = torch.randn(5, model.latent_size)
    assert torch.equal(loaded.embed(latent), model.embed(latent))
    assert loaded.architecture.embedding == 4
