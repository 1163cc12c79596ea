"""How much the robot's own place counts in the distance to a goal, measured on recordings.

A goal is compared in the embedding of what the camera sees. Where the robot itself is part of the
goal, that may not tell its place well enough, as in the public environment PushT. Where the
embedding does tell it, as in a maze, the place would only pull the robot straight towards walls. So
the weight is

    (1 - explained) * spread of the scene / spread of the place,

in which the spread is the mean squared distance from the mean, and `explained` is the share of the
spread of the place that the embedding tells: the place is guessed from the nearest scenes of other
episodes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wm_mpc.model.familiarity import ENOUGH
from wm_mpc.model.world_model import WorldModel

_MOST = 2000  # moments
_NEIGHBOURS = 5
_LEAST = 0.01  # a smaller weight changes nothing
_STILL = 1e-6  # spread of a robot that never moved


@torch.no_grad()
def place_weight(model: WorldModel, latents: Tensor, episodes: Tensor) -> float:
    """Measure the weight of the place; see the module.

    Args:
        model: The world model.
        latents: (moments, latent size), held-out ones. Some are used if there are many.
        episodes: (moments,), the episode of each.

    Returns:
        0 or more; 0 without a measured place, with fewer than `ENOUGH` moments, with one episode,
        if the robot or the scene never moved, or if the place adds nothing.
    """
    if len(latents) < ENOUGH or len(episodes.unique()) < 2 or not model.spec.state.place_columns:
        return 0.0
    some = torch.linspace(0, len(latents) - 1, min(len(latents), _MOST)).round().long()
    latents, episodes = latents[some], episodes[some]
    scenes = model.embed(latents)
    places = model.split(latents)[1] * model.place_shares.sqrt()
    scene, place = _spread(scenes), _spread(places)
    if not (scene > _STILL and place > _STILL):  # also if one is not finite
        return 0.0
    apart = torch.cdist(scenes, scenes)
    apart[episodes[:, None] == episodes] = torch.inf
    others = int((episodes[:, None] != episodes).sum(1).min())
    nearest = apart.topk(min(_NEIGHBOURS, others), largest=False).indices
    missed = (places[nearest].mean(1) - places).square().sum(-1).mean()
    weight = float((missed / place).clamp(0.0, 1.0) * scene / place)
    return weight if weight >= _LEAST else 0.0


def _spread(points: Tensor) -> Tensor:
    """Mean squared distance from the mean."""
    return (points - points.mean(0)).square().sum(-1).mean()
