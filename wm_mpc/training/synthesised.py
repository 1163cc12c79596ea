"""The synthesised data of a run: made when due, and loaded after a restart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.workers import Workers
from wm_mpc.synthesis.online import online_rollouts
from wm_mpc.synthesis.random_rollouts import Rollouts, random_rollouts
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.replay import Replay

Progress = Callable[[str, int, int], None]


class SynthesisedData:
    """Rollouts of each synthesis method that makes some.

    Args:
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
        model: WorldModel,
        recording: Recording,
        config: TrainConfig,
        episodes: np.ndarray,
        directory: Path,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self.replays = {name: Replay(model, directory) for name in ("random", "online")}
        self._history = model.spec.history
        self._recording, self._config, self._episodes = recording, config, episodes
        self._workers, self._progress = workers, progress

    def add_random(self) -> None:
        """Add the random rollouts, if the settings ask for them."""
        if "random" in self._config.synthesis:
            self.replays["random"].add("random_rollouts", self._random_rollouts)

    def is_due(self, update: int) -> bool:
        """Return whether a round of online rollouts belongs to an update.

        Args:
            update: Number of the update.
        """
        wanted = "online" in self._config.synthesis
        return wanted and update > 0 and update % self._config.online.every == 0

    def add_online(self, update: int, model: Callable[[], WorldModel]) -> None:
        """Add the round of online rollouts of an update.

        Args:
            update: Number of the update.
            model: Returns the model that plans; called only if the round does not exist yet.
        """

        def make() -> Rollouts:
            return online_rollouts(
                model(),
                self._recording,
                self._config.online,
                [self._config.seed, 2, update],
                self._episodes,
                self._workers,
                self._counter("online rollouts", self._config.online.plans),
            )

        self.replays["online"].add(f"online_rollouts_{update}", make)

    def _random_rollouts(self) -> Rollouts:
        # Each rollout also contains its history.
        steps = self._config.random.steps + self._history - 1
        return random_rollouts(
            self._recording,
            dataclasses.replace(self._config.random, steps=steps),
            self._config.seed,
            self._workers,
            self._counter("random rollouts", self._config.random.count),
            self._episodes,
        )

    def _counter(self, stage: str, total: int) -> Callable[[int], None]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self._progress(stage, done, total)

        return advance
