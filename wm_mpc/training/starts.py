"""Several short starts of the representation, of which the best one goes on.

Which keypoints an encoder finds depends on its first weights. A start whose keypoints sit on things
that never move loses what moves elsewhere, and does not recover. A few hundred updates tell the
starts apart: the best one draws held-out pictures best (`drawing.drawing`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from wm_mpc.data.episodes import Recording
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import RunDirectory
from wm_mpc.training.drawing import drawing
from wm_mpc.training.optimisation import Optimisation
from wm_mpc.training.phases.phase import PhaseInputs
from wm_mpc.training.phases.representation import RepresentationPhase
from wm_mpc.training.preparation import new_model
from wm_mpc.training.schedule import Schedule

if TYPE_CHECKING:
    from wm_mpc.training.compute import Processes

PART = "start_"  # a start's file in the run's directory, before its number
_EVERY = 20  # updates between two reported loss terms


class Starts:
    """The starts of one run. A start that is finished is kept in the run's directory.

    Args:
        fabric: The processes.
        recording: The recorded episodes.
        config: Settings of the run.
        episodes: Positions of the training episodes.
        held_out: Positions of the held-out episodes.
        files: Directory of the run.
        schedule: Updates of the run.
        progress: Called with stage, updates done and updates in all.
    """

    def __init__(
        self,
        fabric: Processes,
        recording: Recording,
        config: TrainConfig,
        episodes: np.ndarray,
        held_out: np.ndarray,
        files: RunDirectory,
        schedule: Schedule,
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._fabric, self._recording, self._config = fabric, recording, config
        self._episodes, self._held_out = episodes, held_out
        self._files, self._schedule, self._progress = files, schedule, progress
        longest = config.representation_updates - 1  # the last update ends the phase
        self.updates = min(config.representation_start_updates, longest)

    def best(self, check: Callable[[], None]) -> dict[str, Any]:
        """Make the starts that are not made yet, and choose.

        Args:
            check: Called before every update; may raise to leave.

        Returns:
            Of the best start: `model` and `optimisation` (states), `history` (updates with
            their loss terms) and `drawn` (see `drawing`).
        """
        count = self._config.representation_starts
        starts = [self._start(number, check) for number in range(count)]
        scores = [start["drawn"] for start in starts]
        chosen = int(np.argmax(scores))
        if self._fabric.is_global_zero:
            self._files.save_choice({"drawn": scores, "chosen": chosen, "updates": self.updates})
        return starts[chosen]

    def _start(self, number: int, check: Callable[[], None]) -> dict[str, Any]:
        name = f"{PART}{number}"
        with self._fabric.rank_zero_first():
            made = self._files.load_part(name)
        if made is None:
            made = self._make(number, check)
            if self._fabric.is_global_zero:
                self._files.save_part(name, made)
        return made

    def _make(self, number: int, check: Callable[[], None]) -> dict[str, Any]:
        config = dataclasses.replace(
            self._config, representation_seed=seed_of_start(self._config, number)
        )
        model = new_model(self._recording, config, self._episodes)
        self._fabric.to_device(model)
        phase = RepresentationPhase(
            PhaseInputs(model, self._recording, self._config, self._episodes)
        )
        optimisation = Optimisation(self._fabric, phase, self._config)
        history: list[tuple[int, dict[str, float]]] = []
        stage = f"start {number + 1} of {self._config.representation_starts}"
        for update in range(self.updates):
            check()
            rng = self._schedule.generator(phase.name, update, self._fabric.global_rank)
            terms = optimisation.update(phase.batch(rng))
            if update % _EVERY == 0:
                history.append((update, {name: term.item() for name, term in terms.items()}))
                self._progress(stage, update, self.updates)
        # 0 if nothing moves.
        drawn = drawing(model, self._recording, self._held_out).get("drawn", 0.0)
        return {
            "model": model.state_dict(), "optimisation": optimisation.state_dict(),
            "history": history, "drawn": drawn,
        }  # fmt: skip


def seed_of_start(config: TrainConfig, number: int) -> int:
    """Return the seed of the first weights of a start. That of the first one is the run's own.

    Args:
        config: Settings of the run.
        number: Number of the start, from 0.
    """
    seed = config.seed_of_representation
    if number == 0:
        return seed
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def choice_of(files: RunDirectory) -> dict[str, Any] | None:
    """Return what was chosen in a run: `drawn` of each start, `chosen`, `updates`; or None.

    Args:
        files: Directory of the run.
    """
    path = files.path / RunDirectory.CHOICE
    if not path.exists():
        return None
    choice: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return choice
