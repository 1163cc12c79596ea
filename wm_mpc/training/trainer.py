"""Train a world model from a recording, in four phases.

Phase `representation` trains encoder, decoder and dynamics together from pixels. Then latents are
computed once, so an update takes milliseconds. Phase `embedding` trains the distance to a goal,
`proposals` trains first plans, and `dynamics` trains the dynamics with data synthesis. Each update
draws its random numbers from (seed, phase, update, process), so a resumed run ends bit for bit
like an uninterrupted one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.workers import LocalWorkers, Workers
from wm_mpc.training.augmentation import augmented
from wm_mpc.training.compute import Compute, in_any_process
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import RunDirectory, TrainingError
from wm_mpc.training.events import Events
from wm_mpc.training.optimisation import Optimisation, Phase, snapshot
from wm_mpc.training.phases import DynamicsPhase, RepresentationPhase
from wm_mpc.training.preparation import (
    check_data,
    check_finite,
    data_provenance,
    new_model,
    renew_dynamics,
    representation_identity,
    run_identity,
    split_episodes,
)
from wm_mpc.training.proposals import ProposalsPhase
from wm_mpc.training.readout import fit_pose_readout_to, fit_scene_map_to
from wm_mpc.training.replay import encode_all
from wm_mpc.training.synthesised import SynthesisedData
from wm_mpc.training.temporal import EmbeddingPhase
from wm_mpc.training.unfinished import UnfinishedCheckpoints

PHASES = ("representation", "embedding", "proposals", "dynamics")
Progress = Callable[[str, int, int, dict[str, float]], None]


class Trainer:
    """One training run in one directory; `run()` starts or resumes it.

    Attributes:
        recording: The recorded episodes.
        config: Settings of the run.
        directory: Directory of the run.
        model: The model.
        history: Reported loss terms.
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
            representation: Directory of a run whose finished representation to use instead of
                training the same one again.
            on_checkpoint: Called with the path of a complete checkpoint every
                `checkpoint_interval` seconds of phase `dynamics`, and when it stops or ends.

        Raises:
            TrainingError: The directory holds a run with other settings or data, the data are too
                few or do not fit the settings, or the other run's representation does not fit.
        """
        self.recording, self.config, self.directory = recording, config, Path(directory)
        self.workers, self.progress = workers or LocalWorkers(), progress
        self._compute = compute or Compute()
        self._fabric = self._compute.launch()
        self._on_checkpoint = on_checkpoint
        if config.threads:
            torch.set_num_threads(config.threads)
        self.train_episodes, self.validation_episodes = split_episodes(recording, config)
        self.model = new_model(recording, config, self.train_episodes)
        check_data(recording, config, self.train_episodes, self.model.spec.history)
        self.history: list[dict[str, float]] = []
        self._done = dict.fromkeys(PHASES, 0)
        self._seconds, self._events = 0.0, Events(self.directory)
        self._identity = representation_identity(
            recording, config, self._compute, self.model.spec.history
        )
        self._donor = None if representation is None else RunDirectory(representation)
        self._files = RunDirectory(self.directory)
        self._latents: Tensor | None = None
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
            self._events.close()
            torch.set_num_threads(threads)
        return self.model.cpu().eval().requires_grad_(False)

    @property
    def finished(self) -> bool:
        """Whether all updates of all phases are done."""
        return all(map(self._is_done, PHASES))

    @property
    def seconds(self) -> float:
        """Training time so far over all resumptions, s."""
        return self._seconds

    def provenance(self) -> dict[str, Any]:
        """Return how the model was made, for its checkpoint."""
        episodes = len(self.train_episodes) + len(self.validation_episodes)
        return {
            **data_provenance(self.recording, self.config, episodes),
            "updates": dict(self._done),
            "training_seconds": round(self._seconds),
        }

    def add_picture(self, name: str, path: Path) -> None:
        """Add an image file to TensorBoard.

        Args:
            name: Title of the image.
            path: The file.
        """
        step = sum(self._done.values())
        events = Events(self.directory, step)
        events.picture(name, path, step)
        events.close()

    def _run(self) -> None:
        state = self._files.load_state()
        if state is not None:
            self.model.load_state_dict(state["model"])
            self._done, self._seconds = state["done"], state["seconds"]
            self.history = state["history"]
        elif self._donor is not None:
            self._take_representation(self._donor)
        self._events = Events(self.directory, sum(self._done.values()))
        self._fabric.barrier()  # the first process writes only after all have read
        self._fabric.to_device(self.model)
        material = (self.model, self.recording, self.config, self.train_episodes)
        if not self._is_done("representation"):
            self._run_phase(RepresentationPhase(*material), state)
        latents = self._latents = self._encode()
        if not self._is_done("embedding"):
            self._run_phase(EmbeddingPhase(*material, latents), state)
        if not self._is_done("proposals"):
            self._run_phase(ProposalsPhase(*material, latents), state)
        self._synthesised = SynthesisedData(
            *material, self.directory, self.workers, self._report_stage
        )
        self._prepare_dynamics(latents)
        if not self._is_done("dynamics"):
            replays = list(self._synthesised.replays.values())
            phase = DynamicsPhase(*material, latents, replays, self._compute.precision)
            self._run_phase(phase, state)

    def _run_phase(self, phase: Phase, state: dict[str, Any] | None) -> None:
        name, total = phase.name, self._total(phase.name)
        optimisation = Optimisation(self._fabric, phase, self.config)
        if state is not None and state["phase"] == name:
            optimisation.load_state_dict(state["optimisation"])
        last_saved = started = time.monotonic()
        before = self._seconds
        for number in range(self._done[name], total):
            try:
                if in_any_process(self._fabric, self._stopped()):
                    raise _StopError
                if name == "dynamics":
                    self._synthesise(number, optimisation)
                terms = optimisation.update(phase.batch(self._generator(name, number)))
            except _StopError:
                self._save(name, optimisation)
                raise
            except FloatingPointError as error:
                raise TrainingError(
                    f"{error} in update {number} of phase {name}; try a lower learning rate"
                ) from None
            self._done[name] = number + 1
            now = time.monotonic()
            self._seconds = before + now - started
            last = number + 1 == total
            if number % 20 == 0 or last:
                self._report(name, number, {key: term.item() for key, term in terms.items()})
            if last:
                optimisation.write_average(self.model)
                check_finite(self.model, name)
                if isinstance(phase, RepresentationPhase):
                    self._fit_scene_map()
                if isinstance(phase, EmbeddingPhase):
                    phase.finish()
                if name != "dynamics" and all(map(self._is_done, PHASES[:-1])):
                    self._save_representation()
            if now - last_saved > self.config.checkpoint_interval or last:
                self._save(name, optimisation)
                last_saved = now

    def _fit_scene_map(self) -> None:
        """Fit the scene's coordinates, and restart the dynamics in them."""
        fit_scene_map_to(self.model, self.recording, self.train_episodes, self.config)
        renew_dynamics(self.model, self.recording, self.config, self.train_episodes)

    def _save_representation(self) -> None:
        if self._fabric.is_global_zero:
            self._files.save_representation(
                {
                    "identity": self._identity, "model": self.model.state_dict(),
                    "history": self.history, "seconds": self._seconds, "latents": self._latents,
                }
            )  # fmt: skip

    def _take_representation(self, donor: RunDirectory) -> None:
        found = donor.load_representation(self._identity)
        self.model.load_state_dict(found["model"])
        renew_dynamics(self.model, self.recording, self.config, self.train_episodes)
        self.history, self._seconds = found["history"], found["seconds"]
        self._latents = found["latents"]
        for phase in PHASES[:-1]:
            self._done[phase] = self._total(phase)
        self._save_representation()

    def _encode(self) -> Tensor:
        """Latents of all recorded frames, some of them disturbed if the augmentation is on. They
        come from another run's representation if it is used."""
        if self._donor is not None:
            latents: Tensor = self._donor.load_representation(self._identity)["latents"]
            return self._fabric.to_device(latents)
        return encode_all(
            self.model,
            augmented(
                self.recording.images, self.config.augmentation, self.config.seed_of_representation
            ),
            self.recording.states,
            lambda done, total: self._report_stage("encode", done, total),
        )

    def _prepare_dynamics(self, latents: Tensor) -> None:
        """Fit the read-out to the latents, and load or make the synthesised data so far."""
        fit_pose_readout_to(self.model, self.recording, self.train_episodes, latents)
        with self._fabric.rank_zero_first():  # rank 0 makes them for the others
            self._synthesised.begin(lambda: snapshot(self.model, None))
        # The matrices of the dynamics are small, so threads would mostly wait for each other.
        # Online rounds use one thread as well, also after an interruption.
        torch.set_num_threads(1)
        for number in range(self._done["dynamics"]):
            self._synthesise(number, None)

    def _synthesise(self, number: int, optimisation: Optimisation | None) -> None:
        """Make the rollouts of update `number`, if any, with the model of that update."""
        if self._synthesised.is_due(number):
            with self._fabric.rank_zero_first():
                self._synthesised.add(number, lambda: snapshot(self.model, optimisation))

    def _save(self, phase: str, optimisation: Optimisation) -> None:
        if not self._fabric.is_global_zero:
            return
        self._events.flush()
        self._files.save_state(
            {
                "phase": phase, "done": self._done, "seconds": self._seconds,
                "history": self.history, "model": self.model.state_dict(),
                "optimisation": optimisation.state_dict(),
            }
        )  # fmt: skip
        if self._on_checkpoint is not None and phase == "dynamics":
            model = snapshot(self.model, optimisation)
            self._on_checkpoint(self._checkpoints.write(model, self.provenance()))

    def _report(self, phase: str, number: int, values: dict[str, float]) -> None:
        if self._fabric.is_global_zero:
            self.history.append({"phase": PHASES.index(phase), "update": number, **values})
            before = PHASES[: PHASES.index(phase)]
            step = number + sum(self._total(earlier) for earlier in before)
            self._events.scalars(phase, step, values)
            self.progress(phase, number + 1, self._total(phase), values)

    def _report_stage(self, stage: str, done: int, total: int) -> None:
        """Report a stage without updates. A single process may stop here; several would wait for
        each other."""
        if self._fabric.is_global_zero:
            self.progress(stage, done, total, {})
        if self._fabric.world_size == 1 and self._stopped():
            raise _StopError

    def _generator(self, phase: str, number: int) -> np.random.Generator:
        """The random numbers of an update; each process draws its own windows."""
        config = self.config
        seed = config.seed if phase == "dynamics" else config.seed_of_representation
        return np.random.default_rng([seed, PHASES.index(phase), number, self._fabric.global_rank])

    def _total(self, phase: str) -> int:
        if phase == "proposals" and self.model.proposals is None:
            return 0
        return int(getattr(self.config, f"{phase}_updates"))

    def _is_done(self, phase: str) -> bool:
        return self._done[phase] >= self._total(phase)

    def _claim_directory(self) -> None:
        donor = None
        if self._donor is not None:
            donor = self._donor.representation_hash(self._identity)
        if self._fabric.is_global_zero:
            self._files.claim(run_identity(self.recording, self.config, self._compute, donor))
        self._fabric.barrier()


class _StopError(Exception):
    """Leaves a run after a request to stop."""
