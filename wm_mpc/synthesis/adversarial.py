"""Adversarial world modelling (arXiv 2512.09929): train where a gradient planner would cheat.

Latent and action inputs are moved, inside a small box, to where the one-step loss is worst (one
sign-gradient step from a uniform start: fast adversarial training, Wong et al. 2020,
arXiv 2001.03994); the model then learns the *unperturbed* next latent from there. This smooths the
model around the data, so that descending through it does not find phantom ways to the goal.

The trainer perturbs all one-step windows of an update, recorded and synthesised ones, and adds the
loss there to the loss on the clean ones. It needs no more data and no more updates, but more
arithmetic: two forward and two backward passes of one model step over these windows (one thread,
default sizes: 56 ms for an update instead of 31).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from wm_mpc.model.losses import one_step
from wm_mpc.model.world_model import WorldModel
from wm_mpc.settings.fields import check, setting
from wm_mpc.synthesis.method import Perturbation


@dataclasses.dataclass(frozen=True)
class AdversarialConfig:
    """The settings `adversarial.*`; the defaults are those of the paper. Raises SettingError when
    they are not accepted."""

    scene_radius: float = setting(
        0.05,
        "How far latents of the scene move, in standard deviations of the batch",
        low=0,
        below=10,
    )
    state_radius: float = setting(
        0.02,
        "How far latents of the state move, in standard deviations of the batch",
        low=0,
        below=10,
    )
    action_radius: float = setting(
        0.02, "How far actions move, in standard deviations of the batch", low=0, below=10
    )
    step: float = setting(
        1.25, "Step of the sign-gradient ascent, as a multiple of the radius", low=0, below=10
    )

    def __post_init__(self) -> None:
        check(self, "adversarial.")


def radius(
    model: WorldModel, latents: Tensor, actions: Tensor, config: AdversarialConfig
) -> tuple[Tensor, Tensor]:
    """Half-widths of the box around latents (latent size,) and actions (block size,)."""
    deviation = latents.detach().flatten(0, -2).std(0, correction=0)
    factor = torch.full_like(deviation, config.scene_radius)
    factor[model.scene_size :] = config.state_radius
    return deviation * factor, actions.flatten(0, -2).std(0, correction=0) * config.action_radius


def perturb(
    model: WorldModel,
    latents: Tensor,
    actions: Tensor,
    config: AdversarialConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The worst inputs found in the box around one-step transitions.

    latents (batch, history + 1, latent size): inputs and target; actions (batch, history, block
    size).
    Returns perturbed copies (the target latent is untouched), detached.
    """
    latent_radius, action_radius = radius(model, latents, actions, config)
    source, target = latents[:, :-1].detach(), latents[:, -1:].detach()

    def uniform(like: Tensor) -> Tensor:
        noise = torch.rand(like.shape, generator=generator, dtype=like.dtype)
        return noise.to(like.device) * 2.0 - 1.0

    latent_shift = (uniform(source) * latent_radius).requires_grad_()
    action_shift = (uniform(actions) * action_radius).requires_grad_()
    pair = torch.cat([source + latent_shift, target], 1)
    loss = one_step(model, pair, actions + action_shift)
    latent_slope, action_slope = torch.autograd.grad(loss, (latent_shift, action_shift))
    with torch.no_grad():
        latent_shift = _ascend(latent_shift, latent_slope, latent_radius, config.step)
        action_shift = _ascend(action_shift, action_slope, action_radius, config.step)
        perturbed = torch.cat([source + latent_shift, target], 1)
        return perturbed, (actions + action_shift).clamp(-1.0, 1.0)


def _ascend(shift: Tensor, slope: Tensor, box: Tensor, step: float) -> Tensor:
    return torch.minimum(torch.maximum(shift + step * box * slope.sign(), -box), box)


METHOD = Perturbation(AdversarialConfig, perturb, by_default=True)
