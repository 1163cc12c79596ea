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
from wm_mpc.model.world_model import WorldModel
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import RunDirectory, TrainingError

# What the phase `dynamics` trains or fits anew.
RENEWED = ("dynamics.", "pose_weight", "pose_bias")
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
        if found := _differences(given, model):
            raise TrainingError(
                f"the representation of {self.path} does not fit this run: {'; '.join(found)}; the "
                "robot must be the same, and an architecture can be set in --config"
            )
        self._weights, self._provenance = _given_by(given), metadata["provenance"]
        self._hash, self._task = _hash_of(self._weights), given.spec.task

    def hash(self) -> str:
        """See `Donor`."""
        return self._hash

    def take(self) -> dict[str, Any]:
        """See `Donor`."""
        return {"model": self._weights, "history": [], "seconds": 0.0, "latents": None}

    def origin(self) -> dict[str, Any] | None:
        """See `Donor`. It has the whole provenance of the checkpoint but its metrics."""
        made = {name: value for name, value in self._provenance.items() if name != "metrics"}
        return {"checkpoint": self.path.name, "hash": self._hash, "task": self._task, **made}


def hash_of_checkpoint(path: Path) -> str:
    """Return a short hash of the representation that a checkpoint gives.

    Args:
        path: The file.

    Raises:
        CheckpointError: There is no such file, or it is damaged.
    """
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
    return {name: weight for name, weight in named if not name.startswith(RENEWED)}


def _hash_of(weights: dict[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode() + weights[name].contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def _differences(given: WorldModel, wanted: WorldModel) -> list[str]:
    """What does not fit, one text each."""
    found = []
    for name in ("image", "state", "action", "control_period", "frame_skip"):
        there, here = getattr(given.spec, name), getattr(wanted.spec, name)
        if there != here:
            found += _of_parts(name, there, here)
    for field in dataclasses.fields(given.architecture):
        there, here = (getattr(m.architecture, field.name) for m in (given, wanted))
        if there != here and field.name not in _SIZES_OF_DYNAMICS:
            found.append(f"architecture.{field.name} is {there} there and {here} here")
    return found


def _of_parts(name: str, there: Any, here: Any) -> list[str]:
    """Differences of a part of the specification, entry by entry."""
    if not dataclasses.is_dataclass(there):
        return [f"{name} is {there} there and {here} here"]
    return [
        f"{name}.{field.name} is {getattr(there, field.name)} there and "
        f"{getattr(here, field.name)} here"
        for field in dataclasses.fields(there)
        if getattr(there, field.name) != getattr(here, field.name)
    ]
