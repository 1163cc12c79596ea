"""First guesses of a plan: what was done, in the recording, when a scene became another one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_WIDTH = 256


class PlanProposals(nn.Module):
    """A latent and the scene to be reached -> several first plans, for a planner to improve.

    Where nothing is touched, no gradient tells where to push; a plan that once moved something
    alike does. `training/proposals.py` trains it; until then all plans are about rest.
    """

    def __init__(
        self, latent_size: int, scene_size: int, action_size: int, count: int, steps: int
    ) -> None:
        """action_size: of a block. count: plans of `steps` model steps each."""
        super().__init__()
        self.shape = (count, steps, action_size)
        self.network = nn.Sequential(
            nn.Linear(latent_size + scene_size, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, count * steps * action_size),
        )  # fmt: skip

    def forward(self, latent: Tensor, goal: Tensor) -> Tensor:
        """latent (batch, latent size), scene of the goal (batch, scene size) -> normalised action
        blocks (batch, count, steps, block size), not limited to [-1, 1]."""
        plans: Tensor = self.network(torch.cat([latent, goal], -1))
        return plans.view(len(latent), *self.shape)
