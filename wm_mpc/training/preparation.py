"""Preparation of a training: choose its episodes, and make a new model that fits the data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wm_mpc.data.episodes import Recording
from wm_mpc.model.state_features import measure_state
from wm_mpc.model.vision_transformer import TransformerEncoder
from wm_mpc.model.vit_description import read_description
from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import SpecError
from wm_mpc.synthesis.registry import perturbations, rollout_methods
from wm_mpc.training.compute import Compute
from wm_mpc.training.directory import TrainingError
from wm_mpc.training.images import mean_image

if TYPE_CHECKING:
    from wm_mpc.training.config import TrainConfig

_PICTURES = 100  # images to compare
_COARSE = 0.02  # share of the spread; float32 steps above this are too coarse


def split_episodes(recording: Recording, config: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """Split episodes into training and held-out ones.

    The held-out ones are the dataset's last ones for every `config.episodes`, so variants compare.

    Args:
        recording: The recorded episodes.
        config: Settings of the run.

    Returns:
        Positions of the training and of the held-out episodes, int64.

    Raises:
        TrainingError: There are too few episodes.
    """
    numbers = np.arange(len(recording.indices))
    held_out = max(1, round(config.validation * len(numbers)))
    wanted = max(1, config.episodes)
    if len(numbers) - held_out < wanted:
        raise TrainingError(
            f"the dataset has {len(numbers)} episodes and holds out {held_out} of them; at least "
            f"{wanted + held_out} are needed"
        )
    return numbers[:-held_out][: config.episodes or None], numbers[-held_out:]


def new_model(
    recording: Recording, config: TrainConfig, episodes: np.ndarray, vit: str = ""
) -> WorldModel:
    """Make an untrained model, with weights from the representation's seed and normalisation from
    the episodes.

    Args:
        recording: The recorded episodes.
        config: Settings of the run.
        episodes: Positions of the training episodes.
        vit: Description of a vision transformer, whose weights are then random; empty: that of
            `vit_folder`, if there is one, with the weights that are there.

    Raises:
        TrainingError: The settings do not fit the robot, or the folder cannot be used.
    """
    names = recording.dataset.pose_names if recording.poses is not None else ()
    architecture = dataclasses.replace(config.architecture, pose_names=names)
    history = config.history or recording.spec.history
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed_of_representation)
        try:
            state = recording.spec.state.with_all_angles()
            spec = dataclasses.replace(recording.spec, history=history, state=state)
            if config.vit_folder:
                wanted = vit or _description(config.vit_folder)
                architecture = dataclasses.replace(architecture, vit=wanted)
            model = WorldModel(spec, architecture)
            if isinstance(model.encoder, TransformerEncoder) and not vit:
                model.encoder.take_weights(Path(config.vit_folder))
        except SpecError as error:
            raise TrainingError(str(error)) from None
    states = recording.states[np.isin(recording.episode_of, episodes)]
    mean, spread = measure_state(spec.state, states)
    model.state_mean.copy_(torch.from_numpy(mean))
    model.state_std.copy_(torch.from_numpy(spread))
    model.decoder.set_background(mean_image(recording, episodes, config.seed_of_representation))
    return model


def renew_dynamics(
    model: WorldModel, recording: Recording, config: TrainConfig, episodes: np.ndarray
) -> None:
    """Restart the dynamics with weights from its own seed.

    Args:
        model: The model, changed in place.
        recording: The recorded episodes.
        config: Settings of the run.
        episodes: Positions of the training episodes.
    """
    config = dataclasses.replace(config, representation_seed=config.seed)
    fresh = new_model(recording, config, episodes, model.architecture.vit).state_dict()
    weights = {name: value for name, value in fresh.items() if name.startswith("dynamics.")}
    model.load_state_dict(weights, strict=False)


def check_data(
    recording: Recording, config: TrainConfig, episodes: np.ndarray, history: int
) -> None:
    """Check that the data fit the settings.

    Args:
        recording: The recorded episodes.
        config: Settings of the run.
        episodes: Positions of the training episodes.
        history: Model steps that the dynamics sees.

    Raises:
        TrainingError: The data are too few or of the wrong kind.
    """
    longest = max(history - 1 + config.horizon, history + 1)
    if len(recording.window_starts(longest, episodes)) == 0:
        raise TrainingError(
            f"no episode is long enough: {longest} model steps "
            f"({longest * recording.spec.frame_skip} control steps) are needed"
        )
    executed = [name for name in config.synthesis if name in rollout_methods()]
    if executed and recording.simulator_states is None:
        raise TrainingError(
            f"synthesis {','.join(executed)} executes new actions from recorded states in a "
            "simulator, but this dataset has no simulator states: a real robot cannot return to a "
            f"recorded moment; accepted here: --synthesis {','.join(perturbations())}, or none"
        )
    for name in executed:
        if complaint := rollout_methods()[name].complaint(config.method(name), history):
            raise TrainingError(complaint)


def check_finite(model: WorldModel, phase: str) -> None:
    """Check the weights after a phase.

    Args:
        model: The model.
        phase: Name of the phase.

    Raises:
        TrainingError: A weight is not finite.
    """
    for name, weight in model.state_dict().items():
        if not torch.isfinite(weight).all():
            raise TrainingError(
                f"weight {name} is not finite after phase {phase}; try a lower {phase}_rate"
            )


def data_notes(recording: Recording) -> list[str]:
    """Return warnings about a recording that limit a model of it.

    Args:
        recording: The recorded episodes.

    Returns:
        One sentence each; empty if all is well.
    """
    spec, states, notes = recording.spec, recording.states.astype(np.float64), []
    for column, name in enumerate(spec.state.names):
        values = states[:, column]
        spread, step = values.std(), np.spacing(np.float32(np.abs(values).max()))
        if spread <= step:
            notes.append(f"state {name} is always {values[0]:g}, so it carries no information")
        elif step > _COARSE * spread:
            notes.append(
                f"state {name} is near {values.mean():g} and changes by only {spread:.2g}: numbers "
                f"that large are stored in steps of {step:.2g}; subtract an offset, or leave it out"
            )
    for name in spec.state.unnamed_angles:
        notes.append(f"state {name} counts as an angle: the model sees its sine and cosine")
    actions = recording.actions[~np.isnan(recording.actions).any(1)]
    for name, values in zip(spec.action.names, actions.T, strict=True):
        if np.ptp(values) == 0:
            notes.append(f"action {name} never changes: the model cannot learn its effect")
    some = np.unique(np.linspace(0, len(recording.images) - 1, _PICTURES).astype(int))
    if (np.asarray(recording.images[some]) == recording.images[0]).all():
        notes.append("all images are the same: the model cannot see what the robot does")
    return notes


def posture_notes(model: WorldModel) -> list[str]:
    """Return a warning for robots whose measured state is their whole posture.

    Args:
        model: The model.

    Returns:
        One sentence, or nothing.
    """
    spec = model.spec
    measured = set(spec.action.names) <= set(spec.state.names)
    if not (spec.rest_is_measured and measured and model.architecture.robot_from_state):
        return []
    return [
        "the model draws the robot from its measured positions and compares goals by the rest of "
        "the image; for goals that are postures of the robot itself, set "
        "architecture.robot_from_state: false"
    ]


def representation_identity(
    config: TrainConfig, history: int, data: dict[str, Any]
) -> dict[str, Any]:
    """Return everything that decides the outcome of the phases before `dynamics`.

    The number of training episodes is left out: variants with fewer episodes share one encoder.

    Args:
        config: Settings of the run.
        history: Model steps that the dynamics sees.
        data: Result of `data_identity`.
    """
    settings = {**config.representation_settings(), "history": history}
    return {"settings": settings, **data}


def run_identity(
    config: TrainConfig, compute: Compute, data: dict[str, Any], donor: str | None
) -> dict[str, Any]:
    """Return everything that decides the outcome of a run.

    Args:
        config: Settings of the run.
        compute: Where the run trains.
        data: Result of `data_identity`.
        donor: Hash of the representation of another run, if it is used.
    """
    return {
        "config": config.deciding_settings(), **data,
        "precision": compute.precision, "representation": donor,
    }  # fmt: skip


def data_identity(recording: Recording, compute: Compute, model: WorldModel) -> dict[str, Any]:
    """Return everything except the settings that decides the numbers of every phase.

    Args:
        recording: The recorded episodes.
        compute: Where the run trains.
        model: The new model of the run.
    """
    identity: dict[str, Any] = {
        "data": recording.dataset.content_hash(),
        "episodes": len(recording.indices),
        "processes": compute.processes,
    }
    if isinstance(model.encoder, TransformerEncoder):
        identity["vit"] = [model.encoder.hash(), model.architecture.vit]
    if recording.spec.state.unnamed_angles:  # older runs have another model
        identity["angles"] = list(recording.spec.state.with_all_angles().angles)
    return identity


def data_provenance(recording: Recording, config: TrainConfig, episodes: int) -> dict[str, Any]:
    """Return the part of a model's provenance that a run knows from the beginning.

    Args:
        recording: The recorded episodes.
        config: Settings of the run.
        episodes: Number of training and held-out episodes.
    """
    return {
        "seed": config.seed,
        "data": {
            "hash": recording.dataset.content_hash(),
            "episodes": episodes,
            **recording.dataset.provenance,
        },
        "synthesis": list(config.synthesis),
        "config": config.to_dict(),
    }


def _description(folder: str) -> str:
    try:
        return read_description(Path(folder))
    except SpecError as error:
        raise TrainingError(
            f"vit_folder is {folder!r}: {error}; accepted: a folder with config.json, "
            "preprocessor_config.json and model.safetensors"
        ) from None
