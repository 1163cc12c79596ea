"""The fused rollout: the same numbers and gradients as the step-by-step one."""

from __future__ import annotations

import pytest
import torch

from wm_mpc.model.dynamics import GruDynamics
from wm_mpc.model.gru_rollout import FusedWeights, fused_rollout


def _dynamics(latent=6, block=4, hidden=16, gated=4):
    dynamics = GruDynamics(latent, block, hidden, gated).requires_grad_(False).double()
    torch.nn.init.normal_(dynamics.linear.weight, std=0.3)
    for weight in dynamics.parameters():
        weight.mul_(1.5)
    return dynamics


def _stepwise(dynamics, carry, actions):
    carry = tuple(part.expand(len(actions), -1) for part in carry)
    latents = []
    for action in actions.unbind(1):
        carry, latent = dynamics.step(carry, action)
        latents.append(latent)
    return torch.stack(latents, 1)


@pytest.mark.parametrize("gated", [0, 4])
@pytest.mark.parametrize(("batch", "horizon"), [(1, 1), (5, 1), (1, 4), (7, 6)])
def test_values_and_gradients_are_those_of_the_steps(batch, horizon, gated):
    torch.manual_seed(batch + horizon)
    dynamics = _dynamics(gated=gated)
    carry = dynamics.start(torch.randn(1, 2, 6).double(), torch.randn(1, 1, 4).double())
    actions = torch.randn(batch, horizon, 4).double().requires_grad_()
    weight = torch.randn(batch, horizon, 6).double()
    expected = _stepwise(dynamics, carry, actions)
    (expected_slope,) = torch.autograd.grad((expected * weight).sum(), actions)
    parts = (part.expand(batch, -1) for part in carry)
    fused = fused_rollout(FusedWeights.of(dynamics), *parts, actions)
    (slope,) = torch.autograd.grad((fused * weight).sum(), actions)
    torch.testing.assert_close(fused, expected)
    torch.testing.assert_close(slope, expected_slope)


def test_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    dynamics = _dynamics()
    latent, hidden = torch.randn(2, 6).double(), torch.randn(2, 16).double()
    weights = FusedWeights.of(dynamics)
    actions = torch.randn(2, 3, 4).double().requires_grad_()
    torch.autograd.gradcheck(lambda a: fused_rollout(weights, latent, hidden, a), actions)


def test_carry_is_not_changed():
    dynamics = _dynamics()
    latent, hidden = torch.randn(2, 6).double(), torch.randn(2, 16).double()
    before = latent.clone(), hidden.clone()
    fused_rollout(FusedWeights.of(dynamics), latent, hidden, torch.randn(2, 3, 4).double())
    torch.testing.assert_close((latent, hidden), before)
