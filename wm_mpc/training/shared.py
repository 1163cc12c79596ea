"""The result of the phases before `dynamics`: saved for other runs, or taken from one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.augmentation import augmented
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import RunDirectory
from wm_mpc.training.replay import encode_all


class SharedRepresentation:
    """A representation with the identity of what it was made from.

    Args:
        files: Directory of this run.
        identity: Everything that decides the outcome.
        donor: Directory of the run to take it from; None: this run trains it.
    """

    def __init__(
        self,
        files: RunDirectory,
        identity: dict[str, Any],
        donor: str | os.PathLike[str] | None,
    ) -> None:
        self._files, self._identity = files, identity
        self._donor = None if donor is None else RunDirectory(donor)

    @property
    def is_taken(self) -> bool:
        """Whether it comes from another run."""
        return self._donor is not None

    def donor_hash(self) -> str | None:
        """Return a short hash of the other run's representation, or None.

        Raises:
            TrainingError: It differs from the one this run would train, is not finished, or is
                damaged.
        """
        return None if self._donor is None else self._donor.representation_hash(self._identity)

    def take(self) -> dict[str, Any]:
        """Return the other run's representation.

        Raises:
            TrainingError: As for `donor_hash`.
        """
        assert self._donor is not None
        return self._donor.load_representation(self._identity)

    def encode(
        self,
        model: WorldModel,
        recording: Recording,
        config: TrainConfig,
        progress: Callable[[int, int], None],
    ) -> Tensor:
        """Return the latents of all recorded frames (frames, latent size). Those of the other run,
        if any, are taken.

        Args:
            model: The model.
            recording: The recorded episodes.
            config: Settings of the run. If its augmentation is on, some frames are disturbed.
            progress: Called with the number of frames done and in all.
        """
        if self._donor is None:
            seed = config.seed_of_representation
            images = augmented(
                recording.images, config.augmentation, seed, recording.spec.image.tiles
            )
            return encode_all(model, images, recording.states, progress)
        latents: Tensor = self.take()["latents"]
        return latents.to(model.state_mean.device)

    def save(
        self,
        model: WorldModel,
        history: list[dict[str, float]],
        seconds: float,
        latents: Tensor | None,
    ) -> None:
        """Save it in the directory of this run.

        Args:
            model: The model.
            history: Reported loss terms so far.
            seconds: Training time so far, s.
            latents: Latents of all recorded frames.
        """
        self._files.save_representation(
            {
                "identity": self._identity, "model": model.state_dict(),
                "history": history, "seconds": seconds, "latents": latents,
            }
        )  # fmt: skip
