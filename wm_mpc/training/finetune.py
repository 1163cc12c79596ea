"""Online world modelling on a real robot: a trained model goes on learning from what happens.

The paper's online method (arXiv 2512.09929) executes plans in a simulator. Here they are those the
robot has executed anyway. Three things are fitted, in this order, each to the one before: where the
camera is (a shift of the scene latent, found by what makes predictions come true), how things look
(the decoder), and how they move (the dynamics, with the losses of `train`). What a robot does under
control is a narrow part of what a planner asks its model about; so the dynamics stay half of what
they were: their weights are averaged with those of before (Wortsman et al., "Robust fine-tuning of
zero-shot models", CVPR 2022).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model import losses
from wm_mpc.model.dynamics import Dynamics
from wm_mpc.model.world_model import WorldModel
from wm_mpc.synthesis.adversarial import AdversarialConfig, perturb
from wm_mpc.training.diagnostics import predict
from wm_mpc.training.phases import images_to_float, mean_image
from wm_mpc.training.replay import encode_all

PARTS = ("dynamics", "all")
Progress = Callable[[str, int, int, dict[str, float]], None]
_HELD_OUT_EACH = 5  # every so many-th episode is never trained on
_SHIFT_UPDATES, _SHIFT_RATE = 200, 0.02
_FEWEST_WINDOWS = 8


class FineTuneError(RuntimeError):
    """There is too little to learn from, or it makes no sense."""


@dataclasses.dataclass(frozen=True)
class FineTuneConfig:
    """parts: `dynamics`, or `all`: the camera's place and the decoder, too. updates, batch, rate,
    horizon: of the dynamics, as in `train`. pictures: updates of the decoder. replay_share: of a
    batch, from the recordings the model was first trained on, where they are given. keep: share of
    the first dynamics' weights in the new ones'. margin: by how much the error on held-out episodes
    may exceed the present model's for the new one to be taken.
    """

    parts: str = "dynamics"
    updates: int = 400
    batch: int = 128
    rate: float = 5e-4
    horizon: int = 4
    pictures: int = 300
    replay_share: float = 0.25
    keep: float = 0.5
    margin: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        if self.parts not in PARTS:
            raise ValueError(f"parts is {self.parts!r}; accepted: {', '.join(PARTS)}")
        for name in ("updates", "batch", "horizon", "pictures"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("replay_share", "keep"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; accepted: 0 to below 1")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Errors on held-out episodes (`held_out_error`) of the present and of the new model."""

    before: float
    after: float
    accepted: bool


def split(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Episodes to learn from and held-out ones, by number; which is which never changes as more
    come. Raises FineTuneError when one of them is empty."""
    held_out = np.array(
        [index % _HELD_OUT_EACH == _HELD_OUT_EACH - 1 for index in recording.indices]
    )
    numbers = np.arange(len(recording.indices))
    if held_out.all() or not held_out.any():
        raise FineTuneError(
            f"there are {len(numbers)} episodes; at least {_HELD_OUT_EACH} are needed, of which "
            "one is held out"
        )
    return numbers[~held_out], numbers[held_out]


def fine_tune(
    model: WorldModel,
    recording: Recording,
    config: FineTuneConfig,
    *,
    first: WorldModel | None = None,
    replay: Recording | None = None,
    progress: Progress = lambda *_: None,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[WorldModel, Comparison]:
    """A new model, and how it compares; the given one stays as it is. recording: of the running
    robot. first: the model before the first round of learning, whose dynamics learn anew in each;
    None: this is the first round. replay: what that was trained on. Raises FineTuneError when there
    is too little, or an update's loss is not finite."""
    learn, held_out = split(recording)
    tuned = copy.deepcopy(model)
    before_all = (model if first is None else first).dynamics
    tuned.dynamics = copy.deepcopy(before_all)
    rng = np.random.default_rng(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.parts == "all":
            _find_camera(tuned, recording, learn, progress)
            _learn_looks(tuned, recording, learn, config, rng, progress, stopped)
        _learn_motion(tuned, recording, learn, replay, config, rng, progress, stopped)
    _average(tuned.dynamics, before_all, config.keep)
    tuned.eval().requires_grad_(False)
    before = held_out_error(model, recording, held_out, config.horizon)
    after = held_out_error(tuned, recording, held_out, config.horizon)
    return tuned, Comparison(before, after, after <= before * (1.0 + config.margin))


@torch.no_grad()
def _average(new: Dynamics, old: Dynamics, share: float) -> None:
    """Make `new` so far `old`."""
    for parameter, before in zip(new.parameters(), old.parameters(), strict=True):
        parameter.lerp_(before, share)


def held_out_error(
    model: WorldModel, recording: Recording, episodes: np.ndarray, horizon: int
) -> float:
    """Mean squared open-loop error over `horizon` model steps, as a share of that of predicting no
    change: so models with latents of their own compare. Raises FineTuneError when the episodes are
    too short."""
    past = model.spec.history
    steps = past - 1 + horizon
    while len(starts := recording.window_starts(steps, episodes)) < _FEWEST_WINDOWS:
        steps -= 1
        if steps < past:
            raise FineTuneError("held-out episodes are too short to compare models on")
    frames, actions = recording.window(starts, steps)
    flat = frames.reshape(-1)
    latents = encode_all(model, recording.images[flat], recording.states[flat])
    latents = latents.view(*frames.shape, -1)
    predicted = predict(model, latents[:, :past], actions)
    error = (predicted - latents[:, past:]).square().mean()
    still = (latents[:, past - 1 : past] - latents[:, past:]).square().mean()
    return float(error / still.clamp_min(1e-9))


def _windows(
    recording: Recording, episodes: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    starts = recording.window_starts(steps, episodes)
    if len(starts) < _FEWEST_WINDOWS:
        raise FineTuneError(
            f"too little to learn from: {len(starts)} windows of {steps} model steps"
        )
    return recording.window(starts, steps)


def _find_camera(
    model: WorldModel, recording: Recording, episodes: np.ndarray, progress: Progress
) -> None:
    """A camera that was moved sees everything shifted. The constant shift of the scene latent that
    makes the present dynamics right is found by descent, and put into the model's map from
    keypoints to the scene."""
    past = model.spec.history
    frames, actions = _windows(recording, episodes, past)
    flat, inverse = np.unique(frames, return_inverse=True)
    latents = encode_all(model, recording.images[flat], recording.states[flat])
    windows = latents[torch.from_numpy(inverse.reshape(frames.shape))]
    blocks = torch.from_numpy(actions)
    shift = torch.zeros(model.latent_size, requires_grad=True)
    mask = torch.zeros(model.latent_size)
    mask[: model.scene_size] = 1.0
    optimizer = torch.optim.Adam([shift], _SHIFT_RATE)
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


def _learn_looks(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    config: FineTuneConfig,
    rng: np.random.Generator,
    progress: Progress,
    stopped: Callable[[], bool],
) -> None:
    """The decoder anew: what stands still looks otherwise from elsewhere."""
    frames = np.flatnonzero(np.isin(recording.episode_of, episodes))
    mean = mean_image(recording, episodes, config.seed)
    with torch.no_grad():
        model.decoder.background.copy_(mean)
    model.requires_grad_(False)
    weights = list(model.decoder.parameters())
    for parameter in weights:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(weights, 1e-3)
    latents = encode_all(model, recording.images, recording.states)
    for number in range(config.pictures):
        if stopped():
            return
        chosen = np.sort(rng.choice(frames, min(32, len(frames)), replace=False))
        image = images_to_float(torch.from_numpy(np.array(recording.images[chosen])))
        weight = losses.moving_pixel_weight(image, mean, 20.0)
        loss = losses.reconstruction(model, latents[torch.from_numpy(chosen)], image, weight)
        _descend(optimizer, 100.0 * loss, weights)
        progress("pictures", number + 1, config.pictures, {"reconstruction": 100.0 * loss.item()})


def _learn_motion(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    replay: Recording | None,
    config: FineTuneConfig,
    rng: np.random.Generator,
    progress: Progress,
    stopped: Callable[[], bool],
) -> None:
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
    optimizer = torch.optim.AdamW(weights, config.rate, weight_decay=1e-4)
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
    """Windows of latents from some episodes; encoded once."""

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
