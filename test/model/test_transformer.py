"""Transformer dynamics: a cached rollout is the whole sequence, and looks only where it may."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.transformer import TransformerDynamics
from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, SpecError, StateSpec

LATENT, BLOCK = 6, 4
SPEC = RobotSpec(
    "toy",
    ActionSpec(("vx", "vy"), "velocity", "m/s", (-1.0, -1.0), (1.0, 1.0)),
    StateSpec(("vx",), ("m/s",), "odom"),
    ImageSpec(16, 16),
    control_period=0.1,
    frame_skip=2,
)


def make(layers=2, heads=2, context=4, seed=0):
    """One in which everything matters: no small head, no zero path, unequal distances."""
    torch.manual_seed(seed)
    dynamics = TransformerDynamics(LATENT, BLOCK, 16, layers, heads, context, gated=4)
    with torch.no_grad():
        for parameter in dynamics.parameters():
            parameter.normal_(0.0, 0.4)
    return dynamics.double()


def roll(dynamics, history, actions):
    """Latents (batch, history + imagined, latent size), step by step with the cache."""
    past = history.shape[1] - 1
    carry = dynamics.start(history, actions[:, :past])
    latents = list(history.unbind(1))
    for action in actions[:, past:].unbind(1):
        carry, latent = dynamics.step(carry, action)
        latents.append(latent)
    return torch.stack(latents, 1), carry


@settings(max_examples=40, deadline=None)
@given(
    history=st.integers(1, 4), steps=st.integers(1, 9), layers=st.integers(1, 3),
    context=st.integers(1, 6), batch=st.integers(1, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_rollout_with_cache_is_the_whole_sequence_without(
    history, steps, layers, context, batch, seed
):
    dynamics = make(layers, context=context, seed=seed)
    start = torch.randn(batch, history, LATENT, dtype=torch.float64)
    actions = torch.randn(batch, history - 1 + steps, BLOCK, dtype=torch.float64)
    latents, _ = roll(dynamics, start, actions)
    predicted = dynamics.predict(latents[:, :-1], actions)
    torch.testing.assert_close(predicted[:, history - 1 :], latents[:, history:])


def test_prediction_sees_no_later_token_and_none_beyond_its_reach():
    """Two blocks of a window of 3 reach 2 x 2 tokens back."""
    dynamics = make(layers=2, context=3)
    latents = torch.randn(1, 8, LATENT, dtype=torch.float64, requires_grad=True)
    actions = torch.randn(1, 8, BLOCK, dtype=torch.float64, requires_grad=True)
    for step in range(8):
        predicted = dynamics.predict(latents, actions)[0, step].sum()
        for slope in torch.autograd.grad(predicted, (latents, actions)):
            used = (slope[0] != 0).any(-1).tolist()
            assert used == [step - 4 <= other <= step for other in range(8)]


@pytest.mark.parametrize("context", [1, 2, 5])
def test_cache_never_outgrows_the_context(context):
    dynamics = make(context=context)
    history = torch.randn(2, 3, LATENT, dtype=torch.float64)
    _, carry = roll(dynamics, history, torch.randn(2, 12, BLOCK, dtype=torch.float64))
    assert len(carry) == 1 + 2 * 2
    assert [part.shape[2] for part in carry[1:]] == [context - 1] * 4


def test_gradient_reaches_every_action_and_every_weight():
    dynamics = make()
    history = torch.randn(1, 2, LATENT, dtype=torch.float64)
    actions = torch.randn(1, 5, BLOCK, dtype=torch.float64, requires_grad=True)
    roll(dynamics, history, actions)[0][:, -1].square().sum().backward()
    assert (actions.grad[0] != 0).all()
    for name, parameter in dynamics.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def test_order_of_the_past_matters():
    dynamics = make()
    history = torch.randn(1, 3, LATENT, dtype=torch.float64)
    actions = torch.randn(1, 3, BLOCK, dtype=torch.float64)
    swapped, order = history.clone(), torch.tensor([1, 0])
    swapped[:, :2] = history[:, order]
    moved = actions.clone()
    moved[:, :2] = actions[:, order]
    first, second = roll(dynamics, history, actions)[0], roll(dynamics, swapped, moved)[0]
    assert not torch.allclose(first[:, -1], second[:, -1])


def test_steps_leave_their_carry_alone():
    dynamics = make()
    carry = dynamics.start(
        torch.randn(2, 3, LATENT, dtype=torch.float64),
        torch.randn(2, 2, BLOCK, dtype=torch.float64),
    )
    before = [part.clone() for part in carry]
    dynamics.step(carry, torch.randn(2, BLOCK, dtype=torch.float64))
    assert all(map(torch.equal, before, carry))


def test_untrained_model_predicts_almost_no_change():
    torch.manual_seed(0)
    latent = torch.randn(8, LATENT)
    dynamics = TransformerDynamics(LATENT, BLOCK)
    _, after = dynamics.step(dynamics.start(latent[:, None], torch.zeros(8, 0, BLOCK)),
                             torch.randn(8, BLOCK))  # fmt: skip
    assert (after - latent).abs().max() < 0.3


def test_context_shorter_than_the_history_is_refused():
    spec = dataclasses.replace(SPEC, history=4)
    sizes = Architecture(3, 4, 4, hidden=8, dynamics="transformer", heads=2, context=3)
    with pytest.raises(SpecError, match="context is 3; at least the history, 4"):
        WorldModel(spec, sizes)
    WorldModel(spec, dataclasses.replace(sizes, context=4))
    WorldModel(spec, dataclasses.replace(sizes, dynamics="gru"))
