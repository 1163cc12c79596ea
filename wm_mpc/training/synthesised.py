"""The synthesised data of a run: made when due, and loaded after a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.workers import Workers
from wm_mpc.synthesis.method import Material, Rollouts
from wm_mpc.synthesis.registry import rollout_methods
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.replay import Replay

if TYPE_CHECKING:
    from wm_mpc.training.compute import Processes

Progress = Callable[[str, int, int], None]


class SynthesisedData:
    """Rollouts of each synthesis method that makes some.

    Args:
        fabric: The processes. The first one makes the rollouts for all.
        model: The model that encodes.
        recording: The recorded episodes.
        config: Settings of the run.
        episodes: Positions of the episodes at which rollouts start.
        directory: Directory of the run.
        workers: Simulators.
        progress: Called with stage, rollouts done and rollouts in all.

    Attributes:
        replays: Rollouts by name of the method.
    """

    def __init__(
        self,
        fabric: Processes,
        model: WorldModel,
        recording: Recording,
        config: TrainConfig,
        episodes: np.ndarray,
        directory: Path,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self._fabric, self._methods = fabric, rollout_methods()
        self.replays = {name: Replay(model, directory) for name in self._methods}
        self._history = model.spec.history
        self._recording, self._config, self._episodes = recording, config, episodes
        self._workers, self._progress = workers, progress

    def begin(self, model: Callable[[], WorldModel]) -> None:
        """Add the rounds of those methods that have one only.

        Args:
            model: Makes a copy of the model. It is called only for rounds that were not made
                before.
        """
        with self._fabric.rank_zero_first():
            for name in self._wanted():
                if not self._every(name):
                    self._add(f"{name}_rollouts", name, 0, model)

    def add(self, update: int, model: Callable[[], WorldModel]) -> None:
        """Add the rounds of an update, if any.

        Args:
            update: Number of the update.
            model: As for `begin`.
        """
        due = [name for name in self._wanted() if self._is_due(name, update)]
        if due:
            with self._fabric.rank_zero_first():
                for name in due:
                    self._add(f"{name}_rollouts_{update}", name, update, model)

    def _wanted(self) -> list[str]:
        return [name for name in self._methods if name in self._config.synthesis]

    def _every(self, name: str) -> int:
        return self._methods[name].every(self._config.method(name))

    def _is_due(self, name: str, update: int) -> bool:
        every = self._every(name)
        return every > 0 and update > 0 and update % every == 0

    def _add(self, file: str, name: str, update: int, model: Callable[[], WorldModel]) -> None:
        method, config = self._methods[name], self._config.method(name)

        def make() -> Rollouts:
            material = Material(
                self._recording,
                self._episodes,
                self._history,
                self._config.seed,
                update,
                model,
                self._workers,
                self._counter(f"{name} rollouts", method.count(config)),
            )
            return method.make(config, material)

        self.replays[name].add(file, make)

    def _counter(self, stage: str, total: int) -> Callable[[int], None]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self._progress(stage, done, total)

        return advance
