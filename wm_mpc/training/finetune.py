"""Online world modelling on a real robot: a trained model keeps learning from what happens.

The paper's online method (arXiv 2512.09929) executes plans in a simulator. Here, the robot has
already executed them. Three parts are fitted one after another, each on top of the last: the place
of the camera (a shift of the scene latent that makes predictions correct), the looks (the
decoder), and the motion (the dynamics, with the losses of `train`). Controlled motion covers only
a small part of what a planner asks its model. So the new dynamics are averaged with the first ones
(Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). With `architecture.encoder:
map`, the place of the camera is not fitted.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from wm_mpc.data.episodes import Recording
from wm_mpc.model.dynamics import Dynamics
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.diagnostics import predict
from wm_mpc.training.finetune_config import (
    FEWEST_WINDOWS,
    PARTS,
    FineTuneConfig,
    FineTuneError,
    Progress,
)
from wm_mpc.training.finetune_parts import find_camera, learn_looks, learn_motion
from wm_mpc.training.replay import encode_all

__all__ = [
    "PARTS",
    "Comparison",
    "FineTuneConfig",
    "FineTuneError",
    "fine_tune",
    "held_out_error",
    "split",
]

_HELD_OUT_EACH = 5  # one episode out of so many is held out


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Held-out errors (`held_out_error`) before and after fine-tuning.

    Attributes:
        before: Error of the current model.
        after: Error of the new model.
        accepted: Whether to use the new model.
    """

    before: float
    after: float
    accepted: bool


def split(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Split episodes into those to learn from and held-out ones. An episode never changes sides as
    more arrive.

    Args:
        recording: The recorded episodes.

    Returns:
        Positions of both, int64.

    Raises:
        FineTuneError: One of them is empty.
    """
    held_out = np.array(
        [index % _HELD_OUT_EACH == _HELD_OUT_EACH - 1 for index in recording.indices]
    )
    numbers = np.arange(len(recording.indices))
    if held_out.all() or not held_out.any():
        raise FineTuneError(
            f"there are {len(numbers)} episodes; at least {_HELD_OUT_EACH} are needed, one of them "
            "held out"
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
    """Train a copy of a model on the running robot's episodes.

    Args:
        model: The current model; stays unchanged.
        recording: Episodes of the running robot.
        config: Settings.
        first: The model before the first round of learning, with whose dynamics each round starts;
            None: this is the first round.
        replay: The recordings on which the first model was trained.
        progress: Called with stage, done, total and loss terms.
        stopped: Ends the training early when it returns true.

    Returns:
        The new model, and its comparison with the current one.

    Raises:
        FineTuneError: The data are too few, or a loss is not finite.
    """
    learn, held_out = split(recording)
    tuned = copy.deepcopy(model)
    before_all = (model if first is None else first).dynamics
    tuned.dynamics = copy.deepcopy(before_all)
    rng = np.random.default_rng(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.parts == "all":
            if tuned.architecture.encoder != "map":  # a code of maps has no place in the picture
                find_camera(tuned, recording, learn, progress)
            learn_looks(tuned, recording, learn, config, rng, progress, stopped)
        learn_motion(tuned, recording, learn, replay, config, rng, progress, stopped)
    _average(tuned.dynamics, before_all, config.keep)
    tuned.eval().requires_grad_(False)
    before = held_out_error(model, recording, held_out, config.horizon)
    after = held_out_error(tuned, recording, held_out, config.horizon)
    return tuned, Comparison(before, after, after <= before * (1.0 + config.margin))


@torch.no_grad()
def _average(new: Dynamics, old: Dynamics, share: float) -> None:
    """Move `new` towards `old` by `share`."""
    for parameter, before in zip(new.parameters(), old.parameters(), strict=True):
        parameter.lerp_(before, share)


def held_out_error(
    model: WorldModel, recording: Recording, episodes: np.ndarray, horizon: int
) -> float:
    """Return the open-loop error of a model relative to predicting no change.

    The ratio makes models with different latents comparable.

    Args:
        model: The model.
        recording: The recorded episodes.
        episodes: Positions of the episodes to use.
        horizon: Model steps to predict.

    Returns:
        Ratio of mean squared latent errors.

    Raises:
        FineTuneError: The episodes are too short.
    """
    past = model.spec.history
    steps = past - 1 + horizon
    while len(starts := recording.window_starts(steps, episodes)) < FEWEST_WINDOWS:
        steps -= 1
        if steps < past:
            raise FineTuneError(
                f"the held-out episodes are too short to compare models: they have fewer than "
                f"{FEWEST_WINDOWS} windows of {past} model steps"
            )
    frames, actions = recording.window(starts, steps)
    flat = frames.reshape(-1)
    latents = encode_all(model, recording.images[flat], recording.states[flat])
    latents = latents.view(*frames.shape, -1)
    predicted = predict(model, latents[:, :past], actions)
    error = (predicted - latents[:, past:]).square().mean()
    still = (latents[:, past - 1 : past] - latents[:, past:]).square().mean()
    return float(error / still.clamp_min(1e-9))
