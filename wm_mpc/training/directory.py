"""The directory of a run: its identity, its state, and the representation that other runs can use.

Each file appears completely or not at all (temporary file, fsync, rename), so a run may be killed
at any moment.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from wm_mpc.atomic import remove_leftovers, replacing


class TrainingError(RuntimeError):
    """A run that cannot start, continue or give a usable model."""


class RunDirectory:
    """The files of one run.

    Attributes:
        path: The directory.
    """

    CHOICE = "starts.json"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def claim(self, identity: dict[str, Any]) -> None:
        """Claim the directory for this run.

        Args:
            identity: Everything that distinguishes runs.

        Raises:
            TrainingError: The directory belongs to another run, or is damaged.
        """
        identity = _as_json(identity)
        remove_leftovers(self.path)
        previous = self._identity()
        if previous is None:
            self.path.mkdir(parents=True, exist_ok=True)
            text = json.dumps(identity, indent=2)
            _write(self.path / "run.json", lambda file: file.write(text.encode()))
        elif previous != identity:
            raise TrainingError(
                f"{self.path} holds a run with other settings or other data "
                f"({difference(previous, identity)}); remove it or choose another --run directory"
            )

    def _identity(self) -> dict[str, Any] | None:
        path = self.path / "run.json"
        if not path.exists():
            return None
        try:
            identity: dict[str, Any] = json.loads(path.read_text())
        except ValueError:
            raise TrainingError(f"{path} is damaged; remove {self.path}") from None
        return identity

    def save_state(self, state: dict[str, Any]) -> None:
        """Save the state of the run.

        Args:
            state: Tensors and plain values, including those of optimiser and schedule.
        """
        _write(self.path / "state.pt", lambda file: torch.save(state, file))

    def load_state(self) -> dict[str, Any] | None:
        """Return the last saved state, or None.

        Raises:
            TrainingError: The file is damaged.
        """
        path = self.path / "state.pt"
        return _load(path, "remove it to start over") if path.exists() else None

    def save_part(self, name: str, part: dict[str, Any]) -> None:
        """Keep a finished part of a stage, so that a run that goes on need not make it again.

        Args:
            name: Name of the part.
            part: Tensors and plain values.
        """
        _write(self._part(name), lambda file: torch.save(part, file))

    def load_part(self, name: str) -> dict[str, Any] | None:
        """Return a part that was kept, or None.

        Args:
            name: Name of the part.

        Raises:
            TrainingError: The file is damaged.
        """
        path = self._part(name)
        return _load(path, "remove it to make it again") if path.exists() else None

    def remove_parts(self, name: str) -> None:
        """Remove the parts that were kept under names with a number.

        Args:
            name: Their names up to the number.
        """
        for path in self.path.glob(f"{name}[0-9]*.pt"):
            path.unlink()

    def _part(self, name: str) -> Path:
        return self.path / f"{name}.pt"

    def save_choice(self, choice: dict[str, Any]) -> None:
        """Record which of several starts went on.

        Args:
            choice: See `wm_mpc.training.starts.choice_of`.
        """
        text = json.dumps(choice, indent=2) + "\n"
        _write(self.path / self.CHOICE, lambda file: file.write(text.encode()))

    def save_representation(self, representation: dict[str, Any]) -> None:
        """Save the result of the phases before `dynamics`.

        Args:
            representation: Tensors and plain values, with the `identity` of its inputs.
        """
        plain = {**representation, "identity": _as_json(representation["identity"])}
        _write(self.path / "representation.pt", lambda file: torch.save(plain, file))

    def load_representation(self, identity: dict[str, Any]) -> dict[str, Any]:
        """Return the finished representation of this run, for another one.

        Args:
            identity: Identity of the inputs that the other run has.

        Raises:
            TrainingError: It was made from other inputs, is not finished, or is damaged.
        """
        path = self.path / "representation.pt"
        if not path.exists():
            raise TrainingError(
                f"{self.path} holds no finished representation (representation.pt is missing); "
                "the checkpoint of a finished run is one, too: name the file"
            )
        representation = _load(path, "train that run again")
        identity = _as_json(identity)
        if representation["identity"] != identity:
            raise TrainingError(
                f"the representation of {self.path} differs from the one this run would train: "
                f"{difference(representation['identity'], identity)}; to use it anyway, name the "
                "checkpoint of that run"
            )
        return representation

    def representation_hash(self, identity: dict[str, Any]) -> str:
        """Return a short hash of the finished representation.

        Args:
            identity: As for `load_representation`.

        Raises:
            TrainingError: As for `load_representation`.
        """
        self.load_representation(identity)
        return hashlib.sha256((self.path / "representation.pt").read_bytes()).hexdigest()[:16]


def _as_json(identity: dict[str, Any]) -> dict[str, Any]:
    """The identity as it returns from a file: tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def _load(path: Path, remedy: str) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(f"{path} is damaged ({error}); {remedy}") from None
    return state


def _write(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        write(file)


def difference(there: dict[str, Any], here: dict[str, Any], where: str = "") -> str:
    """Return the entries that differ, e.g. "seed is 1 there and 2 here".

    Args:
        there: Entries of something else; tables may be nested.
        here: Own entries.
        where: Name of the table with a dot, if it is inside another one.
    """
    found = []
    for name in sorted(there.keys() | here.keys()):
        first, second = there.get(name), here.get(name)
        if isinstance(first, dict) and isinstance(second, dict):
            inner = difference(first, second, f"{where}{name}.")
            found += [inner] if inner else []
        elif first != second:
            found.append(f"{where}{name} is {first} there and {second} here")
    return "; ".join(found)
