"""The phase `proposals`: learn first plans from hindsight.

The actions between two recorded frames reached the later one. So every window of a recording is a
plan that worked, with the scene at its end as the goal (hindsight, Andrychowicz et al. 2017, arXiv
1707.01495). Many plans may reach one goal. Of the proposed plans, the one nearest to the recorded
actions learns most and the others hardly at all, so they stay different (multiple choice learning,
Guzman-Rivera et al. 2012). A planner improves them through the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.phases.phase import Phase, PhaseInputs

_BATCH = 512
_OTHERS = 0.05  # share of the loss that also trains plans that are not the nearest


class ProposalsPhase(Phase):
    """Trains the proposals alone, on finished latents. See `Phase`."""

    name = "proposals"
    stream = 2

    def __init__(self, inputs: PhaseInputs) -> None:
        super().__init__(inputs)
        recording, episodes = inputs.recording, inputs.episodes
        self._recording, self._latents = recording, inputs.finished_latents()
        self._steps = self.model.architecture.proposal_steps
        while len(recording.window_starts(self._steps, episodes)) == 0:
            self._steps -= 1
        self._starts = recording.window_starts(self._steps, episodes)

    @classmethod
    def applies_to(cls, model: WorldModel) -> bool:
        """See `Phase`."""
        return model.proposals is not None

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        """See `Phase`."""
        return [] if model.proposals is None else list(model.proposals.parameters())

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Draw windows.

        Args:
            rng: Random numbers.

        Returns:
            First frames and reached frames, int64 (n,) each; action blocks (n, steps, block size);
            and the number of them that led to the reached frame, int64 (n,).
        """
        frames, actions = self._recording.window(rng.choice(self._starts, _BATCH), self._steps)
        taken = rng.integers(1, self._steps + 1, _BATCH)
        reached = frames[np.arange(_BATCH), taken]
        return tuple(torch.from_numpy(part) for part in (frames[:, 0], reached, actions, taken))

    def forward(
        self, present: Tensor, reached: Tensor, actions: Tensor, taken: Tensor
    ) -> dict[str, Tensor]:
        """Return the loss terms of a batch.

        Args:
            present: First frames, int64 (n,).
            reached: Reached frames, int64 (n,).
            actions: Action blocks (n, steps, block size), normalised.
            taken: Number of blocks that led to the reached frame, int64 (n,).
        """
        assert self.model.proposals is not None
        goal = self.model.split(self._latents[reached])[0]
        plans = self.model.proposals(self._latents[present], goal)[:, :, : self._steps]
        error = (plans - actions[:, None]).square().mean(-1)
        led = torch.arange(self._steps, device=taken.device) < taken[:, None]
        error = (error * led[:, None]).sum(-1) / taken[:, None]
        nearest = error.min(1).values.mean()
        return {"proposals": (1.0 - _OTHERS) * nearest + _OTHERS * error.mean()}
