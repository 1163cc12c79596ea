"""The phase `sharpen`: the decoder alone learns to draw what the finished latents stand for."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wm_mpc.model.world_model import WorldModel
from wm_mpc.settings.fields import check, setting
from wm_mpc.training.images import images_to_float
from wm_mpc.training.phases.phase import Phase, PhaseInputs


@dataclasses.dataclass(frozen=True)
class SharpenConfig:
    """The settings `sharpen.*`. Raises SettingError when they are not accepted."""

    updates: int = setting(500, "Updates of phase sharpen", low=1)
    rate: float = setting(1e-3, "Learning rate of phase sharpen", above=0)
    batch: int = setting(32, "Images in an update of phase sharpen", low=1)

    def __post_init__(self) -> None:
        check(self, "sharpen.")


class SharpenPhase(Phase):
    """Trains the decoder. See `Phase`."""

    name = "sharpen"
    stream = 4
    settings = SharpenConfig

    def __init__(self, inputs: PhaseInputs) -> None:
        super().__init__(inputs)
        self._size = inputs.config.phase("sharpen").batch
        self._images, self._latents = inputs.recording.images, inputs.finished_latents()
        self._frames = np.flatnonzero(np.isin(inputs.recording.episode_of, inputs.episodes))

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        return list(model.decoder.parameters())

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        frames = rng.choice(self._frames, self._size)
        return torch.from_numpy(self._images[frames]), torch.from_numpy(frames)

    def forward(self, images: Tensor, frames: Tensor) -> dict[str, Tensor]:
        drawn = self.model.decode(self._latents[frames])
        return {"difference": (drawn - images_to_float(images)).abs().mean()}
