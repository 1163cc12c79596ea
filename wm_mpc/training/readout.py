"""Quick fits to a finished representation: the scene's coordinates, and read-outs.

An object's place changes all its keypoints, but its angle causes only small differences. Principal
components, scaled towards equal variance, bring both to a similar size, from which the dynamics
and the temporal embedding can learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.replay import encode_all

if TYPE_CHECKING:
    from wm_mpc.training.config import TrainConfig

_MOST_FRAMES = 20000
_STILL = 1e-6  # variance
# Share of the largest variance; components with less are noise of the encoder.
_LEAST_VARIANCE = 1e-4
_ROUNDING = 1e-10  # variance of keypoints, in [-1, 1], if all images are the same


@torch.no_grad()
def fit_scene_map(model: WorldModel, scene: Tensor, whitening: float) -> None:
    """Set the map from keypoints to the scene latent: scaled principal components.

    Latents get unit variance on average. Components below the noise become zero; without motion,
    all of them do.

    Args:
        model: The model, changed in place.
        scene: Latents of recorded frames (frames, scene size) under the current map.
        whitening: Each component is divided by this power of its standard deviation, 0 (lengths as
            in the image) to 1 (equal variances).
    """
    points = scene.double() @ model.scene_unmap.double() + model.scene_mean.double()
    mean = points.mean(0)
    variance, axes = torch.linalg.eigh((points - mean).T @ (points - mean) / len(points))
    variance, axes = variance.flip(0), axes.flip(1)
    kept = (variance > _LEAST_VARIANCE * variance[0]) & (variance > _ROUNDING)
    variance = torch.where(kept, variance, 1.0)
    spread = variance ** (1.0 - whitening)
    scale = variance ** (-0.5 * whitening) / spread[kept].mean().sqrt()
    model.scene_mean.copy_(mean)
    model.scene_map.copy_(axes * torch.where(kept, scale, 0.0))
    model.scene_unmap.copy_((axes * torch.where(kept, 1.0 / scale, 0.0)).T)


def fit_scene_map_to(
    model: WorldModel, recording: Recording, episodes: np.ndarray, config: TrainConfig
) -> None:
    """Apply `fit_scene_map` to frames of some episodes.

    Args:
        model: The model, changed in place.
        recording: The recorded episodes.
        episodes: Positions of the training episodes.
        config: Settings of the run.
    """
    frames = np.flatnonzero(np.isin(recording.episode_of, episodes))
    frames = frames[:: max(1, len(frames) // _MOST_FRAMES)]
    latents = encode_all(model, recording.images[frames], recording.states[frames])
    fit_scene_map(model, model.split(latents)[0], config.whitening)


def fit_pose_readout_to(
    model: WorldModel, recording: Recording, episodes: np.ndarray, latents: Tensor
) -> None:
    """Apply `fit_pose_readout` to frames of some episodes, if the recording has poses.

    Args:
        model: The model, changed in place.
        recording: The recorded episodes.
        episodes: Positions of the training episodes.
        latents: Latents of all recorded frames (frames, latent size).
    """
    if not model.architecture.pose_names or recording.poses is None:
        return
    chosen = np.flatnonzero(np.isin(recording.episode_of, episodes))
    picked = latents[torch.from_numpy(chosen).to(latents.device)]
    fit_pose_readout(model, picked, torch.from_numpy(recording.poses[chosen]))


def fit_pose_readout(model: WorldModel, latents: Tensor, poses: Tensor) -> None:
    """Fit the model's linear pose read-out.

    Args:
        model: The model, changed in place.
        latents: (frames, latent size).
        poses: (frames, number of poses).
    """
    scene = model.split(latents)[0].double()
    inputs = torch.cat([scene, scene.new_ones(len(scene), 1)], 1)
    weights = ridge(inputs, poses.to(inputs))
    model.pose_weight.copy_(weights[:-1].T)
    model.pose_bias.copy_(weights[-1])


def explained_by_state(model: WorldModel, latents: Tensor) -> Tensor:
    """Measure how well the robot state explains the scene, by ridge regression on quadratic
    features.

    The regression is fitted to the first two thirds of the frames and measured on the last third.

    Args:
        model: The model.
        latents: (frames, latent size), in the order of recording.

    Returns:
        R^2 of each scene dimension (scene size,), clamped to [0, 1].
    """
    latents = latents[:: max(1, len(latents) // _MOST_FRAMES)]
    scene, state = (part.double() for part in model.split(latents))
    rows, columns = torch.triu_indices(state.shape[1], state.shape[1], device=state.device)
    products = state[:, rows] * state[:, columns]
    inputs = torch.cat([state, products, state.new_ones(len(state), 1)], 1)
    cut = 2 * len(inputs) // 3
    residual = scene[cut:] - inputs[cut:] @ ridge(inputs[:cut], scene[:cut])
    spread = (scene[cut:] - scene[:cut].mean(0)).square().mean(0)
    explained = (1.0 - residual.square().mean(0) / spread).clamp(0.0, 1.0)
    # A dimension that never moves has nothing to explain.
    return torch.where(spread > _STILL, explained, 0.0).to(latents.dtype)


def ridge(inputs: Tensor, targets: Tensor, strength: float = 1e-3) -> Tensor:
    """Return the weights of a ridge regression. Still keypoints make the plain problem singular.

    Args:
        inputs: (rows, features).
        targets: (rows, targets).
        strength: Added to the squares of the features.

    Returns:
        (features, targets).
    """
    gram = inputs.T @ inputs
    gram = gram + strength * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram, inputs.T @ targets)
