"""What a trained world model is worth before it plans: diagnostics and pictures of a run.

True poses are used here and only here (linear probe, rank correlation); they never train anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.replay import encode_all

matplotlib.use("Agg")
from matplotlib import pyplot


def diagnostics(
    model: WorldModel, recording: Recording, episodes: np.ndarray, horizon: int, seed: int = 0
) -> dict[str, Any]:
    """Measured on episodes the model was not trained on.

    open_loop_error: mean squared latent error after 1..horizon steps; persistence_error: the same
    for predicting no change; effective_rank: exponential of the entropy of the latent's normalised
    singular values (Roy & Vetterli 2007). With recorded true poses also probe_r2 (linear read-out
    of each pose entry from the scene latent) and rank_correlation (Spearman, of latent with true
    distance of two frames of one episode). Empty when no episode is long enough.
    """
    rng = np.random.default_rng(seed)
    past = recording.spec.history
    steps = past - 1 + horizon
    starts = recording.window_starts(steps, episodes)
    if len(starts) == 0:
        return {}
    chosen = np.sort(rng.choice(starts, min(512, len(starts)), replace=False))
    frames, actions = recording.window(chosen, steps)
    flat = frames.reshape(-1)
    latents = encode_all(model, recording.images[flat], recording.states[flat])
    latents = latents.view(*frames.shape, -1)
    predicted = predict(model, latents[:, :past], actions)
    error = (predicted - latents[:, past:]).square().mean((0, 2))
    still = (latents[:, past - 1 : past] - latents[:, past:]).square().mean((0, 2))
    result: dict[str, Any] = {
        "open_loop_error": _rounded(error),
        "persistence_error": _rounded(still),
        "effective_rank": round(effective_rank(latents.flatten(0, 1)), 2),
    }
    if recording.poses is not None:
        scene = model.split(latents)[0].numpy()
        pose = recording.poses[frames]
        # Sorted by time: the probe is fitted on some episodes and measured on later ones.
        features, targets = scene.reshape(len(flat), -1), pose.reshape(len(flat), -1)
        result["probe_r2"] = _rounded(probe(features, targets))
        # the windows' first and last frames are of one episode: the goal a planner compares with
        latent_distance = np.linalg.norm(scene[:, 0] - scene[:, -1], axis=-1)
        true_distance = np.linalg.norm(pose[:, 0] - pose[:, -1], axis=-1)
        result["rank_correlation"] = round(rank_correlation(latent_distance, true_distance), 4)
    return result


@torch.no_grad()
def predict(model: WorldModel, history: Tensor, actions: np.ndarray) -> Tensor:
    """Open-loop latents (batch, steps, latent size) after a history (batch, history, latent size);
    actions (batch, history - 1 + steps, block size), normalised."""
    past = history.shape[1] - 1
    blocks = torch.from_numpy(actions)
    return model.rollout(model.start(history, blocks[:, :past]), blocks[:, past:])


def probe(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """R^2 of linear least squares, fitted on two thirds and measured on the last third."""
    inputs = np.concatenate([features, np.ones((len(features), 1))], 1)
    cut = 2 * len(inputs) // 3
    weights = np.linalg.lstsq(inputs[:cut], targets[:cut], rcond=None)[0]
    residual = targets[cut:] - inputs[cut:] @ weights
    return 1.0 - residual.var(0) / targets[cut:].var(0)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two 1-D arrays."""
    ranks = np.stack([np.argsort(np.argsort(values)) for values in (first, second)])
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def effective_rank(latents: Tensor) -> float:
    singular = torch.linalg.svdvals(latents - latents.mean(0))
    share = singular / singular.sum()
    return float(torch.exp(-(share * torch.log(share + 1e-12)).sum()))


def _rounded(values: Any) -> list[float]:
    return [float(f"{float(v):.4g}") for v in values]


def draw_report(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    history: list[dict[str, float]],
    metrics: dict[str, Any],
    path: Path,
    horizon: int,
) -> None:
    """One PNG a person looks at: loss curves, open-loop errors, predicted against true frames."""
    figure = pyplot.figure(figsize=(14, 11), constrained_layout=True)
    halves: Any = figure.subfigures(2, 1, height_ratios=[1, 2])
    upper, lower = halves
    axes = upper.subplots(1, 3)
    for phase, name in enumerate(("representation", "dynamics")):
        rows = [row for row in history if row["phase"] == phase]
        for term in sorted({key for row in rows for key in row} - {"phase", "update"}):
            values = [(row["update"], row[term]) for row in rows if term in row]
            axes[phase].plot(*zip(*values, strict=True), label=term, linewidth=0.9)
        axes[phase].set(title=f"{name}: training loss", xlabel="update", yscale="log")
        axes[phase].legend()
    if metrics:
        steps = np.arange(1, len(metrics["open_loop_error"]) + 1)
        axes[2].plot(steps, metrics["open_loop_error"], "o-", label="model, open loop")
        axes[2].plot(steps, metrics["persistence_error"], "s--", label="persistence (no change)")
        axes[2].set(title="held-out latent error", xlabel="model steps ahead", yscale="log")
        axes[2].legend()
    _draw_frames(lower, model, recording, episodes, horizon)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def _draw_frames(
    figure: Any, model: WorldModel, recording: Recording, episodes: np.ndarray, horizon: int
) -> None:
    past = recording.spec.history
    starts = recording.window_starts(past - 1 + horizon, episodes)
    if len(starts) == 0:
        return
    chosen = np.random.default_rng(1).choice(starts, min(3, len(starts)), replace=False)
    frames, actions = recording.window(chosen, past - 1 + horizon)
    axes = figure.subplots(2 * len(frames), horizon + 1, squeeze=False)
    for row, (numbers, blocks) in enumerate(zip(frames, actions, strict=True)):
        images = recording.images[numbers]
        history = encode_all(model, images[:past], recording.states[numbers[:past]])
        latents = predict(model, history[None], blocks[None])[0]
        with torch.no_grad():
            drawn = model.decode(torch.cat([history[-1:], latents])).clamp(0, 1)
        for column in range(horizon + 1):
            axes[2 * row][column].imshow(images[past - 1 + column])
            axes[2 * row + 1][column].imshow(drawn[column].permute(1, 2, 0).numpy())
        axes[2 * row][0].set_ylabel("true")
        axes[2 * row + 1][0].set_ylabel("predicted")
    for column, axis in enumerate(axes[0]):
        axis.set_title(f"+{column} steps" if column else "start")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
