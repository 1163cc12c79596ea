"""Adversarial inputs: worse than chance, near the data, with honest targets."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.losses import one_step
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.tasks import make_task
from wm_mpc.synthesis.adversarial import AdversarialConfig, perturb, radius

CONFIG = AdversarialConfig()


@pytest.fixture(scope="module", params=[1, 3], ids=["history 1", "history 3"])
def model(request):
    spec = dataclasses.replace(make_task("wall").spec, history=request.param)
    torch.manual_seed(0)
    model = WorldModel(spec, Architecture(4, 4, 4, hidden=32))
    with torch.no_grad():
        model.dynamics.head[-1].weight.mul_(10.0)  # type: ignore[attr-defined]
    return model


@pytest.fixture
def batch(model):
    generator = torch.Generator().manual_seed(1)
    history = model.spec.history
    latents = torch.randn(64, history + 1, model.latent_size, generator=generator)
    shape = (64, history, model.spec.block_size)
    return latents, torch.rand(shape, generator=generator) * 2 - 1


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def loss(model, latents, actions):
    with torch.no_grad():
        return one_step(model, latents, actions).item()


def test_perturbation_raises_the_loss(model, batch):
    for seed in range(5):
        perturbed = perturb(model, *batch, CONFIG, generator(seed))
        assert loss(model, *perturbed) > loss(model, *batch)


def test_perturbation_is_worse_than_chance(model, batch):
    latents, actions = batch
    latent_radius, action_radius = radius(model, latents, actions, CONFIG)
    found, chance = 0.0, 0.0
    for seed in range(5):
        found += loss(model, *perturb(model, latents, actions, CONFIG, generator(seed)))
        torch.manual_seed(seed)
        noisy = latents + (torch.rand_like(latents) * 2 - 1) * latent_radius
        noisy[:, -1] = latents[:, -1]
        shifted = actions + (torch.rand_like(actions) * 2 - 1) * action_radius
        chance += loss(model, noisy, shifted.clamp(-1, 1))
    clean = 5 * loss(model, *batch)
    assert found - clean > 3 * abs(chance - clean)


def test_perturbation_stays_in_its_box(model, batch):
    latents, actions = batch
    latent_radius, action_radius = radius(model, latents, actions, CONFIG)
    for seed in range(5):
        moved, shifted = perturb(model, latents, actions, CONFIG, generator(seed))
        assert ((moved - latents).abs() <= latent_radius + 1e-6).all()
        assert ((shifted - actions).abs() <= action_radius + 1e-6).all()
        assert (shifted.abs() <= 1.0).all()


def test_perturbation_reaches_the_border_of_its_box(model, batch):
    """A step of 1.25 radii from inside the box ends at its border for most numbers."""
    latents, actions = batch
    latent_radius, _ = radius(model, latents, actions, CONFIG)
    moved, _ = perturb(model, latents, actions, CONFIG, generator())
    share = (moved - latents)[:, :-1].abs() / latent_radius
    assert (share > 0.99).float().mean() > 0.4


def test_targets_are_untouched(model, batch):
    latents, actions = batch
    moved, _ = perturb(model, latents, actions, CONFIG, generator())
    assert torch.equal(moved[:, -1], latents[:, -1])
    assert (moved[:, :-1] != latents[:, :-1]).any(-1).all()


def test_inputs_and_weights_are_left_alone(model, batch):
    latents, actions = (part.clone() for part in batch)
    moved, shifted = perturb(model, latents, actions, CONFIG, generator())
    assert torch.equal(latents, batch[0])
    assert torch.equal(actions, batch[1])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not moved.requires_grad
    assert not shifted.requires_grad


def test_radii_are_shares_of_the_deviation_by_part(model, batch):
    latents, actions = batch
    config = AdversarialConfig(scene_radius=0.5, state_radius=0.25, action_radius=0.125)
    latent_radius, action_radius = radius(model, latents, actions, config)
    share = latent_radius / latents.flatten(0, 1).std(0, correction=0)
    expected = [0.5] * model.scene_size + [0.25] * model.spec.state.size
    assert share.tolist() == pytest.approx(expected)
    assert (action_radius / actions.flatten(0, 1).std(0, correction=0)).tolist() == pytest.approx(
        [0.125] * model.spec.block_size
    )


def test_radius_zero_changes_nothing(model, batch):
    config = AdversarialConfig(0.0, 0.0, 0.0)
    moved, shifted = perturb(model, *batch, config, generator())
    assert torch.equal(moved, batch[0])
    assert torch.equal(shifted, batch[1])


def test_same_generator_gives_the_same_inputs(model, batch):
    before = torch.get_rng_state()
    first, second = (perturb(model, *batch, CONFIG, generator(3)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["scene_radius", "state_radius", "action_radius", "step"])
@pytest.mark.parametrize("value", [-0.1, 10.0, float("nan")])
def test_setting_out_of_range_is_named(name, value):
    with pytest.raises(
        ValueError,
        match=rf"adversarial\.{name} is {value}; accepted: a number of at least 0 and below 10",
    ):
        AdversarialConfig(**{name: value})
