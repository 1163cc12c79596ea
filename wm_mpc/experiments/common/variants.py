"""Find the checkpoints to compare: variants of a task's world model, and their training seeds.

A variant is named after its data synthesis (`none`, `random`, ..., `all`). Its files are
`<task>_<variant>.safetensors`, or `<task>_<variant>_s<seed>.safetensors` for several training
seeds. The task's own `<task>.safetensors` counts as the variant as which it was trained.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wm_mpc.model.checkpoint import CheckpointError, read_metadata
from wm_mpc.resources import checkpoint_folder, resolve_checkpoint
from wm_mpc.sim.task import Task
from wm_mpc.spec import RobotSpec, SpecError
from wm_mpc.synthesis.registry import METHODS
from wm_mpc.training.config import SYNTHESIS

# A checkpoint and a task must agree on these; the history, for example, is up to the model.
_SHARED = ("task", "action", "state", "image", "control_period", "frame_skip")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A world model to evaluate.

    Attributes:
        task: Task for which it was made.
        variant: Name of the variant.
        training_seed: Training seed, if known.
        path: The file.
        sha256: Hash of the file.
        provenance: How it was made.
        place_weight: Weight of the robot's place, as its training measured it.
    """

    task: str
    variant: str
    training_seed: int | None
    path: Path
    sha256: str
    provenance: Mapping[str, Any]
    place_weight: float = 0.0

    def describe(self) -> dict[str, Any]:
        """Return its identity and provenance for the results, without its path."""
        text = json.dumps(self.provenance, sort_keys=True)
        return {
            "variant": self.variant,
            "training_seed": self.training_seed,
            "file": self.path.name,
            "sha256": self.sha256,
            "provenance_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "provenance": dict(self.provenance),
        }


def variant_of(provenance: Mapping[str, Any]) -> str:
    """Return the name of a variant.

    Args:
        provenance: Provenance of a checkpoint.

    Returns:
        `none`, `all`, or methods joined by +.
    """
    methods = [str(method) for method in provenance.get("synthesis", [])]
    if not methods:
        return "none"
    return "all" if set(methods) == set(SYNTHESIS) else "+".join(methods)


def open_checkpoint(path: Path, variant: str | None = None) -> Checkpoint:
    """Describe a checkpoint file.

    Args:
        path: The file.
        variant: Name of the variant; None: from its provenance.

    Raises:
        CheckpointError: The file cannot be read.
    """
    metadata = read_metadata(path)
    provenance = metadata.get("provenance") or {}
    seed = provenance.get("seed")
    measured = metadata.get("familiarity") or {}
    return Checkpoint(
        str(metadata.get("task", "")),
        variant or variant_of(provenance),
        seed if isinstance(seed, int) else None,
        path,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        provenance,
        float(measured.get("place_weight", 0.0)),
    )


def find_checkpoints(
    task: str,
    variants: Sequence[str] = (),
    training_seeds: Sequence[int] = (),
    folder: Path | None = None,
) -> list[Checkpoint]:
    """Find the checkpoints of each variant and training seed, in the given order.

    Args:
        task: Name of the task.
        variants: Names ("all"), or names with a file or a shipped checkpoint
            ("all=path/to.safetensors"); empty: the task's own shipped checkpoint.
        training_seeds: Seeds; empty: the file without a seed in its name, else the lowest seed.
        folder: First folder to search, before the shipped checkpoints.

    Raises:
        CheckpointError: A checkpoint is missing; the text names it and lists those that exist.
    """
    if not variants:
        found = [open_checkpoint(resolve_checkpoint(task))]
    else:
        found = []
        for text in variants:
            name, equals, path = text.partition("=")
            if equals:
                found.append(open_checkpoint(resolve_checkpoint(path), name))
            else:
                found += _named(task, name, training_seeds, folder)
    if training_seeds:
        found = [checkpoint for checkpoint in found if checkpoint.training_seed in training_seeds]
        _require_seeds(found, variants, training_seeds)
    keys = [(checkpoint.variant, checkpoint.training_seed) for checkpoint in found]
    repeated = sorted({name for name, seed in keys if keys.count((name, seed)) > 1})
    if repeated:
        raise CheckpointError(
            f"--variants names these twice: {', '.join(repeated)}; accepted: each variant once"
        )
    return found


def _named(
    task: str, variant: str, training_seeds: Sequence[int], folder: Path | None
) -> list[Checkpoint]:
    folders = [*([folder] if folder else []), checkpoint_folder()]
    plain, seeded = _files(task, variant, folders)
    if training_seeds:
        chosen = [
            dataclasses.replace(open_checkpoint(path, variant), training_seed=seed)
            for seed, path in seeded.items()
            if seed in training_seeds
        ]
        missing = set(training_seeds) - {checkpoint.training_seed for checkpoint in chosen}
        if missing and plain and open_checkpoint(plain).training_seed in missing:
            chosen.append(open_checkpoint(plain, variant))
        return sorted(chosen, key=lambda c: training_seeds.index(c.training_seed or 0))
    if plain:
        return [open_checkpoint(plain, variant)]
    if seeded:
        seed = min(seeded)
        return [dataclasses.replace(open_checkpoint(seeded[seed], variant), training_seed=seed)]
    raise CheckpointError(
        f"no checkpoint {task}_{variant}.safetensors (or {task}_{variant}_s<seed>.safetensors); "
        f"{_there_is(task, folders)}; or name a file: --variants {variant}=FILE"
    )


def _files(task: str, variant: str, folders: Sequence[Path]) -> tuple[Path | None, dict[int, Path]]:
    """The file without a seed in its name, and the files with one; earlier folders win."""
    plain: Path | None = None
    seeded: dict[int, Path] = {}
    for folder in folders:
        path = folder / f"{task}_{variant}.safetensors"
        plain = plain or (path if path.is_file() else None)
        for path in folder.glob(f"{task}_{variant}_s*.safetensors"):
            match = re.fullmatch(r".*_s(\d+)", path.stem)
            if match:
                seeded.setdefault(int(match.group(1)), path)
    for folder in folders:
        path = folder / f"{task}.safetensors"
        if plain is None and path.is_file() and open_checkpoint(path).variant == variant:
            plain = path
    return plain, seeded


def _there_is(task: str, folders: Iterable[Path]) -> str:
    names = sorted(
        {path.stem for folder in folders for path in folder.glob(f"{task}*.safetensors")}
    )
    return f"checkpoints of this task: {', '.join(names) or 'none'}"


def _require_seeds(
    found: Sequence[Checkpoint], variants: Sequence[str], training_seeds: Sequence[int]
) -> None:
    names = [text.partition("=")[0] for text in variants] or ["the shipped checkpoint"]
    for name in dict.fromkeys(names):
        seeds = [c.training_seed for c in found if c.variant == name or not variants]
        missing = [seed for seed in training_seeds if seed not in seeds]
        if missing:
            there = ", ".join(str(seed) for seed in seeds) or "none"
            raise CheckpointError(
                f"variant {name}: no checkpoint of training seed "
                f"{', '.join(str(seed) for seed in missing)} (found of those asked for: {there})"
            )


def check_fits(checkpoint: Checkpoint, task: Task) -> None:
    """Check that a checkpoint fits the simulation of a task.

    Args:
        checkpoint: The checkpoint.
        task: The task.

    Raises:
        CheckpointError: The checkpoint is for another task or robot.
    """
    try:
        spec = RobotSpec.from_dict(read_metadata(checkpoint.path))
    except SpecError as error:
        raise CheckpointError(
            f"{checkpoint.path} does not describe a usable robot: {error}"
        ) from None
    for name in _SHARED:
        has, wants = getattr(spec, name), getattr(task.spec, name)
        if has != wants:
            raise CheckpointError(
                f"{checkpoint.path} does not fit the task {task.spec.task!r}: its {name} is "
                f"{has}, the simulation's is {wants}"
            )


def doubts(checkpoints: Iterable[Checkpoint]) -> list[str]:
    """Return one warning for each variant whose name and provenance differ.

    Args:
        checkpoints: The checkpoints.
    """
    lines = []
    for checkpoint in checkpoints:
        trained = variant_of(checkpoint.provenance)
        names = checkpoint.variant.split("+")
        known = checkpoint.variant in ("none", "all") or set(names) <= set(METHODS)
        if known and sorted(names) != sorted(trained.split("+")):
            lines.append(
                f"{checkpoint.path.name} is evaluated as variant {checkpoint.variant!r}, but was "
                f"trained as {trained!r}"
            )
    return lines
