"""The phase `embedding`: the distance to a goal is learned from time.

In the coordinates of keypoints, an object turned by half a turn may look nearer to its goal than
one turned by a third, and the two sides of a wall look near. But what is near in time is near in
every way that matters to a plan. The embedding is trained to tell, by distance alone, which of many
frames came a given time after a frame: contrastive learning (InfoNCE, arXiv 1807.03748) over time
(arXiv 1704.06888), at several time scales at once. Only frames of one layout are compared, as goals
are: else the embedding would tell scenes by their furniture, and little else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.config import TrainConfig

# Frames of a batch: so many episodes, with so many frames of each, where all share a layout, and
# where they do not. Frames of one episode are the hard ones to tell apart.
_SHARED = (64, 8)
_APART = (8, 64)


class EmbeddingPhase(nn.Module):
    """The temporal embedding alone, on finished latents of all recorded frames (frames, latent
    size); episodes: numbers of those to draw from."""

    name = "embedding"

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        config: TrainConfig,
        episodes: np.ndarray,
        latents: Tensor,
    ) -> None:
        super().__init__()
        self.model = model
        self._scene = model.split(latents)[0]
        chosen = np.flatnonzero(np.isin(recording.episode_of, episodes))
        _, first, lengths = np.unique(
            recording.episode_of[chosen], return_index=True, return_counts=True
        )
        self._frames, self._first, self._lengths = chosen, chosen[first], lengths
        layouts = [recording.layouts[number] for number in recording.episode_of[self._first]]
        names = [b"" if layout is None else np.asarray(layout).tobytes() for layout in layouts]
        self._layout = np.unique(names, return_inverse=True)[1]
        self._size = _APART if self._layout.any() else _SHARED
        # In control steps, those that an episode has room for.
        self._lags = [lag for lag in config.embedding_lags if lag < lengths.max()] or [1]
        # A distance tells the less, the longer the time between: how much is learned for each.
        self.sharpness = nn.Parameter(torch.zeros(len(self._lags)))
        model.requires_grad_(False)
        model.embedding.requires_grad_(True)

    def trained(self) -> list[nn.Parameter]:
        return [*self.weights_of(self.model), self.sharpness]

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        """What this phase trains of a model."""
        return list(model.embedding.parameters())

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Numbers of frames, of those some time after them and of their layouts, (n,) each, and the
        number of that time."""
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
