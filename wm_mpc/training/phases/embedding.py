"""The phase `embedding`: learn the distance to a goal from time.

In keypoint coordinates, an object turned by half a turn may look closer to its goal than one
turned by a third, and the two sides of a wall look close. Frames that are close in time are close
in every way that matters to a plan. The embedding learns to identify, by distance alone, the frame
that came a given time after another: contrastive learning (InfoNCE, arXiv 1807.03748) over time
(arXiv 1704.06888), at several time scales at once. Only frames of one layout are compared, as
goals are; otherwise the embedding would mainly distinguish layouts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.phases.phase import Phase, PhaseInputs

# Episodes in a batch, and frames from each, if all share a layout, and if not. Frames of the same
# episode are the hardest to distinguish.
_SHARED = (64, 8)
_APART = (8, 64)


class EmbeddingPhase(Phase):
    """Trains the temporal embedding alone, on finished latents. See `Phase`."""

    name = "embedding"
    stream = 1

    def __init__(self, inputs: PhaseInputs) -> None:
        super().__init__(inputs)
        recording = inputs.recording
        self._scene = self.model.split(inputs.finished_latents())[0]
        chosen = np.flatnonzero(np.isin(recording.episode_of, inputs.episodes))
        _, first, lengths = np.unique(
            recording.episode_of[chosen], return_index=True, return_counts=True
        )
        self._frames, self._first, self._lengths = chosen, chosen[first], lengths
        self._layout = recording.layout_numbers(recording.episode_of[self._first])
        self._size = _APART if self._layout.any() else _SHARED
        # In control steps, as far as they fit into an episode.
        self._lags = [lag for lag in inputs.config.embedding_lags if lag < lengths.max()] or [1]
        # Distances are less informative over longer times; the sharpness of each scale is learned.
        self.sharpness = nn.Parameter(torch.zeros(len(self._lags)))

    def trained(self) -> list[nn.Parameter]:
        """Return all weights that this phase trains."""
        return [*self.weights_of(self.model), self.sharpness]

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        """See `Phase`."""
        return list(model.embedding.parameters())

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Draw pairs of frames at one time scale.

        Args:
            rng: Random numbers.

        Returns:
            First frames, later frames and layouts, int64 (n,) each, and the number of the time
            scale.
        """
        number = int(rng.integers(len(self._lags)))
        lag = self._lags[number]
        long_enough = np.flatnonzero(self._lengths > lag)
        episodes = np.repeat(rng.choice(long_enough, size=self._size[0]), self._size[1])
        before = self._first[episodes] + rng.integers(self._lengths[episodes] - lag)
        layout = torch.from_numpy(self._layout[episodes])
        return torch.from_numpy(before), torch.from_numpy(before + lag), layout, number

    def forward(
        self, before: Tensor, after: Tensor, layout: Tensor, number: int
    ) -> dict[str, Tensor]:
        """Return the loss terms of a batch.

        Args:
            before: First frames, int64 (n,).
            after: Later frames, int64 (n,).
            layout: Layouts of the frames, int64 (n,).
            number: Number of the time scale.
        """
        embedded = [self.model.embedding(self._scene[frames]) for frames in (before, after)]
        likeness = -self.sharpness[number].exp() * torch.cdist(*embedded).square()
        likeness = likeness.masked_fill(layout[:, None] != layout, -torch.inf)
        partner = torch.arange(len(before), device=before.device)
        forwards = functional.cross_entropy(likeness, partner)
        backwards = functional.cross_entropy(likeness.T, partner)
        return {"contrast": (forwards + backwards) / 2}

    def finish(self) -> None:
        """Set the scale of distances."""
        layout = torch.from_numpy(np.repeat(self._layout, self._lengths))
        self.model.embedding.normalise(
            self._scene[torch.from_numpy(self._frames)], layout.to(self._scene.device)
        )
