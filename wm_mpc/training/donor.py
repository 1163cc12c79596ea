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

from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.training.directory import RunDirectory, TrainingError

# What the phase `dynamics` trains or fits anew.
_RENEWED = ("dynamics.", "pose_weight", "pose_bias")
_SIZES_OF_DYNAMICS = ("dynamics", "hidden", "layers", "heads", "context", "gate", "pose_names")


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
        """Return what the provenance of the model says of it; None: its settings say it all."""


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

    Args:
        path: The file, or the name of a shipped checkpoint.
        model: The model of this run.

    Raises:
        TrainingError: There is no such checkpoint, it is damaged, or it does not fit.
    """

    def __init__(self, path: str | os.PathLike[str], model: WorldModel) -> None:
        try:
            self._path = resolve_checkpoint(os.fspath(path))
            given, metadata = load_checkpoint(self._path, exact=True)
        except CheckpointError as error:
            raise TrainingError(
                f"--representation {path}: no folder of a run is there, and {error}"
            ) from None
        if found := _differences(given, model):
            raise TrainingError(
                f"the representation of {self._path} does not fit this run: {'; '.join(found)}"
            )
        self._weights = {
            name: weight
            for name, weight in given.state_dict().items()
            if not name.startswith(_RENEWED)
        }
        self._provenance = metadata["provenance"]

    def hash(self) -> str:
        """See `Donor`."""
        return hashlib.sha256(self._path.read_bytes()).hexdigest()[:16]

    def take(self) -> dict[str, Any]:
        """See `Donor`."""
        return {"model": self._weights, "history": [], "seconds": 0.0, "latents": None}

    def origin(self) -> dict[str, Any] | None:
        """See `Donor`."""
        made = {
            name: self._provenance[name]
            for name in ("command", "code", "seed", "data", "config")
            if name in self._provenance
        }
        return {"checkpoint": self._path.name, "hash": self.hash(), **made}


def donor_of(path: str | os.PathLike[str], identity: dict[str, Any], model: WorldModel) -> Donor:
    """Return the donor at a path.

    Args:
        path: Directory of a run, file of a checkpoint, or name of a shipped checkpoint.
        identity: What decides the outcome of the phases before `dynamics` in this run.
        model: The model of this run.

    Raises:
        TrainingError: There is neither, or the checkpoint does not fit.
    """
    if Path(path).is_dir():
        return RunDonor(path, identity)
    return CheckpointDonor(path, model)


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
