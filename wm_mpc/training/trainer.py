"""Train a world model from a recording, phase by phase.

`phases/registry.py` names the phases. The first trains encoder, decoder and dynamics together from
pixels. Then latents are computed once, so an update of the others takes milliseconds. Each update
draws its random numbers from (seed, phase, update, process), so a resumed run ends bit for bit like
an uninterrupted one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.workers import LocalWorkers, Workers
from wm_mpc.training.compute import Compute, in_any_process
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import RunDirectory, TrainingError
from wm_mpc.training.donor import donor_of, with_settings_of
from wm_mpc.training.journal import Journal, Progress
from wm_mpc.training.optimisation import Optimisation, snapshot
from wm_mpc.training.phases.dynamics import DynamicsPhase
from wm_mpc.training.phases.phase import Phase, PhaseInputs
from wm_mpc.training.phases.registry import PHASES, of_representation
from wm_mpc.training.preparation import (
    check_data,
    check_finite,
    data_identity,
    data_provenance,
    new_model,
    renew_dynamics,
    representation_identity,
    run_identity,
    split_episodes,
)
from wm_mpc.training.readout import fit_pose_readout_to
from wm_mpc.training.schedule import Schedule
from wm_mpc.training.shared import SharedRepresentation
from wm_mpc.training.starts import PART, Starts, choice_of
from wm_mpc.training.state import RunState
from wm_mpc.training.synthesised import SynthesisedData
from wm_mpc.training.unfinished import UnfinishedCheckpoints

_DYNAMICS = DynamicsPhase.name


class Trainer:
    """One training run in one directory; `run()` starts or resumes it.

    Attributes:
        recording: The recorded episodes.
        config: Settings of the run.
        directory: Directory of the run.
        model: The model.
        train_episodes: Positions of the training episodes, int64.
        validation_episodes: Positions of the held-out episodes, int64.
    """

    def __init__(
        self,
        recording: Recording,
        config: TrainConfig,
        directory: str | os.PathLike[str],
        *,
        workers: Workers | None = None,
        progress: Progress = lambda *_: None,
        compute: Compute | None = None,
        representation: str | os.PathLike[str] | None = None,
        on_checkpoint: Callable[[Path], None] | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            recording: The recorded episodes.
            config: Settings of the run.
            directory: Directory of the run.
            workers: Simulators for data synthesis; None: one in this process.
            progress: Called with stage, done, total and loss terms.
            compute: Where to train; None: one process. Only the first of several processes writes
                and reports.
            representation: Whose finished representation to use instead of training one: the
                directory of a run that trains the same one, or a checkpoint (file, or name of a
                shipped one) of the same robot.
            on_checkpoint: Called with the path of a complete checkpoint every
                `checkpoint_interval` seconds of phase `dynamics`, and when it stops or ends.

        Raises:
            TrainingError: The directory holds a run with other settings or data, the data are too
                few or do not fit the settings, or the other representation does not fit.
        """
        self.recording, self.config, self.directory = recording, config, Path(directory)
        self.workers = workers or LocalWorkers()
        self._compute = compute or Compute()
        self._fabric = self._compute.launch()
        self._on_checkpoint = on_checkpoint
        if config.threads:
            torch.set_num_threads(config.threads)
        self.train_episodes, self.validation_episodes = split_episodes(recording, config)
        self.model = new_model(recording, config, self.train_episodes)
        check_data(recording, config, self.train_episodes, self.model.spec.history)
        self._schedule = Schedule(config, self.model)
        self._journal = Journal(
            self.directory, self._schedule, progress, silent=not self._fabric.is_global_zero
        )
        self._latents: Tensor | None = None
        self._files = RunDirectory(self.directory)
        self._state = RunState(self._files, self.model, self._schedule, self._journal)
        # With the transformer, if there is one: it stays the same in the whole run.
        self._data = data_identity(recording, self._compute, self.model)
        identity = representation_identity(config, self.model.spec.history, self._data)
        donor = None if representation is None else donor_of(representation, identity, self.model)
        self._shared = SharedRepresentation(self._files, identity, donor)
        self._checkpoints = UnfinishedCheckpoints(
            recording, self.validation_episodes, self.directory
        )
        self._claim_directory()

    def run(self, stopped: Callable[[], bool] = lambda: False) -> WorldModel:
        """Train to the end, or until `stopped()` is true; then save the state, from which the next
        run continues.

        Args:
            stopped: Called before every update.

        Returns:
            The model, on the CPU and in evaluation mode; see `finished`.

        Raises:
            TrainingError: A loss or a weight is not finite, or a saved file is damaged.
        """
        threads, self._stopped = torch.get_num_threads(), stopped
        try:
            self._run()
        except _StopError:
            pass
        finally:
            self._journal.close()
            torch.set_num_threads(threads)
        return self.model.cpu().eval().requires_grad_(False)

    @property
    def finished(self) -> bool:
        """Whether all updates of all phases are done."""
        return self._schedule.finished

    @property
    def history(self) -> list[dict[str, float]]:
        """Reported loss terms."""
        return self._journal.history

    @property
    def seconds(self) -> float:
        """Training time so far over all resumptions, s."""
        return self._state.seconds

    def provenance(self) -> dict[str, Any]:
        """Return how the model was made, for its checkpoint."""
        episodes = len(self.train_episodes) + len(self.validation_episodes)
        choice, updates = choice_of(self._files), dict(self._schedule.done)
        made = data_provenance(self.recording, self.config, episodes)
        if "vit" in self._data:
            made["vit"], _ = self._data["vit"]
        if (origin := self._shared.origin()) is not None:  # what ran is the last phase
            updates = {_DYNAMICS: updates[_DYNAMICS]}
            made["config"] = with_settings_of(origin, self.config)
            made["representation"] = origin
        return {
            **made,
            "updates": updates,
            "training_seconds": round(self.seconds),
            **({} if choice is None else {"starts": choice}),
        }

    def add_picture(self, name: str, path: Path) -> None:
        """Add an image file to TensorBoard.

        Args:
            name: Title of the image.
            path: The file.
        """
        self._journal.picture(name, path)

    def _run(self) -> None:
        if not self._state.load() and self._shared.is_taken:
            self._take_representation()
        self._journal.open()
        self._fabric.barrier()  # the first process writes only after all have read
        self._fabric.to_device(self.model)
        first, *others = PHASES
        if self.config.representation_starts > 1 and not self._schedule.done[first]:
            self._choose_start(first)
        if not self._schedule.is_done(first):
            self._run_phase(first)
        self._latents = self._shared.encode(
            self.model, self.recording, self.config,
            lambda *counts: self._report_stage("encode", *counts),
        )  # fmt: skip
        for name in others:
            if name == _DYNAMICS:
                self._prepare_dynamics(self._latents)
            if not self._schedule.is_done(name):
                self._run_phase(name)

    def _choose_start(self, phase: str) -> None:
        before, started = self.seconds, time.monotonic()
        starts = Starts(
            self._fabric, self.recording, self.config, self.train_episodes,
            self.validation_episodes, self._files, self._schedule, self._journal.stage,
        )  # fmt: skip
        best = starts.best(self._check_stop)
        self._schedule.done[phase] = starts.updates
        self._state.seconds = before + time.monotonic() - started
        self._state.go_on(phase, best)
        self._fabric.to_device(self.model)

    def _check_stop(self) -> None:
        if in_any_process(self._fabric, self._stopped()):
            raise _StopError

    def _inputs(self, name: str) -> PhaseInputs:
        replays = list(self._synthesised.replays.values()) if name == _DYNAMICS else []
        return PhaseInputs(
            self.model, self.recording, self.config, self.train_episodes, self._latents, replays,
            self._compute.precision,
        )  # fmt: skip

    def _run_phase(self, name: str) -> None:
        phase, total = PHASES[name](self._inputs(name)), self._schedule.total(name)
        optimisation = Optimisation(self._fabric, phase, self.config)
        self._state.restore(name, optimisation)
        last_saved = started = time.monotonic()
        before = self.seconds
        for number in range(self._schedule.done[name], total):
            try:
                self._check_stop()
                if name == _DYNAMICS:
                    self._synthesised.add(number, lambda: snapshot(self.model, optimisation))
                rng = self._schedule.generator(name, number, self._fabric.global_rank)
                terms = optimisation.update(phase.batch(rng))
            except _StopError:
                self._save(name, optimisation)
                raise
            except FloatingPointError as error:
                raise TrainingError(
                    f"{error} in update {number} of phase {name}; try a lower learning rate"
                ) from None
            self._schedule.done[name] = number + 1
            now = time.monotonic()
            self._state.seconds = before + now - started
            last = number + 1 == total
            if number % 20 == 0 or last:
                values = {key: term.item() for key, term in terms.items()}
                self._journal.update(name, number, values)
            if last:
                self._finish(phase, optimisation)
            if now - last_saved > self.config.checkpoint_interval or last:
                self._save(name, optimisation)
                last_saved = now

    def _finish(self, phase: Phase, optimisation: Optimisation) -> None:
        optimisation.write_average(self.model)
        check_finite(self.model, phase.name)
        phase.finish()
        if phase.name in of_representation() and self._schedule.representation_is_done:
            self._save_representation()

    def _save_representation(self) -> None:
        if self._fabric.is_global_zero:
            self._shared.save(self.model, self.history, self.seconds, self._latents)
            self._files.remove_parts(PART)

    def _take_representation(self) -> None:
        found = self._shared.take()
        self._state.take(found)
        renew_dynamics(self.model, self.recording, self.config, self.train_episodes)
        self._latents = found["latents"]
        if self._latents is not None:  # not that of a checkpoint, which has other settings
            self._save_representation()

    def _prepare_dynamics(self, latents: Tensor) -> None:
        """Fit the read-out to the latents, and load or make the synthesised data so far."""
        self._synthesised = SynthesisedData(
            self._fabric, self.model, self.recording, self.config, self.train_episodes,
            self.directory, self.workers, self._report_stage,
        )  # fmt: skip
        fit_pose_readout_to(self.model, self.recording, self.train_episodes, latents)
        self._synthesised.begin(lambda: snapshot(self.model, None))
        # The matrices of the dynamics are small, so threads would mostly wait for each other.
        # Online rounds use one thread as well, also after an interruption.
        torch.set_num_threads(1)
        for number in range(self._schedule.done[_DYNAMICS]):
            self._synthesised.add(number, lambda: snapshot(self.model, None))

    def _save(self, phase: str, optimisation: Optimisation) -> None:
        if not self._fabric.is_global_zero:
            return
        self._state.save(phase, optimisation)
        if self._on_checkpoint is not None and phase == _DYNAMICS:
            model = snapshot(self.model, optimisation)
            self._on_checkpoint(self._checkpoints.write(model, self.provenance()))

    def _report_stage(self, stage: str, done: int, total: int) -> None:
        """Report a stage without updates. A single process may stop here; several would wait for
        each other."""
        self._journal.stage(stage, done, total)
        if self._fabric.world_size == 1 and self._stopped():
            raise _StopError

    def _claim_directory(self) -> None:
        donor = self._shared.donor_hash()
        if self._fabric.is_global_zero:
            self._files.claim(run_identity(self.config, self._compute, self._data, donor))
        self._fabric.barrier()


class _StopError(Exception):
    """Leaves a run after a request to stop."""
