"""Checkpoints of a training that has not finished yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wm_mpc.data.episodes import Recording
from wm_mpc.model.checkpoint import save_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.calibration import Gauge

_MOMENTS = 1024  # takes some seconds, once per run; a finished model uses more


class UnfinishedCheckpoints:
    """Writes checkpoints with the familiarity, without which `mpc` cannot detect surprise.

    Args:
        recording: The recorded episodes.
        episodes: Positions of the held-out episodes.
        directory: Directory of the run.
    """

    def __init__(self, recording: Recording, episodes: np.ndarray, directory: Path) -> None:
        self._recording, self._episodes = recording, episodes
        self._path = directory / f"{recording.spec.task}.safetensors"
        self._gauge: Gauge | None = None

    def write(self, model: WorldModel, provenance: dict[str, Any]) -> Path:
        """Measure a model and write its checkpoint.

        Args:
            model: The model; its encoder and decoder must be those of the first call.
            provenance: How the model was made.

        Returns:
            Path of the checkpoint.
        """
        if self._gauge is None:  # encoder and decoder are finished
            self._gauge = Gauge(model, self._recording, self._episodes, most=_MOMENTS)
        model.familiarity = self._gauge.measure(model)
        save_checkpoint(model, self._path, provenance)
        return self._path
