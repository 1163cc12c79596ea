"""What a method of data synthesis is: settings, and a function that makes data where plans go.

There are two kinds. Rollouts are executed in the simulator and join the recorded ones. A
perturbation changes the inputs of an update; what comes next must still be predicted. `registry.py`
names the methods.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.workers import Workers


@dataclasses.dataclass(frozen=True)
class Rollouts:
    """Executed rollouts.

    Attributes:
        images: uint8 (count, steps + 1, height, width, 3).
        states: float32 (count, steps + 1, state size).
        actions: float32 (count, steps, block size), normalised.
    """

    images: np.ndarray
    states: np.ndarray
    actions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Material:
    """What a round of rollouts is made from.

    Attributes:
        recording: The dataset.
        episodes: Numbers of those episodes to start from.
        history: Model steps that the dynamics sees, up to the present one. A rollout must be at
            least as long.
        seed: Of the training. With `update`, and a number that no other method uses, it seeds all
            random numbers: a continued training then makes the same data.
        update: Of the dynamics, before which the round is made; 0: before all updates.
        model: Makes a copy of the model as it is then, on the CPU.
        workers: Simulators.
        progress: Is called with the number of rollouts that were made since the last call.
    """

    recording: Recording
    episodes: np.ndarray
    history: int
    seed: int
    update: int
    model: Callable[[], WorldModel]
    workers: Workers
    progress: Callable[[int], None]


def _once(config: Any) -> int:
    return 0


def _no_complaint(config: Any, history: int) -> str:
    return ""


@dataclasses.dataclass(frozen=True)
class RolloutMethod:
    """A method that executes something in the simulator. All functions get its settings first.

    Attributes:
        config: Dataclass of its settings, whose defaults are accepted.
        make: One round.
        count: Rollouts of a round, at most.
        steps: Model steps of each.
        every: Updates between two rounds; 0: one round, before the first update.
        complaint: Why a model with so many steps of history cannot learn from it; "" if it can.
        by_default: Whether a training uses it that does not name its methods.
    """

    config: type
    make: Callable[[Any, Material], Rollouts]
    count: Callable[[Any], int]
    steps: Callable[[Any], int]
    every: Callable[[Any], int] = _once
    complaint: Callable[[Any, int], str] = _no_complaint
    by_default: bool = False


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """A method that changes the one-step windows of an update.

    Attributes:
        config: Dataclass of its settings, whose defaults are accepted.
        perturb: From a model, latents (batch, history + 1, latent size), the last of which are the
            targets, action blocks (batch, history, block size), the settings and a generator of
            random numbers: changed latents and actions of the same shapes, with the same targets.
        by_default: Whether a training uses it that does not name its methods.
    """

    config: type
    perturb: Callable[[WorldModel, Tensor, Tensor, Any, torch.Generator], tuple[Tensor, Tensor]]
    by_default: bool = False


Method = RolloutMethod | Perturbation
