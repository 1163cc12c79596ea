"""What a training begins with: which episodes it may see, and a new model that fits the data."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from wm_mpc.data.episodes import Recording
from wm_mpc.model.state_features import measure_state
from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import SpecError
from wm_mpc.synthesis.registry import perturbations, rollout_methods
from wm_mpc.training.compute import Compute
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import TrainingError
from wm_mpc.training.phases import mean_image

_PICTURES = 100  # to look at
_COARSE = 0.02  # of the spread: steps between two numbers that are too large


def split_episodes(recording: Recording, config: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the episodes to train on and of those held out. The latter are the dataset's last
    ones whatever `config.episodes` is, so that variants can be compared on them. Raises
    TrainingError when there are too few."""
    numbers = np.arange(len(recording.indices))
    held_out = max(1, round(config.validation * len(numbers)))
    wanted = max(1, config.episodes)
    if len(numbers) - held_out < wanted:
        raise TrainingError(
            f"the dataset has {len(numbers)} episodes, of which {held_out} are held out; at least "
            f"{wanted + held_out} are needed"
        )
    return numbers[:-held_out][: config.episodes or None], numbers[-held_out:]


def new_model(recording: Recording, config: TrainConfig, episodes: np.ndarray) -> WorldModel:
    """An untrained model: weights by the seed of the representation alone, normalisation by the
    training episodes. Raises TrainingError when settings and robot do not fit."""
    names = recording.dataset.pose_names if recording.poses is not None else ()
    architecture = dataclasses.replace(config.architecture, pose_names=names)
    history = config.history or recording.spec.history
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed_of_representation)
        try:
            state = recording.spec.state.with_all_angles()
            spec = dataclasses.replace(recording.spec, history=history, state=state)
            model = WorldModel(spec, architecture)
        except SpecError as error:
            raise TrainingError(str(error)) from None
    states = recording.states[np.isin(recording.episode_of, episodes)]
    mean, spread = measure_state(spec.state, states)
    model.state_mean.copy_(torch.from_numpy(mean))
    model.state_std.copy_(torch.from_numpy(spread))
    with torch.no_grad():
        model.decoder.background.copy_(
            mean_image(recording, episodes, config.seed_of_representation)
        )
    return model


def check_data(
    recording: Recording, config: TrainConfig, episodes: np.ndarray, history: int
) -> None:
    """Raises TrainingError when the data is too little or of the wrong kind for the settings."""
    longest = max(history - 1 + config.horizon, history + 1)
    if len(recording.window_starts(longest, episodes)) == 0:
        raise TrainingError(
            f"no episode is long enough: {longest} model steps are needed, which are "
            f"{longest * recording.spec.frame_skip} low-level steps"
        )
    executed = [name for name in config.synthesis if name in rollout_methods()]
    if executed and recording.simulator_states is None:
        raise TrainingError(
            f"synthesis {','.join(executed)} means executing new actions from recorded states in a "
            "simulator, but this dataset has no simulator states: a real robot cannot be taken "
            f"back to a recorded moment; accepted here: --synthesis {','.join(perturbations())}, "
            "or none"
        )
    for name in executed:
        if complaint := rollout_methods()[name].complaint(config.method(name), history):
            raise TrainingError(complaint)


def check_finite(model: WorldModel, phase: str) -> None:
    """Raises TrainingError when a phase has left weights that are not finite."""
    for name, weight in model.state_dict().items():
        if not torch.isfinite(weight).all():
            raise TrainingError(
                f"weight {name} is not finite after phase {phase}; try a lower {phase}_rate"
            )


def data_notes(recording: Recording) -> list[str]:
    """What a person should know about a recording before trusting a model of it, a sentence each;
    none where all is well."""
    spec, states, notes = recording.spec, recording.states.astype(np.float64), []
    for column, name in enumerate(spec.state.names):
        values = states[:, column]
        spread, step = values.std(), np.spacing(np.float32(np.abs(values).max()))
        if spread <= step:
            notes.append(f"state {name} is {values[0]:g} in all recordings: it tells nothing")
        elif step > _COARSE * spread:
            notes.append(
                f"state {name} is near {values.mean():g} and changes by {spread:.2g} only: numbers "
                f"so large are kept in steps of {step:.2g}; subtract an offset, or leave it out"
            )
    for name in spec.state.unnamed_angles:
        notes.append(f"state {name} is taken as an angle: the model sees its sine and cosine")
    actions = recording.actions[~np.isnan(recording.actions).any(1)]
    for name, values in zip(spec.action.names, actions.T, strict=True):
        if np.ptp(values) == 0:
            notes.append(f"action {name} never changes: the model cannot learn what it does")
    some = np.unique(np.linspace(0, len(recording.images) - 1, _PICTURES).astype(int))
    if (np.asarray(recording.images[some]) == recording.images[0]).all():
        notes.append("all pictures are the same: the model cannot see what the robot does")
    return notes


def posture_notes(model: WorldModel) -> list[str]:
    """What a person should know who trains for a robot whose measured state is its whole posture;
    none for others."""
    spec = model.spec
    measured = set(spec.action.names) <= set(spec.state.names)
    if not (spec.rest_is_measured and measured and model.architecture.robot_from_state):
        return []
    return [
        "the robot is drawn from its measured positions, and goals are compared by what else the "
        "picture shows: for goals that are postures of the robot itself, set "
        "architecture.robot_from_state: false"
    ]


def representation_identity(
    recording: Recording, config: TrainConfig, compute: Compute, history: int
) -> dict[str, Any]:
    """All that the outcome of the phases before `dynamics` depends on, except how many of the
    episodes it was trained on: variants with fewer episodes share one encoder."""
    settings = {**config.representation_settings(), "history": history}
    return {"settings": settings, **data_identity(recording, compute)}


def data_identity(recording: Recording, compute: Compute) -> dict[str, Any]:
    """What the numbers of every phase depend on apart from the settings."""
    identity: dict[str, Any] = {
        "data": recording.dataset.content_hash(),
        "episodes": len(recording.indices),
        "processes": compute.processes,
    }
    if recording.spec.state.unnamed_angles:  # a run from before has another model
        identity["angles"] = list(recording.spec.state.with_all_angles().angles)
    return identity
