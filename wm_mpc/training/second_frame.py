"""Whether a single frame tells what comes next, or the one before it is needed, too.

A thing that rolls on looks the same at any speed. If no state measures its velocity, a model of one
frame can only guess. The same holds for a robot that answers late: what it was told before is still
on its way. A second frame, with the actions since then, tells both. So two simple predictors of
what a finished model of one frame gets wrong are compared on held-out episodes: one sees a frame,
the other two.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.diagnostics import predict
from wm_mpc.training.readout import ridge
from wm_mpc.training.replay import encode_all

HELPS = 0.1  # share of what changes that only a second frame tells; above, it is needed
FEWEST = 100  # windows; fewer do not allow a measurement
_FIT, _MEASURE = 1500, 1000  # most windows
_REPEATS = 3  # the smallest result counts, because chance makes some too large
_FEATURES = 500  # random ones, besides the inputs themselves
_RIDGES = (1e-1, 1.0, 10.0, 100.0)
_CONSTANT = 1e-6  # spread of an input that says nothing
_STILL = 1e-9  # mean squared change of latents in which nothing moves


@dataclasses.dataclass(frozen=True)
class Windows:
    """Three frames in a row, one model step apart.

    Attributes:
        before: Latents of the first frames, float64 (n, latent size).
        present: Latents of the second frames.
        after: Latents of the third frames.
        last: Action blocks between the first and the second ones, normalised, (n, block size).
        now: Action blocks between the second and the third ones.
        predicted: Latents of the third frames, as a model predicts them from `present` and `now`.
    """

    before: Tensor
    present: Tensor
    after: Tensor
    last: Tensor
    now: Tensor
    predicted: Tensor


@torch.no_grad()
def second_frame(
    model: WorldModel, recording: Recording, episodes: np.ndarray, held_out: np.ndarray
) -> dict[str, float]:
    """Measure how much a second frame improves the prediction of the next latent.

    Args:
        model: A finished model on the CPU.
        recording: The recorded episodes.
        episodes: Positions of the episodes to fit to.
        held_out: Positions of the episodes to measure on.

    Returns:
        `second_frame`: the result of `only_second_frame`. Empty if the model has more than one
        frame already, if there are too few windows, or if nothing changes.
    """
    if model.spec.history > 1:
        return {}
    rng = np.random.default_rng(0)
    found = []
    for positions, most in ((episodes, _FIT), (held_out, _MEASURE)):
        starts = recording.window_starts(2, positions)
        if len(starts) < FEWEST:
            return {}
        chosen = np.sort(rng.choice(starts, min(most, len(starts)), replace=False))
        found.append(_windows(model, recording, chosen))
    fit, measured_on = found
    shares = [only_second_frame(fit, measured_on, seed) for seed in range(_REPEATS)]
    measured = [share for share in shares if share is not None]
    return {"second_frame": round(min(measured), 4)} if measured else {}


def only_second_frame(fit: Windows, measured: Windows, seed: int) -> float | None:
    """Return the share of what changes that only a second frame tells.

    The predictors are ridge regressions on random Fourier features (Rahimi & Recht 2007). Latents
    that jitter from frame to frame also gain from a second frame, which averages the jitter. What
    this can bring at most does not count.

    Args:
        fit: Windows to fit to.
        measured: Windows of other episodes, to measure on.
        seed: Seed of the features.

    Returns:
        By how much the second frame lowers the squared error, as a share of the squared change of
        the latents, 0 to 1. None if nothing changes, or a number is not finite.
    """
    moves = measured.after - measured.present
    changes = _power(moves)
    wrong = measured.after - measured.predicted
    errors = [_power(wrong), changes]  # a model may be worse than no change
    for inputs in (_one, _two):
        corrected = _fitted(inputs(fit), fit.after - fit.predicted, seed)(inputs(measured))
        errors.append(_power(wrong - corrected))
    if not all(map(math.isfinite, errors)) or changes < _STILL:
        return None
    *without, with_second = errors
    # Jitter makes the change over two steps as large as that over one. Motion makes it larger.
    both = (changes + _power(measured.present - measured.before)) / 2.0
    jitter = max(0.0, both - _power(measured.after - measured.before) / 2.0)
    return max(0.0, min(without) - with_second - jitter) / changes


def second_frame_notes(metrics: Mapping[str, Any], history: int) -> list[str]:
    """Say it if a model of one frame lacks the second one, or if that could not be measured.

    Args:
        metrics: `second_frame`, if it was measured.
        history: Model steps that the model sees.
    """
    if history > 1:
        return []
    share = metrics.get("second_frame")
    if share is None:
        return [
            "whether one frame is enough was not measured: nothing moves, or there are too few "
            f"held-out moments ({FEWEST} are needed)"
        ]
    if share <= HELPS:
        return []
    return [
        f"one frame does not tell what comes next: {share:.0%} of what changes can be predicted "
        "only with a second frame. Something moves on by itself, or the robot answers late; train "
        "with --history 2, or record velocities in the state"
    ]


def _windows(model: WorldModel, recording: Recording, starts: np.ndarray) -> Windows:
    frames, actions = recording.window(starts, 2)
    before, present, after = (
        encode_all(model, recording.images[frames[:, n]], recording.states[frames[:, n]])
        for n in range(3)
    )
    predicted = predict(model, present[:, None], actions[:, 1:])[:, 0]
    last, now = (torch.from_numpy(actions[:, n]) for n in range(2))
    return Windows(*(part.double() for part in (before, present, after, last, now, predicted)))


def _one(windows: Windows) -> Tensor:
    return torch.cat([windows.present, windows.now], 1)


def _two(windows: Windows) -> Tensor:
    return torch.cat([_one(windows), windows.present - windows.before, windows.last], 1)


def _power(values: Tensor) -> float:
    return float(values.square().mean())


def _fitted(inputs: Tensor, targets: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """A predictor. Its ridge is the one that is best on the last fifth of the rows."""
    middle, spread = inputs.mean(0), inputs.std(0)
    scale = torch.where(spread > _CONSTANT, 1.0 / spread, 0.0)
    generator = torch.Generator().manual_seed(seed)
    size = inputs.shape[1]
    waves = torch.randn(size, _FEATURES, generator=generator).double() / math.sqrt(size)
    phases = 2.0 * math.pi * torch.rand(_FEATURES, generator=generator).double()

    def features(given: Tensor) -> Tensor:
        scaled = (given - middle) * scale
        waved = torch.cos(scaled @ waves + phases)
        return torch.cat([scaled, waved, scaled.new_ones(len(scaled), 1)], 1)

    rows, cut = features(inputs), 4 * len(inputs) // 5

    def error(strength: float) -> float:
        return _power(rows[cut:] @ ridge(rows[:cut], targets[:cut], strength) - targets[cut:])

    best = ridge(rows, targets, min(_RIDGES, key=error))
    return lambda given: features(given) @ best
