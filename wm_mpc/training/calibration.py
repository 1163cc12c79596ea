"""Measures how wrong a trained world model usually is: `model/familiarity.py` says what for.

Every checkpoint carries these numbers, those of an unfinished training too. What depends on the
encoder and decoder is therefore measured once and kept (`Gauge`); a dynamics that is still being
trained then costs one prediction.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.familiarity import ENOUGH, Familiarity, image_error, prediction_error
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.diagnostics import predict
from wm_mpc.training.replay import encode_all

_MOST = 4096  # moments to look at
_QUANTILE = 0.99
_MOVED = 0.1  # of the largest distance covered in a step: less is standing still
# Smaller errors are those of a picture that never changes, or of a robot that never moves: against
# them, everything would be a surprise.
_LEAST_PREDICTION = 1e-3  # of the spread of latents
_LEAST_IMAGE = 0.5 / 255  # half a grey level


class Gauge:
    """Held-out moments of a recording, as a model with a finished encoder and decoder sees them.

    Never changes the model. Moments are windows of the model's history and one model step.
    """

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        episodes: np.ndarray,
        *,
        seed: int = 0,
        most: int = _MOST,
    ) -> None:
        """episodes: numbers of those that the model was not trained on. most: moments to look at,
        drawn at random."""
        past = model.spec.history
        starts = recording.window_starts(past, episodes)
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(starts, min(most, len(starts)), replace=False))
        self.moments = len(chosen)
        if not self.moments:
            return
        frames, self._actions = recording.window(chosen, past)
        flat = frames.reshape(-1)
        latents = encode_all(model, recording.images[flat], recording.states[flat])
        self._latents = latents.view(*frames.shape, -1)
        seen = self._latents[:, -1]
        drawn = [
            image_error(model, torch.from_numpy(np.array(recording.images[part])), seen[some])
            for some in torch.arange(len(seen)).split(256)
            for part in [frames[some.numpy(), -1]]
        ]
        self._image = _usual(torch.cat(drawn))
        self._data = recording.dataset.content_hash()

    @torch.no_grad()
    def measure(self, model: WorldModel, *, checkpoint: str = "") -> Familiarity | None:
        """Of a model that differs from the first one at most in its dynamics and embedding. None
        without any moment, and where an error is not finite. checkpoint: see `Familiarity`."""
        if not self.moments:
            return None
        past = model.spec.history
        seen = self._latents[:, -1]
        error = prediction_error(
            predict(model, self._latents[:, :past], self._actions)[:, -1], seen
        )
        step = (model.embed(seen) - model.embed(self._latents[:, -2])).square().sum(-1).sqrt()
        moved = step[step > _MOVED * step.max()]
        usual, covered = _usual(error), float(moved.median()) if len(moved) else 0.0
        if not all(map(math.isfinite, (usual, self._image, covered))):
            return None
        return Familiarity(
            prediction=max(usual, _LEAST_PREDICTION),
            image=max(self._image, _LEAST_IMAGE),
            step=covered,
            moments=self.moments,
            data=self._data,
            checkpoint=checkpoint,
        )


def _usual(errors: Tensor) -> float:
    """What 99 of 100 errors (moments,) stay below. Fewer than a hundred do not tell: then the
    largest one, and up to twice as much, the fewer there are. NaN where one is not finite."""
    if not torch.isfinite(errors).all():
        return math.nan
    if len(errors) >= ENOUGH:
        return float(errors.quantile(_QUANTILE))
    return float(errors.max()) * (2.0 - len(errors) / ENOUGH)


def measure_familiarity(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    *,
    seed: int = 0,
    checkpoint: str = "",
) -> Familiarity | None:
    """On episodes, by number, that the model was not trained on; None when none of them holds the
    model's history and a step after it. checkpoint: see `Familiarity`."""
    return Gauge(model, recording, episodes, seed=seed).measure(model, checkpoint=checkpoint)


def renewed_familiarity(
    tuned: WorldModel, before: WorldModel, recording: Recording, episodes: np.ndarray
) -> Familiarity | None:
    """Of a model that was trained further on a recording of its robot: measured on the held-out
    episodes, where these are enough to tell; else that of the model before, if it has any."""
    found = measure_familiarity(tuned, recording, episodes)
    if found is not None and (found.moments >= ENOUGH or before.familiarity is None):
        return found
    return before.familiarity
