"""The phase `proposals`: first plans are learned from hindsight.

Whatever a recorded frame became some model steps later was reached by the actions in between. So
every window of a recording is a plan that worked, for the scene at its end as the goal (hindsight,
Andrychowicz et al. 2017, arXiv 1707.01495). Many ways may lead to one goal: of the proposed plans,
only the one nearest to what was done learns from it, the others hardly at all (multiple choice
learning, Guzman-Rivera et al. 2012), so they stay different. A planner improves them through the
model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.config import TrainConfig

_BATCH = 512
_OTHERS = 0.05  # of what a plan learns, from windows that another plan is nearer to


class ProposalsPhase(nn.Module):
    """The proposals alone, on finished latents of all recorded frames (frames, latent size);
    episodes: numbers of those to draw from."""

    name = "proposals"

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        config: TrainConfig,
        episodes: np.ndarray,
        latents: Tensor,
    ) -> None:
        super().__init__()
        self.model, self._recording, self._latents = model, recording, latents
        self._steps = model.architecture.proposal_steps
        while len(recording.window_starts(self._steps, episodes)) == 0:
            self._steps -= 1
        self._starts = recording.window_starts(self._steps, episodes)
        model.requires_grad_(False)
        for weight in self.trained():
            weight.requires_grad_(True)

    def trained(self) -> list[nn.Parameter]:
        return self.weights_of(self.model)

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        """What this phase trains of a model."""
        return [] if model.proposals is None else list(model.proposals.parameters())

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Numbers of frames and of those that followed, (n,) each; the action blocks from then on
        (n, steps, block size), and how many of them led from one to the other (n,)."""
        frames, actions = self._recording.window(rng.choice(self._starts, _BATCH), self._steps)
        taken = rng.integers(1, self._steps + 1, _BATCH)
        reached = frames[np.arange(_BATCH), taken]
        return tuple(torch.from_numpy(part) for part in (frames[:, 0], reached, actions, taken))

    def forward(
        self, present: Tensor, reached: Tensor, actions: Tensor, taken: Tensor
    ) -> dict[str, Tensor]:
        assert self.model.proposals is not None
        goal = self.model.split(self._latents[reached])[0]
        plans = self.model.proposals(self._latents[present], goal)[:, :, : self._steps]
        error = (plans - actions[:, None]).square().mean(-1)
        led = torch.arange(self._steps, device=taken.device) < taken[:, None]
        error = (error * led[:, None]).sum(-1) / taken[:, None]
        nearest = error.min(1).values.mean()
        return {"proposals": (1.0 - _OTHERS) * nearest + _OTHERS * error.mean()}
