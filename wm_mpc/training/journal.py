"""What a run reports of its updates: loss terms, TensorBoard curves, progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wm_mpc.training.events import Events
from wm_mpc.training.phases.registry import PHASES
from wm_mpc.training.schedule import Schedule

Progress = Callable[[str, int, int, dict[str, float]], None]


class Journal:
    """Reports to the run directory and to the caller. Only the first of several processes does.

    Args:
        directory: Directory of the run.
        schedule: Updates of the run.
        progress: Called with stage, done, total and loss terms.
        silent: Whether this process reports nothing.

    Attributes:
        history: Reported loss terms, with the number of the phase and of the update.
    """

    def __init__(
        self, directory: Path, schedule: Schedule, progress: Progress, *, silent: bool
    ) -> None:
        self._directory, self._schedule = directory, schedule
        self._progress, self._silent = progress, silent
        self._events = Events(directory)
        self.history: list[dict[str, float]] = []

    def open(self) -> None:
        """Begin where the run continues."""
        self._events = Events(self._directory, sum(self._schedule.done.values()))

    def update(self, phase: str, number: int, values: dict[str, float]) -> None:
        """Report an update.

        Args:
            phase: Name of the phase.
            number: Number of the update in its phase.
            values: Loss terms.
        """
        if not self._silent:
            self.history.append({"phase": list(PHASES).index(phase), "update": number, **values})
            self._events.scalars(phase, self._schedule.step(phase, number), values)
            self._progress(phase, number + 1, self._schedule.total(phase), values)

    def stage(self, stage: str, done: int, total: int) -> None:
        """Report a stage without updates.

        Args:
            stage: Name of the stage.
            done: What is done of it.
            total: What there is to do.
        """
        if not self._silent:
            self._progress(stage, done, total, {})

    def flush(self) -> None:
        """Write pending events to the file."""
        self._events.flush()

    def close(self) -> None:
        """Close the file of events."""
        self._events.close()

    def picture(self, name: str, path: Path) -> None:
        """Add an image file to TensorBoard, after all updates so far.

        Args:
            name: Title of the image.
            path: The file.
        """
        step = sum(self._schedule.done.values())
        events = Events(self._directory, step)
        events.picture(name, path, step)
        events.close()
