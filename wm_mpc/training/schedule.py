"""The updates of a run: how many each phase has, how many are done, and their random numbers."""

from __future__ import annotations

import numpy as np

from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.phases.registry import PHASES, of_representation


class Schedule:
    """Counts updates.

    Args:
        config: Settings of the run.
        model: The model; a phase that has nothing to train in it has no updates.

    Attributes:
        done: Updates done, by phase.
    """

    def __init__(self, config: TrainConfig, model: WorldModel) -> None:
        self._config = config
        self._totals = {
            name: config.updates_of(name) if phase.applies_to(model) else 0
            for name, phase in PHASES.items()
        }
        self.done = dict.fromkeys(PHASES, 0)

    @property
    def finished(self) -> bool:
        """Whether all updates of all phases are done."""
        return all(map(self.is_done, PHASES))

    @property
    def representation_is_done(self) -> bool:
        """Whether all updates of all phases before `dynamics` are done."""
        return all(map(self.is_done, of_representation()))

    def total(self, phase: str) -> int:
        """Return the number of updates of a phase.

        Args:
            phase: Name of the phase.
        """
        return self._totals[phase]

    def is_done(self, phase: str) -> bool:
        """Whether all updates of a phase are done.

        Args:
            phase: Name of the phase.
        """
        return self.done[phase] >= self._totals[phase]

    def skip_representation(self) -> None:
        """Count all phases before `dynamics` as done."""
        for phase in of_representation():
            self.done[phase] = self._totals[phase]

    def step(self, phase: str, number: int) -> int:
        """Return the number of an update over all phases.

        Args:
            phase: Name of the phase.
            number: Number of the update in its phase.
        """
        names = list(PHASES)
        return number + sum(self._totals[name] for name in names[: names.index(phase)])

    def generator(self, phase: str, number: int, process: int) -> np.random.Generator:
        """Return the random numbers of an update; each process draws its own windows.

        Args:
            phase: Name of the phase.
            number: Number of the update in its phase.
            process: Number of the process.
        """
        config = self._config
        shared = phase in of_representation()
        seed = config.seed_of_representation if shared else config.seed
        return np.random.default_rng([seed, PHASES[phase].stream, number, process])
