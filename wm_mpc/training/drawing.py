"""Whether a representation sees what matters: measured without labels, on held-out pictures.

A picture is drawn from its latent. What the latent lost is missing in the drawn picture. A
large still background is easy to draw, so pixels count the more, the farther they are from the
mean picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model import losses
from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import Tile
from wm_mpc.training.images import images_to_float
from wm_mpc.training.motion import share_on_motion

_FRAMES = 512
_BATCH = 64
_STILL = 1e-6  # mean squared difference of pictures that are all the same


# Shipped models draw 0.90 to 0.99 of what moves.
LEAST_DRAWN = 0.9
_MOST = 0.5  # share of the keypoints; with fewer on what moves, most of them say nothing
EXPLAINED = 1.3  # error with actions of other moments, as a multiple of that with the true ones


@torch.no_grad()
def drawing(
    model: WorldModel, recording: Recording, episodes: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """Measure how well a model draws pictures, above all what moves in them.

    Args:
        model: The model.
        recording: The recorded episodes.
        episodes: Positions of episodes on which the model was not trained.
        seed: Seed of the random choice of 512 frames.

    Returns:
        `drawn`: share of the squared difference from the mean picture that the drawn pictures
        have, with the weights of the training (`losses.moving_pixel_weight`, emphasis 20): 1 is
        perfect, 0 is the mean picture; of several cameras, that of the worst one.
        `points_on_motion`: share of the keypoints on pixels that differ from the mean picture at
        that moment, or at most 2 pixels beside one; not for an encoder without keypoints. Empty if
        all pictures are the same.
    """
    frames = np.flatnonzero(np.isin(recording.episode_of, episodes))
    if len(frames) > _FRAMES:
        frames = np.sort(np.random.default_rng(seed).choice(frames, _FRAMES, replace=False))
    device = model.state_mean.device
    mean = torch.zeros(1, 3, *recording.images.shape[1:3], device=device)
    for batch in _batches(frames):
        mean += _pictures(recording, batch, device).sum(0, keepdim=True) / len(frames)
    tiles = model.spec.image.tiles
    lost, whole, on_motion = np.zeros(len(tiles)), np.zeros(len(tiles)), 0.0
    has_points = model.architecture.encoder != "map"
    for batch in _batches(frames):
        images = _pictures(recording, batch, device)
        states = torch.from_numpy(recording.states[batch]).to(device)
        latent = model.encode(images, states)
        weight = losses.moving_pixel_weight(images, mean, 20.0, tiles)
        lost += _of_tiles(weight * (model.decode(latent) - images) ** 2, tiles) * len(batch)
        whole += _of_tiles(weight * (mean - images) ** 2, tiles) * len(batch)
        if has_points:
            on_motion += share_on_motion(model.encoder(images), images, mean, tiles) * len(batch)
    if whole.max() < _STILL * len(frames):
        return {}
    moves = whole >= _STILL * len(frames)  # a camera may see nothing that moves
    points = {"points_on_motion": round(on_motion / len(frames), 4)} if has_points else {}
    return {"drawn": round(float((1.0 - lost[moves] / whole[moves]).min()), 4), **points}


def verdict(metrics: Mapping[str, Any]) -> tuple[bool, str]:
    """Judge a representation by what needs no labels.

    Args:
        metrics: `drawn`, `actions_explain` and `points_on_motion`, as from `diagnostics`; what is
            missing could not be measured.

    Returns:
        Whether it is good, and a sentence for people.
    """
    drawn, explained = metrics.get("drawn"), metrics.get("actions_explain")
    if drawn is None or explained is None:
        return False, "the representation could not be judged: there are too few held-out pictures"
    if drawn < LEAST_DRAWN:
        # Only keypoints can be weighted by motion.
        weight = "motion_weight: 0.5, " if "points_on_motion" in metrics else ""
        return False, (
            f"the model draws only {max(0.0, drawn):.0%} of what moves in held-out pictures "
            f"(wanted: {LEAST_DRAWN:.0%}), so it may not see all that matters; try "
            f"{weight}representation_starts: 3, more representation_updates, or more episodes"
        )
    if explained < 1.0 - 1.0 / EXPLAINED:
        return False, (
            f"with other actions, the prediction error grows by only "
            f"{explained / (1.0 - explained):.0%}, so the actions explain little of what the model "
            "sees; check that actions and pictures belong to the same moments"
        )
    sentence = (
        f"good: the model draws {drawn:.0%} of what moves in held-out pictures, and the "
        f"actions explain {explained:.0%} of the prediction error with other actions"
    )
    on_motion = metrics.get("points_on_motion", 1.0)
    if on_motion < _MOST:
        sentence += (
            f"; but only {on_motion:.0%} of the keypoints lie on what moves. If something other "
            "than the robot has to move, train with motion_weight: 0.5"
        )
    return True, sentence


def _batches(frames: np.ndarray) -> list[np.ndarray]:
    return [frames[first : first + _BATCH] for first in range(0, len(frames), _BATCH)]


def _pictures(recording: Recording, frames: np.ndarray, device: torch.device) -> Tensor:
    return images_to_float(torch.from_numpy(recording.images[frames]).to(device))


def _of_tiles(errors: Tensor, tiles: Sequence[Tile]) -> np.ndarray:
    """Means of errors (batch, channels, height, width) in the picture of each camera."""
    return np.array([float(tile.of_planes(errors).mean()) for tile in tiles])
