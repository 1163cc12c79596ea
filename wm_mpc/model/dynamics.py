"""Latent dynamics: the next latent from past latents and an action block.

`Dynamics` is what every one of them can do. `GruDynamics` is here, `TransformerDynamics` in
`transformer.py`; `world_model.py` picks one by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

# What a dynamics remembers between two steps: tensors of its own choice, the batch in dimension 0.
Carry = tuple[Tensor, ...]


class Dynamics(Protocol):
    """A module that digests an observed history and then predicts one model step after another.

    A carry is never changed in place, so one start serves many rollouts.
    """

    def start(self, latents: Tensor, actions: Tensor) -> Carry:
        """Digest a history: latents (batch, history, latent size), the newest last, and the action
        blocks between them (batch, history - 1, block size)."""

    def step(self, carry: Carry, action: Tensor) -> tuple[Carry, Tensor]:
        """One model step: action (batch, block size) -> new carry, latent (batch, latent size)."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights to train."""


class GruDynamics(nn.Module):
    """A gated recurrent unit that predicts the change of the latent in one model step.

    A linear path beside it takes what is linear (free motion), so that the recurrent part is left
    with what is not (contact). gated: so many coordinates, the first ones, change only as far as a
    learned gate opens; see `change_through_gate`.
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
        """See `Dynamics.start`; the carry is the latent and the hidden state (batch, hidden)."""
        hidden = self.initial(latents[:, 0])
        for index in range(actions.shape[1]):
            inputs = torch.cat([latents[:, index], actions[:, index]], -1)
            hidden = self.cell(self.embed(inputs), hidden)
        return latents[:, -1], hidden

    def step(self, carry: Carry, action: Tensor) -> tuple[Carry, Tensor]:
        """See `Dynamics.step`."""
        latent, hidden = carry
        inputs = torch.cat([latent, action], -1)
        hidden = self.cell(self.embed(inputs), hidden)
        latent = latent + change_through_gate(self.head(hidden), self.linear(inputs), self.gated)
        return (latent, hidden), latent

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the large matrices, those between hidden units, to what bfloat16 holds (a relative
        error of at most 2^-8; arithmetic stays that of float32). Machine code reads such weights in
        half the time, and that is most of a plan's; see `native/linear.h`."""
        for layer in (self.cell.weight_ih, self.cell.weight_hh, self.head[0].weight):
            assert isinstance(layer, Tensor)
            layer.copy_(layer.bfloat16())


def change_through_gate(head: Tensor, linear: Tensor, gated: int) -> Tensor:
    """The change of a latent, (..., latent size): of what a head and a linear path propose.

    head (..., latent size, and one more when there is a gate), linear (..., latent size). The first
    `gated` coordinates, the scene, are multiplied by one gate in [0, 1]: most of the time nothing
    touches an object, and then it stands still. Without a gate a network has to cancel all its
    terms to say so, and a planner finds where it does not: plans in which the object creeps to its
    goal by itself.
    """
    size = linear.shape[-1]
    change = head[..., :size] + linear
    if not gated:
        return change
    gate = head[..., size:].sigmoid()
    return torch.cat([gate * change[..., :gated], change[..., gated:]], -1)


@torch.no_grad()
def begin_small(layer: nn.Linear) -> None:
    """Let an untrained residual head predict almost no change, which long rollouts survive."""
    nn.init.zeros_(layer.bias)
    layer.weight.mul_(0.1)
