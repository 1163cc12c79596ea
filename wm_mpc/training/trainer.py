"""Train a world model from a recording: what to see, what is far from what, what happens next.

Phase `representation` trains encoder, decoder and dynamics together from pixels. Then latents are
computed once, so an update costs milliseconds: phase `embedding` trains the distance to a goal,
phase `proposals` first plans, and phase `dynamics` the dynamics, with data synthesis. Every update
draws its randomness from (seed, phase, update, process), so a run that was killed and resumed ends
bit for bit where an uninterrupted one does.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.checkpoint import save_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.workers import LocalWorkers, Workers
from wm_mpc.training.calibration import Gauge
from wm_mpc.training.compute import Compute, in_any_process
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import RunDirectory, TrainingError
from wm_mpc.training.events import Events
from wm_mpc.training.optimisation import Optimisation, Phase
from wm_mpc.training.phases import DynamicsPhase, RepresentationPhase
from wm_mpc.training.preparation import (
    check_data,
    check_finite,
    data_identity,
    new_model,
    representation_identity,
    split_episodes,
)
from wm_mpc.training.proposals import ProposalsPhase
from wm_mpc.training.readout import fit_pose_readout_to, fit_scene_map_to
from wm_mpc.training.replay import encode_all
from wm_mpc.training.synthesised import SynthesisedData
from wm_mpc.training.temporal import EmbeddingPhase

_MOMENTS_WHILE_TRAINING = 1024  # some seconds, once a run; a finished model looks at more
PHASES = ("representation", "embedding", "proposals", "dynamics")
Progress = Callable[[str, int, int, dict[str, float]], None]


class Trainer:
    """One run in one directory. `run()` starts or resumes it."""

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
        """workers: simulators for data synthesis; None is one. compute: None is one process. Of
        several, the first one alone writes and reports. representation: directory of a run whose
        finished representation is taken instead of training the same one again. on_checkpoint: is
        given the path of a complete checkpoint, in the run's directory, every `checkpoint_interval`
        seconds of phase `dynamics`, when it is stopped and at its end.

        Raises TrainingError when the directory holds a run with other settings or data, or the
        data is too little or of the wrong kind for the settings, or the other run's representation
        is not that of these settings and data.
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
        self._gauge: Gauge | None = None
        self._claim_directory()

    def run(self, stopped: Callable[[], bool] = lambda: False) -> WorldModel:
        """Train to the end, or until `stopped()`, which is asked before every update; then the
        state is saved, and the next `run` continues from there. Returns the model, on the CPU and
        in evaluation mode; see `finished`."""
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
        """Training time so far, in seconds, over all resumptions."""
        return self._seconds

    def provenance(self) -> dict[str, Any]:
        """How the model came to be, as it is kept in a checkpoint."""
        return {
            "seed": self.config.seed,
            "data": {
                "hash": self.recording.dataset.content_hash(),
                "episodes": len(self.train_episodes) + len(self.validation_episodes),
                **self.recording.dataset.provenance,
            },
            "synthesis": list(self.config.synthesis),
            "config": self.config.to_dict(),
            "updates": dict(self._done),
            "training_seconds": round(self._seconds),
        }

    def add_picture(self, name: str, path: Path) -> None:
        """Show the picture in a file in TensorBoard, too."""
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
        self._fabric.barrier()  # the first process writes only when all have read
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
        """The scene's coordinates, and a new dynamics to learn in them."""
        fit_scene_map_to(self.model, self.recording, self.train_episodes, self.config)
        self._renew_dynamics()

    def _renew_dynamics(self) -> None:
        """Begin with the dynamics as its own seed has it."""
        config = dataclasses.replace(self.config, representation_seed=self.config.seed)
        fresh = new_model(self.recording, config, self.train_episodes).state_dict()
        weights = {name: value for name, value in fresh.items() if name.startswith("dynamics.")}
        self.model.load_state_dict(weights, strict=False)

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
        self._renew_dynamics()
        self.history, self._seconds = found["history"], found["seconds"]
        self._latents = found["latents"]
        for phase in PHASES[:-1]:
            self._done[phase] = self._total(phase)
        self._save_representation()

    def _encode(self) -> Tensor:
        """Latents of all recorded frames; those that came with a representation, if any."""
        if self._donor is not None:
            latents: Tensor = self._donor.load_representation(self._identity)["latents"]
            return self._fabric.to_device(latents)
        return encode_all(
            self.model,
            self.recording.images,
            self.recording.states,
            lambda done, total: self._report_stage("encode", done, total),
        )

    def _prepare_dynamics(self, latents: Tensor) -> None:
        """What is fitted to the latents, and the synthesised data so far."""
        fit_pose_readout_to(self.model, self.recording, self.train_episodes, latents)
        with self._fabric.rank_zero_first():  # it makes them, the others find them made
            self._synthesised.begin(lambda: self._snapshot(None))
        # The matrices of the dynamics are small: threads would wait for each other more than they
        # work. Online rounds see one thread, too, whether they are new or of an interrupted run.
        torch.set_num_threads(1)
        for number in range(self._done["dynamics"]):
            self._synthesise(number, None)

    def _synthesise(self, number: int, optimisation: Optimisation | None) -> None:
        """The rounds of rollouts that belong to update `number`, if there are some, made with the
        model as it is then."""
        if self._synthesised.is_due(number):
            with self._fabric.rank_zero_first():
                self._synthesised.add(number, lambda: self._snapshot(optimisation))

    def _snapshot(self, optimisation: Optimisation | None) -> WorldModel:
        """A copy on the CPU, with the averaged weights where there are some, ready for use."""
        model = copy.deepcopy(self.model).cpu().eval().requires_grad_(False)
        if optimisation is not None:
            optimisation.write_average(model)
        return model

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
            path = self.directory / f"{self.recording.spec.task}.safetensors"
            save_checkpoint(self._measured(self._snapshot(optimisation)), path, self.provenance())
            self._on_checkpoint(path)

    def _measured(self, model: WorldModel) -> WorldModel:
        """With how wrong it usually is, without which the node `mpc` checks nothing."""
        if self._gauge is None:  # encoder and decoder are finished
            self._gauge = Gauge(
                model, self.recording, self.validation_episodes, most=_MOMENTS_WHILE_TRAINING
            )
        model.familiarity = self._gauge.measure(model)
        return model

    def _report(self, phase: str, number: int, values: dict[str, float]) -> None:
        if self._fabric.is_global_zero:
            self.history.append({"phase": PHASES.index(phase), "update": number, **values})
            before = PHASES[: PHASES.index(phase)]
            step = number + sum(self._total(earlier) for earlier in before)
            self._events.scalars(phase, step, values)
            self.progress(phase, number + 1, self._total(phase), values)

    def _report_stage(self, stage: str, done: int, total: int) -> None:
        """Of what has no updates. One process may stop here, too; several would wait for it."""
        if self._fabric.is_global_zero:
            self.progress(stage, done, total, {})
        if self._fabric.world_size == 1 and self._stopped():
            raise _StopError

    def _generator(self, phase: str, number: int) -> np.random.Generator:
        """Every process draws windows of its own."""
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
        identity = {
            "config": self.config.to_dict(), **data_identity(self.recording, self._compute),
            "precision": self._compute.precision,
            "representation": self._donor and self._donor.representation_hash(self._identity),
        }  # fmt: skip
        if self._fabric.is_global_zero:
            self._files.claim(identity)
        self._fabric.barrier()


class _StopError(Exception):
    """Leaves a run that was asked to stop."""
