"""Learned first plans: the actions that turned one scene into another in the recordings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_WIDTH = 256


class PlanProposals(nn.Module):
    """Maps a latent and the scene of a goal to several first plans.

    If the robot touches nothing, no gradient shows where to push. A plan that once moved something
    similar does. `training/proposals.py` trains this network. Before training, all plans are near
    rest.

    Args:
        latent_size: Size of a latent.
        scene_size: Size of the scene part of a latent.
        action_size: Size of an action block.
        count: Number of plans.
        steps: Model steps of each plan.
    """

    def __init__(
        self, latent_size: int, scene_size: int, action_size: int, count: int, steps: int
    ) -> None:

        super().__init__()
        self.shape = (count, steps, action_size)
        self.network = nn.Sequential(
            nn.Linear(latent_size + scene_size, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, count * steps * action_size),
        )  # fmt: skip

    def forward(self, latent: Tensor, goal: Tensor) -> Tensor:
        """Propose plans.

        Args:
            latent: (batch, latent size).
            goal: Scene part of the goal's latent, (batch, scene size).

        Returns:
            Normalised action blocks (batch, count, steps, block size), not limited to [-1, 1].
        """
        plans: Tensor = self.network(torch.cat([latent, goal], -1))
        return plans.view(len(latent), *self.shape)
