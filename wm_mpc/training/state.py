"""The state of a run: what is saved of it, and from which the next run continues."""

from __future__ import annotations

from typing import Any

from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.directory import RunDirectory
from wm_mpc.training.journal import Journal
from wm_mpc.training.optimisation import Optimisation
from wm_mpc.training.schedule import Schedule


class RunState:
    """Model, updates done, reported loss terms, and training time.

    Args:
        files: Directory of the run.
        model: The model, changed in place.
        schedule: Updates of the run.
        journal: Reports of the run.

    Attributes:
        seconds: Training time so far over all resumptions, s.
    """

    def __init__(
        self, files: RunDirectory, model: WorldModel, schedule: Schedule, journal: Journal
    ) -> None:
        self._files, self._model = files, model
        self._schedule, self._journal = schedule, journal
        self._phase: str | None = None
        self._optimisation: dict[str, Any] = {}
        self.seconds = 0.0

    def load(self) -> bool:
        """Continue from what is saved in the directory; whether there is something.

        Raises:
            TrainingError: The file is damaged.
        """
        saved = self._files.load_state()
        if saved is None:
            return False
        self._model.load_state_dict(saved["model"])
        self._schedule.done.update(saved["done"])
        self._journal.history, self.seconds = saved["history"], saved["seconds"]
        self._phase, self._optimisation = saved["phase"], saved["optimisation"]
        return True

    def take(self, representation: dict[str, Any]) -> None:
        """Continue from the representation of a donor.

        Args:
            representation: Result of `SharedRepresentation.take`.
        """
        self._model.load_state_dict(representation["model"])
        self._journal.history = representation["history"]
        self.seconds = representation["seconds"]
        self._schedule.skip_representation()

    def restore(self, phase: str, optimisation: Optimisation) -> None:
        """Give a phase the optimiser's state, if it was under way.

        Args:
            phase: Name of the phase.
            optimisation: Of that phase, changed in place.
        """
        if phase == self._phase:
            optimisation.load_state_dict(self._optimisation)
            self._phase, self._optimisation = None, {}

    def go_on(self, phase: str, start: dict[str, Any]) -> None:
        """Continue from a start of a phase.

        Args:
            phase: Name of the phase.
            start: Result of `Starts.best`.
        """
        self._model.load_state_dict(start["model"])
        self._phase, self._optimisation = phase, start["optimisation"]
        for number, values in start["history"]:
            self._journal.update(phase, number, values)

    def save(self, phase: str, optimisation: Optimisation) -> None:
        """Save the state in the directory.

        Args:
            phase: Name of the phase under way.
            optimisation: Of that phase.
        """
        self._journal.flush()
        self._files.save_state(
            {
                "phase": phase, "done": self._schedule.done, "seconds": self.seconds,
                "history": self._journal.history, "model": self._model.state_dict(),
                "optimisation": optimisation.state_dict(),
            }
        )  # fmt: skip
