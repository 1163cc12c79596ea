"""Measures how wrong a trained world model usually is: `model/familiarity.py` says what for."""

from __future__ import annotations

import numpy as np
import torch

from wm_mpc.data.episodes import Recording
from wm_mpc.model.familiarity import Familiarity, image_error, prediction_error
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.diagnostics import predict
from wm_mpc.training.replay import encode_all

_MOST = 4096  # moments to look at
_FEWEST = 100
_QUANTILE = 0.99
_MOVED = 0.1  # of the largest distance covered in a step: less is standing still


def measure_familiarity(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    *,
    seed: int = 0,
    checkpoint: str = "",
) -> Familiarity | None:
    """On episodes, by number, that the model was not trained on; None when they hold fewer than a
    hundred moments with enough before them. checkpoint: see `Familiarity`."""
    past = model.spec.history
    starts = recording.window_starts(past, episodes)
    if len(starts) < _FEWEST:
        return None
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(starts, min(_MOST, len(starts)), replace=False))
    frames, actions = recording.window(chosen, past)
    flat = frames.reshape(-1)
    latents = encode_all(model, recording.images[flat], recording.states[flat])
    latents = latents.view(*frames.shape, -1)
    seen = latents[:, -1]
    error = prediction_error(predict(model, latents[:, :past], actions)[:, -1], seen)
    drawn = [
        image_error(model, torch.from_numpy(np.array(recording.images[part])), seen[some])
        for some in torch.arange(len(seen)).split(256)
        for part in [frames[some.numpy(), -1]]
    ]
    with torch.no_grad():
        step = (model.embed(seen) - model.embed(latents[:, -2])).square().sum(-1).sqrt()
    moved = step[step > _MOVED * step.max()]
    return Familiarity(
        prediction=max(float(error.quantile(_QUANTILE)), 1e-6),
        image=max(float(torch.cat(drawn).quantile(_QUANTILE)), 1e-6),
        step=float(moved.median()) if len(moved) else 0.0,
        moments=len(chosen),
        data=recording.dataset.content_hash(),
        checkpoint=checkpoint,
    )
