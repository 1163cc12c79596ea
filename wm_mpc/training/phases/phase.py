"""What a phase of a training is: it draws the batch of an update, and turns it into loss terms.

The trainer does the rest: the optimiser, the report, and saving and continuing. `registry.py` names
the phases.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor, nn

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.replay import Replay

if TYPE_CHECKING:
    from wm_mpc.training.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class PhaseInputs:
    """What every phase gets.

    Attributes:
        model: The model that is trained; all phases share it.
        recording: The recorded episodes.
        config: Settings of the run.
        episodes: Positions of the training episodes, int64.
        latents: Latents of all recorded frames (frames, latent size); None in the first phase,
            which makes the encoder.
        replays: Synthesised rollouts, for the phase `dynamics`.
        precision: See `Compute`.
    """

    model: WorldModel
    recording: Recording
    config: TrainConfig
    episodes: np.ndarray
    latents: Tensor | None = None
    replays: Sequence[Replay] = ()
    precision: str = "32-true"

    def finished_latents(self) -> Tensor:
        """Return the latents.

        Raises:
            ValueError: There are none yet.
        """
        if self.latents is None:
            raise ValueError("latents is None; they exist from the second phase on")
        return self.latents


class Phase(nn.Module):
    """Trains some weights of a model while all others stay as they are.

    Args:
        inputs: What the phase gets. A subclass that needs more than the model keeps it.

    Attributes:
        name: Name of the phase. Its settings, curves and progress have it too.
        stream: Number of the phase's random numbers. No two phases have the same one.
        settings: Dataclass of its settings, a section of the training settings. It has at
            least `updates` and `rate`, the learning rate. None: the training settings
            `<name>_updates` and `<name>_rate` exist already.
        model: The model.
    """

    name: ClassVar[str]
    stream: ClassVar[int]
    settings: ClassVar[type | None] = None

    def __init__(self, inputs: PhaseInputs) -> None:
        super().__init__()
        self.model = inputs.model
        self.model.requires_grad_(False)
        for weight in self.weights_of(self.model):
            weight.requires_grad_(True)

    @classmethod
    def applies_to(cls, model: WorldModel) -> bool:
        """Whether a model has what this phase trains. Otherwise the phase has no updates.

        Args:
            model: The model.
        """
        return True

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        """Return the weights of a model that this phase trains.

        Args:
            model: The model, or a copy of it.
        """
        raise NotImplementedError

    def trained(self) -> list[nn.Parameter]:
        """Return all weights that this phase trains, also those that are not part of the model."""
        return self.weights_of(self.model)

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Draw what an update sees.

        Args:
            rng: The random numbers of this update. A continued training gets the same ones.

        Returns:
            The arguments of `forward`.
        """
        raise NotImplementedError

    def forward(self, *batch: Any) -> dict[str, Tensor]:
        """Return the loss terms of a batch, by name. Their sum is minimised.

        Args:
            *batch: Result of `batch`, on the model's device.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Do what remains to be done after the last update. By default, nothing."""
