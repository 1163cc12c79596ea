"""The three parts of fine-tuning: the place of the camera, the looks, and the motion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model import losses
from wm_mpc.model.world_model import WorldModel
from wm_mpc.synthesis.adversarial import AdversarialConfig, perturb
from wm_mpc.training.finetune_config import FEWEST_WINDOWS, FineTuneConfig, FineTuneError, Progress
from wm_mpc.training.images import images_to_float, mean_image
from wm_mpc.training.optimiser import AdamW
from wm_mpc.training.replay import encode_all

_SHIFT_UPDATES, _SHIFT_RATE = 200, 0.02


def _windows(
    recording: Recording, episodes: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    starts = recording.window_starts(steps, episodes)
    if len(starts) < FEWEST_WINDOWS:
        raise FineTuneError(
            f"too little to learn from: {len(starts)} windows of {steps} model steps"
        )
    return recording.window(starts, steps)


def find_camera(
    model: WorldModel, recording: Recording, episodes: np.ndarray, progress: Progress
) -> None:
    """Find a shift of the camera, and add it to the model's map from keypoints to the scene.

    A moved camera sees everything shifted. The constant shift of the scene latent is the one with
    which the current dynamics predict best.

    Args:
        model: The model, changed in place.
        recording: Episodes of the running robot.
        episodes: Positions of the episodes to learn from.
        progress: Called with stage, done, total and loss terms.

    Raises:
        FineTuneError: The episodes are too few or too short.
    """
    past = model.spec.history
    frames, actions = _windows(recording, episodes, past)
    flat, inverse = np.unique(frames, return_inverse=True)
    latents = encode_all(model, recording.images[flat], recording.states[flat])
    windows = latents[torch.from_numpy(inverse.reshape(frames.shape))]
    blocks = torch.from_numpy(actions)
    shift = torch.zeros(model.latent_size, requires_grad=True)
    mask = torch.zeros(model.latent_size)
    mask[: model.scene_size] = 1.0
    optimizer = AdamW([shift], _SHIFT_RATE, weight_decay=0.0)
    model.requires_grad_(False)
    best, found = np.inf, torch.zeros(model.latent_size)
    for number in range(_SHIFT_UPDATES):
        moved = windows + shift * mask
        carry = model.start(moved[:, :past], blocks[:, : past - 1])
        error = model.rollout(carry, blocks[:, past - 1 :])[:, 0] - moved[:, past]
        loss = error.square().mean()
        if loss.item() < best:
            best, found = loss.item(), (shift * mask).detach().clone()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress("camera", number + 1, _SHIFT_UPDATES, {"one_step": loss.item()})
    model.scene_mean -= found[: model.scene_size] @ model.scene_unmap


def learn_looks(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    config: FineTuneConfig,
    rng: np.random.Generator,
    progress: Progress,
    stopped: Callable[[], bool],
) -> None:
    """Retrain the decoder, because static parts look different from another place.

    Args:
        model: The model, changed in place.
        recording: Episodes of the running robot.
        episodes: Positions of the episodes to learn from.
        config: Settings of fine-tuning.
        rng: Random numbers.
        progress: Called with stage, done, total and loss terms.
        stopped: Ends the training early when it returns true.

    Raises:
        FineTuneError: A loss is not finite.
    """
    frames = np.flatnonzero(np.isin(recording.episode_of, episodes))
    mean = mean_image(recording, episodes, config.seed)
    model.decoder.set_background(mean)
    model.requires_grad_(False)
    weights = list(model.decoder.parameters())
    for parameter in weights:
        parameter.requires_grad_(True)
    optimizer = AdamW(weights, 1e-3)
    latents = encode_all(model, recording.images, recording.states)
    for number in range(config.pictures):
        if stopped():
            return
        chosen = np.sort(rng.choice(frames, min(32, len(frames)), replace=False))
        image = images_to_float(torch.from_numpy(np.array(recording.images[chosen])))
        weight = losses.moving_pixel_weight(image, mean, 20.0, model.spec.image.tiles)
        loss = losses.reconstruction(model, latents[torch.from_numpy(chosen)], image, weight)
        _descend(optimizer, 100.0 * loss, weights)
        progress("pictures", number + 1, config.pictures, {"reconstruction": 100.0 * loss.item()})


def learn_motion(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    replay: Recording | None,
    config: FineTuneConfig,
    rng: np.random.Generator,
    progress: Progress,
    stopped: Callable[[], bool],
) -> None:
    """Train the dynamics further.

    Args:
        model: The model, changed in place.
        recording: Episodes of the running robot.
        episodes: Positions of the episodes to learn from.
        replay: The recordings of the first training, if given.
        config: Settings of fine-tuning.
        rng: Random numbers.
        progress: Called with stage, done, total and loss terms.
        stopped: Ends the training early when it returns true.

    Raises:
        FineTuneError: The episodes are too few, or a loss is not finite.
    """
    history = model.spec.history
    steps = history - 1 + config.horizon
    model.requires_grad_(False)
    sources = [_Source(model, recording, episodes, steps)]
    sizes = [config.batch]
    if replay is not None and config.replay_share > 0.0:
        sources.append(_Source(model, replay, np.arange(len(replay.indices)), steps))
        sizes = [
            round(config.batch * share) for share in (1 - config.replay_share, config.replay_share)
        ]
    weights = list(model.dynamics.parameters())
    for parameter in weights:
        parameter.requires_grad_(True)
    optimizer = AdamW(weights, config.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.updates)
    for number in range(config.updates):
        if stopped():
            return
        drawn = [s.draw(rng, size) for s, size in zip(sources, sizes, strict=True)]
        latents, blocks = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        pairs, single = losses.transitions(latents, blocks, history)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        moved = perturb(model, pairs, single, AdversarialConfig(), generator)
        terms = {
            "one_step": losses.one_step(model, latents, blocks),
            "multi_step": losses.multi_step(model, latents, blocks),
            "adversarial": losses.one_step(model, *moved),
        }
        _descend(optimizer, torch.stack(list(terms.values())).sum(), weights)
        schedule.step()
        values = {name: term.item() for name, term in terms.items()}
        progress("dynamics", number + 1, config.updates, values)


class _Source:
    """Windows of latents from some episodes, encoded once."""

    def __init__(
        self, model: WorldModel, recording: Recording, episodes: np.ndarray, steps: int
    ) -> None:
        self._frames, actions = _windows(recording, episodes, steps)
        self._blocks = torch.from_numpy(actions)
        self._latents = encode_all(model, recording.images, recording.states)

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        chosen = rng.integers(len(self._frames), size=size)
        frames = torch.from_numpy(self._frames[chosen])
        return self._latents[frames], self._blocks[torch.from_numpy(chosen)]


def _descend(optimizer: Any, loss: Tensor, weights: list[Any]) -> None:
    if not torch.isfinite(loss):
        raise FineTuneError(f"the loss is {loss.item()}; try a lower rate")
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
