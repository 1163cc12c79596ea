"""Noise: the model learns from inputs that are a little wrong."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from wm_mpc.model.world_model import WorldModel
from wm_mpc.settings.fields import check, setting
from wm_mpc.synthesis.method import Perturbation


@dataclasses.dataclass(frozen=True)
class NoiseConfig:
    """The settings `noise.*`. Raises SettingError when they are not accepted."""

    deviation: float = setting(
        0.05, "Noise on latents, in standard deviations of the batch", low=0, below=10
    )

    def __post_init__(self) -> None:
        check(self, "noise.")


def perturb(
    model: WorldModel,
    latents: Tensor,
    actions: Tensor,
    config: NoiseConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Inputs with noise, and the same targets; see `Perturbation`."""
    source, target = latents[:, :-1], latents[:, -1:]
    noise = torch.randn(source.shape, generator=generator).to(source)
    spread = source.flatten(0, 1).std(0)
    return torch.cat([source + config.deviation * spread * noise, target], 1), actions


METHOD = Perturbation(NoiseConfig, perturb)
