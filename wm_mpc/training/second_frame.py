"""Whether a single frame tells what comes next, or the one before it is needed, too.

A thing that rolls on looks the same at any speed. If no state measures its velocity, a model of one
frame can only guess. The same holds for a robot that answers late: what it was told before is still
on its way. A second frame, with the actions since then, tells both. So a simple predictor is fitted
twice to finished latents, from one frame and from two, and measured on held-out episodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording

HELPS = 0.1  # share of what changes that only a second frame tells; above, it is needed
_FIT, _MEASURE = 4000, 1000  # most windows
_FEWEST = 100  # windows; fewer do not allow a measurement
_FEATURES = 500  # random ones, besides the inputs themselves
_RIDGES = (1e-1, 1.0, 10.0, 100.0)
_STILL = 1e-9  # mean squared change of latents in which nothing moves


@torch.no_grad()
def second_frame(
    recording: Recording, latents: Tensor, episodes: np.ndarray, held_out: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """Measure how much a second frame improves the prediction of the next latent.

    The predictor is a ridge regression on random Fourier features (Rahimi & Recht 2007).

    Args:
        recording: The recorded episodes.
        latents: Latents of all recorded frames, (frames, latent size).
        episodes: Positions of the episodes to fit to.
        held_out: Positions of the episodes to measure on.
        seed: Seed of the random choices.

    Returns:
        `second_frame`: by how much a second frame lowers the squared error on held-out episodes, as
        a share of the squared change of the latents; 0 to 1. Empty if there are too few windows, or
        if nothing changes.
    """
    rng = np.random.default_rng(seed)
    found = []
    for positions, most in ((episodes, _FIT), (held_out, _MEASURE)):
        starts = recording.window_starts(2, positions)
        if len(starts) < _FEWEST:
            return {}
        chosen = rng.choice(starts, min(most, len(starts)), replace=False)
        found.append(_window(recording, latents.cpu().double(), chosen))
    (fit_one, fit_two, fit_moves), (one, two, moves) = found
    errors = [
        float((_fitted(inputs, fit_moves, seed)(given) - moves).square().mean())
        for inputs, given in ((fit_one, one), (fit_two, two))
    ]
    changes = float(moves.square().mean())
    if changes < _STILL:
        return {}
    without = min(errors[0], changes)  # predicting no change is always possible
    return {"second_frame": round(max(0.0, without - errors[1]) / changes, 4)}


def second_frame_notes(metrics: dict[str, Any], history: int) -> list[str]:
    """Say it if a model of one frame lacks the second one.

    Args:
        metrics: `second_frame`, if it was measured.
        history: Model steps that the model sees.
    """
    share = metrics.get("second_frame", 0.0)
    if share <= HELPS or history > 1:
        return []
    return [
        f"one frame does not tell what comes next: {share:.0%} of what changes can be predicted "
        "only with a second frame. Something moves on by itself, or the robot answers late; train "
        "with --history 2, or record velocities in the state"
    ]


def _window(
    recording: Recording, latents: Tensor, starts: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs from one frame and from two, and the change of the latent that follows."""
    frames, actions = recording.window(starts, 2)
    before, present, after = (latents[frames[:, number]] for number in range(3))
    last, now = (torch.from_numpy(actions[:, number]).double() for number in range(2))
    one = torch.cat([present, now], 1)
    return one, torch.cat([one, present - before, last], 1), after - present


def _fitted(inputs: Tensor, targets: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """A predictor. Its ridge is the one that is best on the last fifth of the rows."""
    middle, spread = inputs.mean(0), inputs.std(0) + 1e-6
    generator = torch.Generator().manual_seed(seed)
    size = inputs.shape[1]
    waves = torch.randn(size, _FEATURES, generator=generator).double() / math.sqrt(size)
    phases = 2.0 * math.pi * torch.rand(_FEATURES, generator=generator).double()

    def features(given: Tensor) -> Tensor:
        scaled = (given - middle) / spread
        return torch.cat(
            [scaled, torch.cos(scaled @ waves + phases), scaled.new_ones(len(scaled), 1)], 1
        )

    rows, cut = features(inputs), 4 * len(inputs) // 5

    def weights(ridge: float, count: int) -> Tensor:
        gram = rows[:count].T @ rows[:count]
        return torch.linalg.solve(
            gram + ridge * torch.eye(len(gram), dtype=gram.dtype), rows[:count].T @ targets[:count]
        )

    def error(ridge: float) -> float:
        return float((rows[cut:] @ weights(ridge, cut) - targets[cut:]).square().mean())

    best = weights(min(_RIDGES, key=error), len(rows))
    return lambda given: features(given) @ best
