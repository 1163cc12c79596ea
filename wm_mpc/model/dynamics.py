"""Latent dynamics: the next latent from past latents and an action block.

Every dynamics has `start(latents, actions)`, which digests the observed history, and
`step(carry, action)`, which predicts one model step further; `DYNAMICS` names them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Carry = tuple[Tensor, Tensor]


class GruDynamics(nn.Module):
    """A gated recurrent unit that predicts the change of the latent in one model step.

    A linear path beside it takes what is linear (free motion), so that the recurrent part is left
    with what is not (contact).
    """

    def __init__(self, latent_size: int, action_size: int, hidden: int = 128) -> None:
        super().__init__()
        self.initial = nn.Sequential(nn.Linear(latent_size, hidden), nn.Tanh())
        self.embed = nn.Sequential(nn.Linear(latent_size + action_size, hidden), nn.SiLU())
        self.cell = nn.GRUCell(hidden, hidden)
        self.head = nn.Sequential(
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, latent_size)
        )
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.weight.mul_(0.1)
        self.linear = nn.Linear(latent_size + action_size, latent_size, bias=False)
        nn.init.zeros_(self.linear.weight)

    def start(self, latents: Tensor, actions: Tensor) -> Carry:
        """Digest a history: latents (batch, history, latent size), the newest last, and the action
        blocks between them (batch, history - 1, block size)."""
        hidden = self.initial(latents[:, 0])
        for index in range(actions.shape[1]):
            inputs = torch.cat([latents[:, index], actions[:, index]], -1)
            hidden = self.cell(self.embed(inputs), hidden)
        return latents[:, -1], hidden

    def step(self, carry: Carry, action: Tensor) -> tuple[Carry, Tensor]:
        """One model step: action (batch, block size) -> new carry, latent (batch, latent size)."""
        latent, hidden = carry
        inputs = torch.cat([latent, action], -1)
        hidden = self.cell(self.embed(inputs), hidden)
        latent = latent + self.head(hidden) + self.linear(inputs)
        return (latent, hidden), latent


DYNAMICS: dict[str, Callable[[int, int, int], GruDynamics]] = {"gru": GruDynamics}
