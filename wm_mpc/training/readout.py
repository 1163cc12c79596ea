"""What is fitted to a finished representation, in a moment: the scene's coordinates, and read-outs.

Keypoints see an object's place in all their coordinates but its angle only in small differences.
Their principal components, scaled towards equal variance, bring both to about the same size, from
which the dynamics and the temporal embedding learn.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.replay import encode_all

_MOST_FRAMES = 20000
_STILL = 1e-6  # variance
# Variance of a component, as a share of the largest one, below which it is noise of the encoder.
_LEAST_VARIANCE = 1e-4
_ROUNDING = 1e-10  # variance of keypoints, in [-1, 1], of pictures that are all the same


@torch.no_grad()
def fit_scene_map(model: WorldModel, scene: Tensor, whitening: float) -> None:
    """Set the map from keypoints to the scene latent: principal components, each divided by a power
    of its standard deviation.

    scene: latents of recorded frames (frames, scene size) under the model's present map. whitening:
    that power, 0 (lengths as in the picture) to 1 (equal variances). Latents get unit variance on
    average. Components of no more than noise become zero, all of them where nothing ever moves.
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
    """`fit_scene_map` on frames of `episodes`, as the settings say."""
    frames = np.flatnonzero(np.isin(recording.episode_of, episodes))
    frames = frames[:: max(1, len(frames) // _MOST_FRAMES)]
    latents = encode_all(model, recording.images[frames], recording.states[frames])
    fit_scene_map(model, model.split(latents)[0], config.whitening)


def fit_pose_readout_to(
    model: WorldModel, recording: Recording, episodes: np.ndarray, latents: Tensor
) -> None:
    """`fit_pose_readout` on the frames of `episodes`, where the recording has poses. latents: of
    all recorded frames (frames, latent size)."""
    if not model.architecture.pose_names or recording.poses is None:
        return
    chosen = np.flatnonzero(np.isin(recording.episode_of, episodes))
    picked = latents[torch.from_numpy(chosen).to(latents.device)]
    fit_pose_readout(model, picked, torch.from_numpy(recording.poses[chosen]))


def fit_pose_readout(model: WorldModel, latents: Tensor, poses: Tensor) -> None:
    """Set the model's linear pose read-out from frames' latents (frames, latent size) and poses
    (frames, number of poses)."""
    scene = model.split(latents)[0].double()
    inputs = torch.cat([scene, scene.new_ones(len(scene), 1)], 1)
    weights = _ridge(inputs, poses.to(inputs))
    model.pose_weight.copy_(weights[:-1].T)
    model.pose_bias.copy_(weights[-1])


def explained_by_state(model: WorldModel, latents: Tensor) -> Tensor:
    """R^2, clamped to [0, 1], of a ridge regression with quadratic features from the robot state to
    every scene dimension (scene size,).

    latents (frames, latent size), in the order of recording: fitted on the first two thirds and
    measured on the last.
    """
    latents = latents[:: max(1, len(latents) // _MOST_FRAMES)]
    scene, state = (part.double() for part in model.split(latents))
    rows, columns = torch.triu_indices(state.shape[1], state.shape[1], device=state.device)
    products = state[:, rows] * state[:, columns]
    inputs = torch.cat([state, products, state.new_ones(len(state), 1)], 1)
    cut = 2 * len(inputs) // 3
    residual = scene[cut:] - inputs[cut:] @ _ridge(inputs[:cut], scene[:cut])
    spread = (scene[cut:] - scene[:cut].mean(0)).square().mean(0)
    explained = (1.0 - residual.square().mean(0) / spread).clamp(0.0, 1.0)
    # There is nothing to explain in a dimension that never moves.
    return torch.where(spread > _STILL, explained, 0.0).to(latents.dtype)


def _ridge(inputs: Tensor, targets: Tensor) -> Tensor:
    """Weights (features, targets). A little ridge: keypoints that never move make the plain
    problem singular."""
    gram = inputs.T @ inputs
    gram = gram + 1e-3 * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram, inputs.T @ targets)
