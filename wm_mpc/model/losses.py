"""Training losses of the world model. Latents have about unit scale, so losses are comparable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import Tile


def reconstruction(model: WorldModel, latent: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared error of the reconstructed image.

    Args:
        model: The world model.
        latent: (batch, latent size).
        image: float (batch, 3, height, width) in [0, 1].
        weight: (batch, 1, height, width), with mean about 1.
    """
    return (weight * (model.decode(latent) - image) ** 2).mean()


def moving_pixel_weight(
    image: Tensor, mean_image: Tensor, emphasis: float, tiles: Sequence[Tile] = ()
) -> Tensor:
    """Weigh each pixel by its distance from the mean image of the dataset.

    So a large still background does not outweigh small moving things. Of several cameras, each has
    the same weight, whatever moves in its picture.

    Args:
        image: float (batch, 3, height, width) in [0, 1].
        mean_image: float (3, height, width) in [0, 1], or any shape that broadcasts to `image`.
        emphasis: Extra weight of a pixel at distance 1.
        tiles: Where the picture of each camera is; empty for one camera.

    Returns:
        (batch, 1, height, width), with mean 1.
    """
    distance = (image - mean_image).abs().mean(1, keepdim=True)
    weight = 1.0 + emphasis * distance
    if len(tiles) < 2:
        return weight / weight.mean()
    result = torch.zeros_like(weight)
    share = weight[0].numel() / len(tiles)
    for tile in tiles:
        part = tile.of_planes(weight)
        tile.of_planes(result).copy_(part / part.mean() * (share / (tile.height * tile.width)))
    return result


def one_step(model: WorldModel, latents: Tensor, actions: Tensor) -> Tensor:
    """One-step loss with teacher forcing, at every step of the windows.

    The formula is ||f(z_{t-H+1..t}, a_t) - sg(z_{t+1})||^2, averaged over coordinates.

    Args:
        model: The world model, f.
        latents: (batch, steps + 1, latent size), z.
        actions: (batch, steps, block size), a; at least `history` steps.
    """
    pairs, blocks = transitions(latents, actions, model.spec.history)
    predicted = model.rollout(model.start(pairs[:, :-1], blocks[:, :-1]), blocks[:, -1:])
    return (predicted - pairs[:, -1:].detach()).square().mean()


def transitions(latents: Tensor, actions: Tensor, history: int) -> tuple[Tensor, Tensor]:
    """Cut windows into all one-step windows that they contain.

    Args:
        latents: (batch, steps + 1, latent size).
        actions: (batch, steps, block size).
        history: Latents at the beginning of a one-step window, H.

    Returns:
        Latents (n, history + 1, latent size) and actions (n, history, block size), with n = batch *
        (steps - history + 1).
    """
    windows = range(actions.shape[1] - history + 1)
    return (
        torch.cat([latents[:, t : t + history + 1] for t in windows]),
        torch.cat([actions[:, t : t + history] for t in windows]),
    )


def multi_step(model: WorldModel, latents: Tensor, actions: Tensor) -> Tensor:
    """Loss of open-loop predictions of every step after the first `history` latents.

    Args:
        model: The world model.
        latents: (batch, steps + 1, latent size).
        actions: (batch, steps, block size).
    """
    history = model.spec.history
    carry = model.start(latents[:, :history], actions[:, : history - 1])
    predicted = model.rollout(carry, actions[:, history - 1 :])
    return (predicted - latents[:, history:].detach()).square().mean()


def pooled(
    loss: Callable[[WorldModel, Tensor, Tensor], Tensor],
    model: WorldModel,
    windows: list[tuple[Tensor, Tensor]],
) -> Tensor:
    """Average a loss over windows of several lengths. Each predicted step has the same weight.

    Args:
        loss: `one_step` or `multi_step`.
        model: The world model.
        windows: Latents and actions of each length.
    """
    history = model.spec.history
    counts = [len(actions) * (actions.shape[1] - history + 1) for _, actions in windows]
    terms = [
        loss(model, *group) * (count / sum(counts))
        for group, count in zip(windows, counts, strict=True)
    ]
    return torch.stack(terms).sum()
