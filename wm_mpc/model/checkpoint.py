"""One `.safetensors` file carries a world model and everything the `mpc` node must know.

Tensors hold the weights; one JSON entry of the file's metadata holds the robot (names, limits,
rates, image), the architecture, and how the file was made. Nothing in it is executed on loading.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

import wm_mpc
from wm_mpc.model.dynamics import GruDynamics
from wm_mpc.model.familiarity import Familiarity
from wm_mpc.model.world_model import Architecture, WorldModel
from wm_mpc.spec import RobotSpec, SpecError

FORMAT = 2  # 2: with the temporal embedding
_KEY = "wm_mpc"


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged, foreign, or of another format."""


def save_checkpoint(
    model: WorldModel, path: str | os.PathLike[str], provenance: dict[str, Any]
) -> None:
    """Write a checkpoint atomically (temporary file, fsync, rename).

    provenance: how it was made: command, seed, data hash, git commit, synthesis, metrics.
    """
    path = Path(path)
    metadata = {
        "format": FORMAT,
        "wm_mpc": wm_mpc.__version__,
        **model.spec.to_dict(),
        "architecture": vars(model.architecture),
        "normalisation": {
            "image": "divided by 255",
            "action": "limits to [-1, 1]",
            "state_mean": model.state_mean.tolist(),
            "state_std": model.state_std.tolist(),
        },
        "familiarity": None if model.familiarity is None else model.familiarity.to_dict(),
        "provenance": provenance,
    }
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        safetensors.torch.save_file(tensors, temporary, {_KEY: json.dumps(metadata)})
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # the library makes files only their owner can read
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The JSON entry of a checkpoint. Raises CheckpointError saying what is wrong with the file."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            entry = (file.metadata() or {}).get(_KEY)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged or not a .safetensors file: {error}") from None
    if entry is None:
        raise CheckpointError(f"{path} is a .safetensors file, but not a wm_mpc checkpoint")
    try:
        metadata: dict[str, Any] = json.loads(entry)
        version = metadata["format"]
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{path} has a damaged wm_mpc entry") from None
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {version!r}, made by wm_mpc "
            f"{metadata.get('wm_mpc', 'unknown')}; this wm_mpc {wm_mpc.__version__} reads "
            f"format {FORMAT}"
        )
    return metadata


def load_checkpoint(
    path: str | os.PathLike[str], *, exact: bool = False
) -> tuple[WorldModel, dict[str, Any]]:
    """Load and validate a checkpoint; returns the model in evaluation mode, without gradients on
    its weights, and the metadata. The large weights of recurrent dynamics are rounded to bfloat16
    (`GruDynamics.round_weights`), for whatever plans with them, unless `exact`: for what trains
    them further, or writes them again. Raises CheckpointError."""
    metadata = read_metadata(path)
    try:
        spec = RobotSpec.from_dict(metadata)
        model = WorldModel(spec, Architecture.from_dict(metadata["architecture"]))
        known = metadata.get("familiarity")  # not in older files
        model.familiarity = None if known is None else Familiarity.from_dict(known)
    except (SpecError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} describes no usable robot: {error}") from None
    try:
        tensors = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    wanted = model.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors or name not in wanted:
            raise CheckpointError(f"{path}: tensor {name!r} is missing or unknown")
        if tensors[name].shape != wanted[name].shape:
            raise CheckpointError(
                f"{path}: tensor {name!r} has shape {tuple(tensors[name].shape)}; its "
                f"architecture wants {tuple(wanted[name].shape)}"
            )
        if not torch.isfinite(tensors[name]).all():
            raise CheckpointError(f"{path}: tensor {name!r} contains NaN or infinity")
    model.load_state_dict(tensors)
    if isinstance(model.dynamics, GruDynamics) and not exact:
        model.dynamics.round_weights()
    model.eval().requires_grad_(False)
    return model, metadata
