"""Training losses of the world model. Latents are about unit scale, so losses compare."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wm_mpc.model.world_model import WorldModel


def reconstruction(model: WorldModel, latent: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared error of the redrawn image: latent (batch, latent size), image float (batch,
    3, height, width) in [0, 1], weight (batch, 1, height, width) with mean about 1."""
    return (weight * (model.decode(latent) - image) ** 2).mean()


def moving_pixel_weight(image: Tensor, mean_image: Tensor, emphasis: float) -> Tensor:
    """Weight of every pixel by how far it is from the dataset's mean image, so that small moving
    things are not drowned by a large still background. Same shapes as `reconstruction`."""
    distance = (image - mean_image).abs().mean(1, keepdim=True)
    weight = 1.0 + emphasis * distance
    return weight / weight.mean()


def one_step(model: WorldModel, latents: Tensor, actions: Tensor) -> Tensor:
    """Teacher forcing: ||f(z_{t-H+1..t}, a_t) - sg(z_{t+1})||^2 at every step of the windows.

    latents (batch, steps + 1, latent size), actions (batch, steps, block size); at least `history`
    steps.
    """
    pairs, blocks = transitions(latents, actions, model.spec.history)
    predicted = model.rollout(model.start(pairs[:, :-1], blocks[:, :-1]), blocks[:, -1:])
    return (predicted - pairs[:, -1:].detach()).square().mean()


def transitions(latents: Tensor, actions: Tensor, history: int) -> tuple[Tensor, Tensor]:
    """All one-step windows in longer ones: latents (batch, steps + 1, latent size), actions (batch,
    steps, block size) -> latents (n, history + 1, latent size), actions (n, history, block size),
    n = batch * (steps - history + 1)."""
    windows = range(actions.shape[1] - history + 1)
    return (
        torch.cat([latents[:, t : t + history + 1] for t in windows]),
        torch.cat([actions[:, t : t + history] for t in windows]),
    )


def multi_step(model: WorldModel, latents: Tensor, actions: Tensor) -> Tensor:
    """Open-loop prediction of every step after the first `history` latents; shapes as in
    `one_step`."""
    history = model.spec.history
    carry = model.start(latents[:, :history], actions[:, : history - 1])
    predicted = model.rollout(carry, actions[:, history - 1 :])
    return (predicted - latents[:, history:].detach()).square().mean()


def pooled(
    loss: Callable[[WorldModel, Tensor, Tensor], Tensor],
    model: WorldModel,
    windows: list[tuple[Tensor, Tensor]],
) -> Tensor:
    """`one_step` or `multi_step` over windows of several lengths (latents and actions of each
    length): the mean over all predictions, so every predicted step counts alike."""
    history = model.spec.history
    counts = [len(actions) * (actions.shape[1] - history + 1) for _, actions in windows]
    terms = [
        loss(model, *group) * (count / sum(counts))
        for group, count in zip(windows, counts, strict=True)
    ]
    return torch.stack(terms).sum()
