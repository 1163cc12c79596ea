"""Train a world model from a recording: first what to see, then what happens next.

Phase `representation` trains encoder, decoder and dynamics together from pixels. Phase `dynamics`
trains the dynamics on the finished latents, with data synthesis; latents are computed once, so an
update costs milliseconds. Every update draws its randomness from (seed, phase, update), so a run
that was killed and resumed ends bit for bit where an uninterrupted one does.
"""

from __future__ import annotations

import dataclasses
import json
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
from wm_mpc.synthesis.adversarial import perturb
from wm_mpc.synthesis.online import online_rollouts
from wm_mpc.synthesis.random_rollouts import Rollouts, random_rollouts
from wm_mpc.training import losses
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.replay import Replay, encode_all

PHASES = ("representation", "dynamics")
Progress = Callable[[str, int, int, dict[str, float]], None]


class TrainingError(RuntimeError):
    """A run that cannot start, continue or be trusted."""


class Trainer:
    """One run in one directory. `run()` starts or resumes it."""

    def __init__(
        self,
        recording: Recording,
        config: TrainConfig,
        directory: str | os.PathLike[str],
        *,
        workers: int = 1,
        progress: Progress = lambda *_: None,
    ) -> None:
        """Raises TrainingError when the directory holds a run with other settings or data, or the
        data is too little or of the wrong kind for the settings."""
        self.recording, self.config, self.directory = recording, config, Path(directory)
        self.workers, self.progress = workers, progress
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        names = recording.dataset.pose_names if recording.poses is not None else ()
        architecture = dataclasses.replace(config.architecture, pose_names=names)
        self.model = WorldModel(recording.spec, architecture)
        held_out = max(1, round(config.validation * len(recording.indices)))
        numbers = np.arange(len(recording.indices))
        self.train_episodes, self.validation_episodes = numbers[:-held_out], numbers[-held_out:]
        if len(self.train_episodes) == 0:
            raise TrainingError("the dataset has one episode only; at least 2 are needed")
        self._window_steps = recording.spec.history - 1 + config.horizon
        longest = max(self._window_steps, recording.spec.history + 1)
        if len(recording.window_starts(longest, self.train_episodes)) == 0:
            raise TrainingError(
                f"no episode is long enough: {longest} model steps are needed, which are "
                f"{longest * recording.spec.frame_skip} low-level steps"
            )
        if {"random", "online"} & set(config.synthesis) and recording.simulator_states is None:
            raise TrainingError(
                "synthesis 'random' and 'online' restore recorded simulator states, but this "
                "dataset has none (was it made from a bag?); choose another synthesis"
            )
        self._prepare_normalisation()
        self._replays = {name: Replay(self.model, self.directory) for name in ("random", "online")}
        self.history: list[dict[str, float]] = []
        self._done = dict.fromkeys(PHASES, 0)
        self._seconds = 0.0
        self._claim_directory()

    def run(self) -> WorldModel:
        """Train to the end; returns the model in evaluation mode."""
        threads = torch.get_num_threads()
        try:
            return self._run()
        finally:
            torch.set_num_threads(threads)

    def _run(self) -> WorldModel:
        state = self._load_state()
        for phase in PHASES:
            if phase == "representation":
                data: Any = self.recording.window_starts(
                    self.recording.spec.history + 1, self.train_episodes
                )
                parameters = list(self.model.parameters())
                rate = self.config.representation_rate
                update: Callable[[Any, int], dict[str, Tensor]] = self._representation_loss
            else:
                data = self._encode()
                # Its matrices are small: threads would wait for each other more than they work.
                torch.set_num_threads(1)
                parameters = list(self.model.dynamics.parameters())
                rate, update = self.config.dynamics_rate, self._dynamics_loss
            self._run_phase(phase, parameters, rate, update, data, state)
        self.model.eval().requires_grad_(False)
        return self.model

    @property
    def seconds(self) -> float:
        """Training time so far, in seconds, over all resumptions."""
        return self._seconds

    def _run_phase(
        self,
        phase: str,
        parameters: list[torch.nn.Parameter],
        rate: float,
        loss_of: Callable[[Any, int], dict[str, Tensor]],
        data: Any,
        state: dict[str, Any] | None,
    ) -> None:
        total = getattr(self.config, f"{phase}_updates")
        if self._done[phase] >= total:
            return
        optimizer = torch.optim.AdamW(parameters, rate, weight_decay=self.config.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total, pct_start=0.05)
        if state is not None and state["phase"] == phase:
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
        last_saved = started = time.monotonic()
        before = self._seconds
        for number in range(self._done[phase], total):
            terms = loss_of(data, number)
            loss = sum(terms.values(), torch.zeros(()))
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss.item()} in update {number} of phase {phase}; "
                    "try a lower learning rate"
                )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            self._done[phase] = number + 1
            if number % 20 == 0 or number + 1 == total:
                values = {name: term.item() for name, term in terms.items()}
                self.history.append({"phase": PHASES.index(phase), "update": number, **values})
                self.progress(phase, number + 1, total, values)
            now = time.monotonic()
            self._seconds = before + now - started
            if now - last_saved > self.config.checkpoint_interval or number + 1 == total:
                self._save_state(phase, optimizer, schedule)
                last_saved = now

    def _generator(self, phase: str, number: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, PHASES.index(phase), number])

    def _representation_loss(self, starts: np.ndarray, number: int) -> dict[str, Tensor]:
        rng = self._generator("representation", number)
        chosen = rng.choice(starts, self.config.representation_batch)
        frames, actions = self.recording.window(chosen, self.recording.spec.history + 1)
        image = images_to_float(self.recording.images[frames.reshape(-1)])
        scene = self.model.encode_scene(image)
        weight = losses.moving_pixel_weight(image, self._mean_image, self.config.pixel_emphasis)
        state = self.model.normalise_state(torch.from_numpy(self.recording.states[frames]))
        latents = torch.cat([scene.view(*frames.shape, -1), state], -1)
        prediction = losses.multi_step(self.model, latents, torch.from_numpy(actions))
        return {
            "reconstruction": 100.0 * losses.reconstruction(self.model, scene, image, weight),
            "prediction": self.config.prediction_weight * prediction,
        }

    def _dynamics_loss(self, recorded: Tensor, number: int) -> dict[str, Tensor]:
        rng = self._generator("dynamics", number)
        if "online" in self.config.synthesis and number and number % self.config.online.every == 0:
            self._add_online_round(number)
        latents, actions = self._recorded_windows(recorded, rng)
        terms = {
            "one_step": losses.one_step(self.model, latents, actions),
            "multi_step": losses.multi_step(self.model, latents, actions),
        }
        for name, replay in self._replays.items():
            if replay:
                batch = replay.batch(rng, self.config.dynamics_batch)
                terms[name] = losses.multi_step(self.model, *batch)
        if "adversarial" in self.config.synthesis:
            generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
            past = self.recording.spec.history + 1
            pair, action = perturb(
                self.model, latents[:, :past], actions[:, : past - 1],
                self.config.adversarial, generator,
            )  # fmt: skip
            terms["adversarial"] = losses.one_step(self.model, pair, action)
        return terms

    def _recorded_windows(
        self, recorded: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        chosen = rng.choice(self._window_starts, self.config.dynamics_batch)
        frames, actions = self.recording.window(chosen, self._window_steps)
        return recorded[torch.from_numpy(frames)], torch.from_numpy(actions)

    def _encode(self) -> Tensor:
        self._window_starts = self.recording.window_starts(self._window_steps, self.train_episodes)
        recorded = encode_all(
            self.model,
            self.recording.images,
            self.recording.states,
            lambda done, total: self.progress("encode", done, total, {}),
        )
        self._fit_pose_readout(recorded)
        if "random" in self.config.synthesis:
            self._replays["random"].add("random_rollouts", self._random_rollouts)
        if "online" in self.config.synthesis:
            every = self.config.online.every
            for number in range(every, self._done["dynamics"], every):
                self._add_online_round(number)
        return recorded

    def _fit_pose_readout(self, recorded: Tensor) -> None:
        if self.recording.poses is None or not self.model.architecture.pose_names:
            return
        train = np.isin(self.recording.episode_of, self.train_episodes)
        scene = self.model.split(recorded)[0][torch.from_numpy(train)].double()
        inputs = torch.cat([scene, torch.ones(len(scene), 1, dtype=torch.float64)], 1)
        # A little ridge: keypoints that never move make the plain problem singular.
        gram = inputs.T @ inputs + 1e-3 * torch.eye(inputs.shape[1], dtype=torch.float64)
        weights = torch.linalg.solve(gram, inputs.T @ torch.from_numpy(self.recording.poses[train]))
        self.model.pose_weight.copy_(weights[:-1].T)
        self.model.pose_bias.copy_(weights[-1])

    def _random_rollouts(self) -> Rollouts:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self.progress("random rollouts", done, self.config.random.count, {})

        return random_rollouts(
            self.recording,
            self.config.random,
            self.config.seed,
            self.workers,
            advance,
            self.train_episodes,
        )

    def _add_online_round(self, number: int) -> None:
        """Plan with the model as it is at update `number`, execute, keep what happened."""

        def make() -> Rollouts:
            self.model.requires_grad_(False)
            try:
                return online_rollouts(
                    self.model,
                    self.recording,
                    self.config.online,
                    [self.config.seed, 2, number],
                    self.train_episodes,
                )
            finally:
                self.model.requires_grad_(True)

        self._replays["online"].add(f"online_rollouts_{number}", make)

    def _prepare_normalisation(self) -> None:
        states = self.recording.states[np.isin(self.recording.episode_of, self.train_episodes)]
        self.model.state_mean.copy_(torch.from_numpy(states.mean(0)))
        self.model.state_std.copy_(torch.from_numpy(np.maximum(states.std(0), 1e-3)))
        rng = np.random.default_rng([self.config.seed, 99])
        sample = np.sort(rng.choice(len(self.recording.images), 500))
        self._mean_image = images_to_float(self.recording.images[sample]).mean(0, keepdim=True)
        with torch.no_grad():
            self.model.decoder.background.copy_(self._mean_image)

    def _claim_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "run.json"
        identity = {
            "config": self.config.to_dict(),
            "data": self.recording.dataset.content_hash(),
            "episodes": len(self.recording.indices),
        }
        identity = json.loads(json.dumps(identity))
        if path.exists():
            try:
                previous = json.loads(path.read_text())
            except ValueError:
                raise TrainingError(f"{path} is damaged; remove {self.directory}") from None
            if previous != identity:
                raise TrainingError(
                    f"{self.directory} holds a run with other settings or other data; remove it "
                    "or choose another --run directory"
                )
        else:
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(identity, indent=2))
            os.replace(temporary, path)

    def _save_state(self, phase: str, optimizer: Any, schedule: Any) -> None:
        state = {
            "phase": phase, "done": self._done, "seconds": self._seconds, "history": self.history,
            "model": self.model.state_dict(), "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        }  # fmt: skip
        temporary = self.directory / "state.pt.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.directory / "state.pt")

    def _load_state(self) -> dict[str, Any] | None:
        path = self.directory / "state.pt"
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True)
        except Exception as error:
            raise TrainingError(f"{path} is damaged ({error}); remove it to start over") from None
        self.model.load_state_dict(state["model"])
        self._done, self._seconds = state["done"], state["seconds"]
        self.history = state["history"]
        return state


def images_to_float(images: np.ndarray) -> Tensor:
    """uint8 (batch, height, width, 3) -> float (batch, 3, height, width) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255.0
