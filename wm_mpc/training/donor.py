"""Who gives a run its finished representation: another run, or a checkpoint.

A run gives the very representation that this run would train. A checkpoint gives its own encoder,
distance to a goal and first plans, whatever its data were; only the robot and the sizes must fit.
So the dynamics of a shipped model can be trained again on new data without training its eyes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint
from wm_mpc.model.vision_transformer import TransformerEncoder
from wm_mpc.model.world_model import WorldModel
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import RunDirectory, TrainingError, difference

# What the phase `dynamics` trains or fits anew.
_RENEWED = ("dynamics.", "pose_weight", "pose_bias")
_SIZES_OF_DYNAMICS = ("dynamics", "hidden", "layers", "heads", "context", "gate", "pose_names")

# Settings of these phases that the run itself applies, too: at encoding, or in the last phase.
_APPLIED = {
    "seed", "history", "validation", "architecture", "augmentation", "weight_decay", "ema"
}  # fmt: skip


class Donor(Protocol):
    """Gives a finished representation."""

    def hash(self) -> str:
        """Return a short hash of the representation.

        Raises:
            TrainingError: It does not fit, is not finished, or is damaged.
        """

    def take(self) -> dict[str, Any]:
        """Return the representation: `model` (weights by name), `history` (reported loss terms),
        `seconds` (training time), `latents` (of all recorded frames; None: to be computed).

        Raises:
            TrainingError: As for `hash`.
        """

    def origin(self) -> dict[str, Any] | None:
        """Return what the provenance of the model says of it: `checkpoint`, `hash`, and how it was
        made; None: the settings of this run say it all."""


class RunDonor:
    """Another run, with the same settings and data for the phases before `dynamics`.

    Args:
        path: Directory of the run.
        identity: What decides the outcome of these phases in this run.
    """

    def __init__(self, path: str | os.PathLike[str], identity: dict[str, Any]) -> None:
        self._files, self._identity = RunDirectory(path), identity

    def hash(self) -> str:
        """See `Donor`."""
        return self._files.representation_hash(self._identity)

    def take(self) -> dict[str, Any]:
        """See `Donor`."""
        return self._files.load_representation(self._identity)

    def origin(self) -> dict[str, Any] | None:
        """See `Donor`."""
        return None


class CheckpointDonor:
    """A checkpoint of the same robot, with the same sizes of everything but the dynamics.

    The file is read once, so it may change or go while the run trains.

    Args:
        path: The file, or the name of a shipped checkpoint.
        model: The model of this run.

    Raises:
        TrainingError: There is no such checkpoint, it is damaged, or it does not fit.
    """

    def __init__(self, path: str | os.PathLike[str], model: WorldModel) -> None:
        try:
            self.path = resolve_checkpoint(os.fspath(path))
            given, metadata = load_checkpoint(self.path, exact=True)
        except CheckpointError as error:
            raise TrainingError(
                f"--representation {path}: no folder of a run is there, and {error}"
            ) from None
        if found := difference(_wanted_of(given), _wanted_of(model)):
            raise TrainingError(
                f"the representation of {self.path} does not fit this run: {found}; the robot must "
                "be the same, and an architecture can be set in --config"
            )
        eyes = (given.encoder, model.encoder)
        if all(isinstance(one, TransformerEncoder) for one in eyes):
            theirs, ours = (one.hash() for one in eyes if isinstance(one, TransformerEncoder))
            if theirs != ours:
                raise TrainingError(
                    f"the vision transformer of {self.path} has other weights than vit_folder "
                    f"(hashes {theirs} and {ours})"
                )
        self._weights, self._provenance = _given_by(given), metadata["provenance"]
        self._own = {n: w for n, w in model.state_dict().items() if n.startswith(_RENEWED)}
        self._hash, self._task = _hash_of(self._weights), given.spec.task

    def hash(self) -> str:
        """See `Donor`."""
        return self._hash

    def take(self) -> dict[str, Any]:
        """See `Donor`."""
        weights = {**self._own, **self._weights}
        return {"model": weights, "history": [], "seconds": 0.0, "latents": None}

    def origin(self) -> dict[str, Any] | None:
        """See `Donor`. It has the whole provenance of the checkpoint but its metrics."""
        made = {name: value for name, value in self._provenance.items() if name != "metrics"}
        return {"checkpoint": self.path.name, "hash": self._hash, "task": self._task, **made}


def hash_of_checkpoint(name: str | os.PathLike[str]) -> str:
    """Return a short hash of the representation that a checkpoint gives.

    Args:
        name: The file, or the name of a shipped checkpoint.

    Raises:
        CheckpointError: There is no such file, or it is damaged.
    """
    path = resolve_checkpoint(os.fspath(name))
    return _hash_of(_given_by(load_checkpoint(path, exact=True)[0]))


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether a donor is the directory of a run, not a checkpoint.

    Args:
        path: A path, or the name of a shipped checkpoint.
    """
    if not Path(path).is_dir():
        return False
    if (Path(path) / "run.json").exists():
        return True
    try:
        resolve_checkpoint(os.fspath(path))
    except CheckpointError:
        return True
    return False


def donor_notes(origin: dict[str, Any], task: str, data: dict[str, Any]) -> list[str]:
    """Return what the measures of a model do not say if its representation was given.

    Args:
        origin: Result of `Donor.origin` of a checkpoint.
        task: Task of this run.
        data: Provenance of its recording.
    """
    notes, name = [], origin["checkpoint"]
    if origin["task"] != task:
        notes.append(f"the encoder of {name} was trained for task {origin['task']}, not {task}")
    if why := _known_data(origin, task, data):
        notes.append(
            f"the encoder of {name} may have seen the held-out episodes in its own training: "
            f"{why}. Then all measures are a little too good, and the mpc node expects smaller "
            "errors than it will meet (surprise)"
        )
    return notes


def _known_data(origin: dict[str, Any], task: str, data: dict[str, Any]) -> str:
    """Why the donor may know the data of a run; empty if nothing says so."""
    theirs = origin.get("data", {})
    if data.get("hash") is not None and theirs.get("hash") == data["hash"]:
        return "it was trained on these data"
    drawn = (theirs.get("seed"), theirs.get("explorer"))
    is_same = drawn[0] is not None and drawn == (data.get("seed"), data.get("explorer"))
    if is_same and origin["task"] == task:
        return f"they were recorded with the same --seed, {drawn[0]}"
    return ""


def donor_of(path: str | os.PathLike[str], identity: dict[str, Any], model: WorldModel) -> Donor:
    """Return the donor at a path.

    Args:
        path: Directory of a run, file of a checkpoint, or name of a shipped checkpoint.
        identity: What decides the outcome of the phases before `dynamics` in this run.
        model: The model of this run.

    Raises:
        TrainingError: There is neither, or the checkpoint does not fit.
    """
    if is_run(path):
        return RunDonor(path, identity)
    return CheckpointDonor(path, model)


def with_settings_of(origin: dict[str, Any], config: TrainConfig) -> dict[str, Any]:
    """Return the settings of a run, those of the phases that it did not run as its donor had them,
    or None where nobody wrote them down.

    Args:
        origin: Result of `Donor.origin`.
        config: Settings of the run.
    """
    donors = origin.get("config", {})
    taken = set(config.representation_settings()) - _APPLIED
    return {
        **config.to_dict(),
        **{name: donors.get(name) for name in sorted(taken)},
    }


def _given_by(model: WorldModel) -> dict[str, Tensor]:
    """The weights of a representation by name."""
    named = model.state_dict().items()
    return {name: weight for name, weight in named if not name.startswith(_RENEWED)}


def _hash_of(weights: dict[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode() + weights[name].contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def _wanted_of(model: WorldModel) -> dict[str, Any]:
    """What donor and run must have in common."""
    spec, sizes = model.spec, vars(model.architecture)
    return {
        "image": dataclasses.asdict(spec.image),
        "state": dataclasses.asdict(spec.state),
        "action": dataclasses.asdict(spec.action),
        "control_period": spec.control_period,
        "frame_skip": spec.frame_skip,
        "architecture": {n: size for n, size in sizes.items() if n not in _SIZES_OF_DYNAMICS},
    }
