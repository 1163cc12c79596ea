"""Measures of a trained world model before it plans.

Only this module and `report.py` use true poses (linear probe, rank correlation). They never train
anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.drawing import drawing
from wm_mpc.training.readout import explained_by_state
from wm_mpc.training.replay import encode_all

_FEWEST_WINDOWS = 8  # fewer do not allow a measurement


def diagnostics(
    model: WorldModel, recording: Recording, episodes: np.ndarray, horizon: int, seed: int = 0
) -> dict[str, Any]:
    """Measure a model on held-out episodes.

    Args:
        model: The model.
        recording: The recorded episodes.
        episodes: Positions of episodes on which the model was not trained.
        horizon: Model steps to predict; fewer if the episodes are shorter.
        seed: Seed of the random choice of windows.

    Returns:
        Measures by name; empty if no episode is long enough. `open_loop_error`: mean squared
        latent error after 1 to horizon steps. `persistence_error`: the same for predicting no
        change. `effective_rank`: exponential of the entropy of the latents' normalised singular
        values (Roy & Vetterli 2007). `robot_explained`: share of the scene's variance that the
        measured state explains (`readout.explained_by_state`). `actions_explain`: share of the
        open-loop error that is due to the actions, 1 - error / error with the actions of other
        windows. Those of `drawing.drawing`. With recorded poses also
        `probe_r2`: R^2 of a linear read-out of each pose entry, and `rank_correlation`:
        Spearman's, of latent and true distances between two frames of an episode.
    """
    rng = np.random.default_rng(seed)
    past = model.spec.history
    steps = past - 1 + horizon
    while len(starts := recording.window_starts(steps, episodes)) < _FEWEST_WINDOWS:
        steps -= 1
        if steps < past:
            return {}
    chosen = np.sort(rng.choice(starts, min(512, len(starts)), replace=False))
    frames, actions = recording.window(chosen, steps)
    flat = frames.reshape(-1)
    latents = encode_all(model, recording.images[flat], recording.states[flat])
    latents = latents.view(*frames.shape, -1)
    predicted = predict(model, latents[:, :past], actions)
    error = (predicted - latents[:, past:]).square().mean((0, 2))
    still = (latents[:, past - 1 : past] - latents[:, past:]).square().mean((0, 2))
    swapped = predict(model, latents[:, :past], np.roll(actions, len(actions) // 2, 0))
    other = (swapped - latents[:, past:]).square().mean()
    result: dict[str, Any] = {
        "open_loop_error": rounded(error),
        "persistence_error": rounded(still),
        "effective_rank": round(effective_rank(latents.flatten(0, 1)), 2),
        "robot_explained": round(robot_explained(model, latents.flatten(0, 1)), 4),
        "actions_explain": round(1.0 - float(error.mean() / other.clamp_min(1e-12)), 4),
        **drawing(model, recording, episodes, seed),
    }
    if recording.poses is not None:
        scene = model.split(latents)[0].numpy()
        pose = recording.poses[frames]
        # Rows are sorted by time: the probe is fitted to some episodes and measured on later ones.
        features, targets = scene.reshape(len(flat), -1), pose.reshape(len(flat), -1)
        result["probe_r2"] = rounded(probe(features, targets))
        # A window's first and last frame are from one episode, like a planner's scene and goal.
        latent_distance = np.linalg.norm(scene[:, 0] - scene[:, -1], axis=-1)
        true_distance = np.linalg.norm(pose[:, 0] - pose[:, -1], axis=-1)
        result["rank_correlation"] = round(rank_correlation(latent_distance, true_distance), 4)
    return result


@torch.no_grad()
def predict(model: WorldModel, history: Tensor, actions: np.ndarray) -> Tensor:
    """Predict latents open loop.

    Args:
        model: The model.
        history: (batch, history, latent size).
        actions: (batch, history - 1 + steps, block size), normalised.

    Returns:
        (batch, steps, latent size).
    """
    past = history.shape[1] - 1
    blocks = torch.from_numpy(actions)
    return model.rollout(model.start(history, blocks[:, :past]), blocks[:, past:])


def probe(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fit linear least squares to two thirds of the rows and measure it on the last third.

    Args:
        features: (rows, features).
        targets: (rows, targets).

    Returns:
        R^2 of each target, at most 1.
    """
    inputs = np.concatenate([features, np.ones((len(features), 1))], 1)
    cut = 2 * len(inputs) // 3
    weights = np.linalg.lstsq(inputs[:cut], targets[:cut], rcond=None)[0]
    residual = targets[cut:] - inputs[cut:] @ weights
    return 1.0 - residual.var(0) / targets[cut:].var(0)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation.

    Args:
        first: (n,).
        second: (n,).

    Returns:
        -1 to 1.
    """
    ranks = np.stack([np.argsort(np.argsort(values)) for values in (first, second)])
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def robot_explained(model: WorldModel, latents: Tensor) -> float:
    """Return R^2 of the scene from the robot state, over all dimensions weighted by variance.

    Args:
        model: The model.
        latents: (frames, latent size).

    Returns:
        0 to 1.
    """
    spread = model.split(latents)[0].var(0, correction=0)
    total = (explained_by_state(model, latents) * spread).sum() / spread.sum().clamp_min(1e-9)
    return float(total)


def effective_rank(latents: Tensor) -> float:
    """Return the effective rank (Roy & Vetterli 2007).

    Args:
        latents: (frames, latent size).

    Returns:
        1 to latent size.
    """
    singular = torch.linalg.svdvals(latents - latents.mean(0))
    share = singular / singular.sum()
    return float(torch.exp(-(share * torch.log(share + 1e-12)).sum()))


def rounded(values: Any) -> list[float]:
    """Round numbers to four digits.

    Args:
        values: Numbers.
    """
    return [float(f"{float(v):.4g}") for v in values]
