"""The result of the phases before `dynamics`: saved for other runs, or taken from a donor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.augmentation import augmented
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import RunDirectory
from wm_mpc.training.donor import Donor
from wm_mpc.training.replay import encode_all


class SharedRepresentation:
    """A representation with the identity of what it was made from.

    Args:
        files: Directory of this run.
        identity: Everything that decides the outcome.
        donor: Gives it; None: this run trains it.
    """

    def __init__(
        self,
        files: RunDirectory,
        identity: dict[str, Any],
        donor: Donor | None,
    ) -> None:
        self._files, self._identity, self._donor = files, identity, donor

    @property
    def is_taken(self) -> bool:
        """Whether a donor gives it."""
        return self._donor is not None

    def donor_hash(self) -> str | None:
        """Return a short hash of what the donor gives, or None.

        Raises:
            TrainingError: It does not fit this run, is not finished, or is damaged.
        """
        return None if self._donor is None else self._donor.hash()

    def take(self) -> dict[str, Any]:
        """Return what the donor gives; see `Donor.take`.

        Raises:
            TrainingError: As for `donor_hash`.
        """
        assert self._donor is not None
        return self._donor.take()

    def origin(self) -> dict[str, Any] | None:
        """Return what the provenance of the model says of the donor, if anything."""
        return None if self._donor is None else self._donor.origin()

    def encode(
        self,
        model: WorldModel,
        recording: Recording,
        config: TrainConfig,
        progress: Callable[[int, int], None],
    ) -> Tensor:
        """Return the latents of all recorded frames (frames, latent size). Those of the donor, if
        it has any, are taken.

        Args:
            model: The model.
            recording: The recorded episodes.
            config: Settings of the run. If its augmentation is on, some frames are disturbed.
            progress: Called with the number of frames done and in all.
        """
        given: Tensor | None = None if self._donor is None else self.take()["latents"]
        if given is not None:
            return given.to(model.state_mean.device)
        seed = config.seed_of_representation
        images = augmented(recording.images, config.augmentation, seed, recording.spec.image.tiles)
        return encode_all(model, images, recording.states, progress)

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
