"""Training losses of the world model. Latents are about unit scale, so losses compare."""

from __future__ import annotations

import torch
from torch import Tensor

from wm_mpc.model.world_model import WorldModel


def reconstruction(model: WorldModel, scene: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared error of the redrawn image: scene (batch, scene size), image float (batch,
    3, height, width) in [0, 1], weight (batch, 1, height, width) with mean about 1."""
    latent = torch.cat([scene, scene.new_zeros(len(scene), model.spec.state.size)], -1)
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
    history, steps = model.spec.history, actions.shape[1]
    windows = range(steps - history + 1)
    past = torch.cat([latents[:, t : t + history] for t in windows])
    between = torch.cat([actions[:, t : t + history - 1] for t in windows])
    last = torch.cat([actions[:, t + history - 1 : t + history] for t in windows])
    target = torch.cat([latents[:, t + history : t + history + 1] for t in windows])
    predicted = model.rollout(model.start(past, between), last)
    return (predicted - target.detach()).square().mean()


def multi_step(model: WorldModel, latents: Tensor, actions: Tensor) -> Tensor:
    """Open-loop prediction of every step after the first `history` latents; shapes as in
    `one_step`."""
    history = model.spec.history
    carry = model.start(latents[:, :history], actions[:, : history - 1])
    predicted = model.rollout(carry, actions[:, history - 1 :])
    return (predicted - latents[:, history:].detach()).square().mean()
