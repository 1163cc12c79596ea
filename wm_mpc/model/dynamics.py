"""Latent dynamics: predict the next latent from past latents and an action block.

`Dynamics` is the common interface. `GruDynamics` is in this file, `TransformerDynamics` in
`transformer.py`. `world_model.py` chooses one by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

# The memory of a dynamics between two steps: any tensors, with the batch in dimension 0.
Carry = tuple[Tensor, ...]


class Dynamics(Protocol):
    """Processes an observed history, then predicts one model step after another.

    It never changes a carry in place, so one start serves many rollouts.
    """

    def start(self, latents: Tensor, actions: Tensor) -> Carry:
        """Process an observed history.

        Args:
            latents: (batch, history, latent size), the newest last.
            actions: The action blocks between them, (batch, history - 1, block size).

        Returns:
            The carry.
        """

    def step(self, carry: Carry, action: Tensor) -> tuple[Carry, Tensor]:
        """Predict one model step.

        Args:
            carry: The memory.
            action: Normalised action block, (batch, block size).

        Returns:
            The new carry, and the latent (batch, latent size).
        """

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the weights to train."""

    def round_weights(self) -> None:
        """Round the large matrices to bfloat16, to plan with them.

        The relative error is 2^-8 at most. Arithmetic stays in float32. Machine code reads such
        weights in half the time, and reading them takes much of the time of a plan; see
        `native/linear.h`.
        """


class GruDynamics(nn.Module):
    """A gated recurrent unit that predicts the change of the latent in one model step.

    A parallel linear path predicts what is linear (free motion). So the recurrent part can
    specialise in what is not (contact).

    Args:
        latent_size: Size of a latent.
        action_size: Size of an action block.
        hidden: Width.
        gated: So many first coordinates change only as far as a learned gate opens; see
            `change_through_gate`.
    """

    def __init__(
        self, latent_size: int, action_size: int, hidden: int = 128, gated: int = 0
    ) -> None:
        super().__init__()
        self.gated = gated
        self.initial = nn.Sequential(nn.Linear(latent_size, hidden), nn.Tanh())
        self.embed = nn.Sequential(nn.Linear(latent_size + action_size, hidden), nn.SiLU())
        self.cell = nn.GRUCell(hidden, hidden)
        self.head = nn.Sequential(
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, latent_size + bool(gated))
        )
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        begin_small(last)
        self.linear = nn.Linear(latent_size + action_size, latent_size, bias=False)
        nn.init.zeros_(self.linear.weight)

    def start(self, latents: Tensor, actions: Tensor) -> Carry:
        """Process an observed history; see `Dynamics.start`.

        The carry is the latent and the hidden state (batch, hidden).
        """
        hidden = self.initial(latents[:, 0])
        for index in range(actions.shape[1]):
            inputs = torch.cat([latents[:, index], actions[:, index]], -1)
            hidden = self.cell(self.embed(inputs), hidden)
        return latents[:, -1], hidden

    def step(self, carry: Carry, action: Tensor) -> tuple[Carry, Tensor]:
        """Predict one model step; see `Dynamics.step`."""
        latent, hidden = carry
        inputs = torch.cat([latent, action], -1)
        hidden = self.cell(self.embed(inputs), hidden)
        latent = latent + change_through_gate(self.head(hidden), self.linear(inputs), self.gated)
        return (latent, hidden), latent

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the matrices between hidden units; see `Dynamics.round_weights`."""
        for layer in (self.cell.weight_ih, self.cell.weight_hh, self.head[0].weight):
            assert isinstance(layer, Tensor)
            layer.copy_(layer.bfloat16())


def change_through_gate(head: Tensor, linear: Tensor, gated: int) -> Tensor:
    """Combine a head and a linear path into the change of a latent.

    One gate in [0, 1] multiplies the first `gated` coordinates, the scene. Most of the time nothing
    touches an object, and it stands still. Without a gate, the network would have to cancel all its
    terms to predict that. A planner would find where it fails: plans in which the object creeps to
    its goal by itself.

    Args:
        head: (..., latent size), plus one for the gate if there is one.
        linear: (..., latent size).
        gated: Number of coordinates behind the gate; 0 for no gate.

    Returns:
        (..., latent size).
    """
    size = linear.shape[-1]
    change = head[..., :size] + linear
    if not gated:
        return change
    gate = head[..., size:].sigmoid()
    return torch.cat([gate * change[..., :gated], change[..., gated:]], -1)


@torch.no_grad()
def begin_small(layer: nn.Linear) -> None:
    """Let an untrained residual head predict almost no change, so that long rollouts stay stable.

    Args:
        layer: Last layer of the head.
    """
    nn.init.zeros_(layer.bias)
    layer.weight.mul_(0.1)
