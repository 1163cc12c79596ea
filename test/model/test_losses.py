"""The losses, against sums written out."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from wm_mpc.model import losses
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.tasks import make_task


@pytest.fixture(params=[1, 3], ids=["history 1", "history 3"])
def model(request):
    spec = dataclasses.replace(make_task("wall").spec, history=request.param)
    torch.manual_seed(0)
    return WorldModel(spec, Architecture(4, 4, 4, hidden=16))


@pytest.fixture
def windows(model):
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(3, 6, model.latent_size, generator=generator)
    return latents, torch.randn(3, 5, model.spec.block_size, generator=generator)


def test_one_step_predicts_every_latent_from_the_recorded_ones(model, windows):
    latents, actions = windows
    history = model.spec.history
    errors = []
    for target in range(history, 6):
        carry = model.start(
            latents[:, target - history : target], actions[:, target - history : target - 1]
        )
        predicted = model.dynamics.step(carry, actions[:, target - 1])[1]
        errors.append((predicted - latents[:, target]).square())
    expected = torch.stack(errors).mean()
    assert losses.one_step(model, latents, actions).item() == pytest.approx(expected.item())


def test_multi_step_predicts_from_its_own_predictions(model, windows):
    latents, actions = windows
    history = model.spec.history
    carry = model.start(latents[:, :history], actions[:, : history - 1])
    errors = []
    for target in range(history, 6):
        carry, predicted = model.dynamics.step(carry, actions[:, target - 1])
        errors.append((predicted - latents[:, target]).square())
    expected = torch.stack(errors).mean()
    assert losses.multi_step(model, latents, actions).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("loss", [losses.one_step, losses.multi_step])
def test_target_receives_no_gradient(model, windows, loss):
    latents, actions = windows
    latents.requires_grad_()
    (slope,) = torch.autograd.grad(loss(model, latents, actions), latents)
    assert (slope[:, -1] == 0).all()
    assert (slope[:, 0] != 0).any()


def test_reconstruction_weighs_pixels():
    model = WorldModel(make_task("wall").spec, Architecture(4, 4, 4, hidden=16))
    latent = torch.zeros(1, model.latent_size)
    with torch.no_grad():
        image = model.decode(latent)
    image[..., 10, 20] += 0.5
    weight = torch.ones(1, 1, 64, 64)
    plain = losses.reconstruction(model, latent, image, weight).item()
    assert plain == pytest.approx(0.25 / 64**2, rel=1e-4)
    weight[..., 10, 20] = 8.0
    heavy = losses.reconstruction(model, latent, image, weight).item()
    assert heavy == pytest.approx(8 * plain, rel=1e-4)


def test_moving_pixels_weigh_more_and_the_mean_weight_is_one():
    image, mean_image = torch.rand(2, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5)
    image[:, :, 0] = 0.5
    weight = losses.moving_pixel_weight(image, mean_image, emphasis=20.0)
    assert weight.shape == (2, 1, 8, 8)
    assert weight.mean().item() == pytest.approx(1.0, abs=1e-5)
    assert weight[:, :, 0].max() < weight[:, :, 1:].min()


def test_no_emphasis_weighs_all_pixels_alike():
    weight = losses.moving_pixel_weight(torch.rand(2, 3, 8, 8), torch.rand(1, 3, 8, 8), 0.0)
    assert torch.allclose(weight, torch.ones(2, 1, 8, 8))
