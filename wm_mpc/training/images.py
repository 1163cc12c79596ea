"""Recorded images as tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording


def images_to_float(images: Tensor) -> Tensor:
    """Convert uint8 (batch, height, width, 3) to float (batch, 3, height, width) in [0, 1].

    Args:
        images: The images.
    """
    return images.permute(0, 3, 1, 2).float() / 255.0


def mean_image(recording: Recording, episodes: np.ndarray, seed: int) -> Tensor:
    """Return the mean of 500 random frames, float (1, 3, height, width) in [0, 1].

    Args:
        recording: The recorded episodes.
        episodes: Positions of the episodes to draw from.
        seed: Seed of the choice.
    """
    frames = np.flatnonzero(np.isin(recording.episode_of, episodes))
    sample = np.sort(np.random.default_rng([seed, 99]).choice(frames, 500))
    return images_to_float(torch.from_numpy(recording.images[sample])).mean(0, keepdim=True)
