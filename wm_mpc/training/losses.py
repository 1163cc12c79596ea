"""Training losses of the world model. Latents are about unit scale, so losses compare."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from wm_mpc.model.world_model import WorldModel


def reconstruction(model: WorldModel, latent: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared error of the redrawn image: latent (batch, latent size), image float (batch,
    3, height, width) in [0, 1], weight (batch, 1, height, width) with mean about 1."""
    return (weight * (model.decode(latent) - image) ** 2).mean()


def equivariance(
    encoder: Callable[[Tensor], Tensor], image: Tensor, points: Tensor, generator: torch.Generator
) -> Tensor:
    """Keypoints must move with the picture (Thewlis et al. 2017, arXiv 1705.02193): of turned,
    shifted and scaled pictures the encoder has to find the points turned, shifted and scaled. It
    ties a point to one place of a body, whichever way the body lies.

    image float (batch, 3, height, width); points (batch, 2 K), those of `image`, x then y. Points
    that leave the picture do not count. Squared distance in units of half the picture.
    """
    batch, count = len(image), points.shape[1] // 2

    def uniform(low: float, high: float) -> Tensor:
        drawn = torch.rand(batch, generator=generator) * (high - low) + low
        return drawn.to(image.device)

    angle, size = uniform(-torch.pi, torch.pi), uniform(0.8, 1.2)
    cosine, sine = size * angle.cos(), size * angle.sin()
    shift = torch.stack([uniform(-0.2, 0.2), uniform(-0.2, 0.2)], 1)
    turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    grid = functional.affine_grid(
        torch.cat([turn, shift[..., None]], 2), list(image.shape), align_corners=False
    )
    warped = functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
    # The picture is fetched from `turn @ u + shift`, so a point p is now where that equals p.
    planar = points.view(batch, 2, count)
    moved = turn.transpose(1, 2) @ (planar - shift[..., None]) / size.square()[:, None, None]
    found = encoder(warped).view(batch, 2, count)
    inside = (moved.detach().abs() < 0.95).all(1, keepdim=True).to(image.dtype)
    return ((found - moved).square() * inside).sum() / (2.0 * inside.sum()).clamp(min=1.0)


def separation(points: Tensor, distance: float = 0.1) -> Tensor:
    """How much keypoints lie on top of each other, 0 to 1: the mean over pairs of exp(-d^2 / 2
    s^2) (after Zhang et al. 2018, arXiv 1804.04412).

    points (batch, 2 K), x then y, in units of half the picture, as `distance`, s.
    """
    planar = points.view(len(points), 2, -1)
    squared = (planar[..., :, None] - planar[..., None, :]).square().sum(1)
    closeness = torch.exp(-squared / (2.0 * distance**2))
    count = planar.shape[2]
    return (closeness.sum((1, 2)) - count).mean() / max(1, count * (count - 1))


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
