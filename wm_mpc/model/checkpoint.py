"""One `.safetensors` file holds a world model and everything that the `mpc` node must know.

Tensors hold the weights. One JSON entry in the metadata holds the robot (names, limits, rates,
image), the architecture, and the provenance. Loading executes nothing from the file.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

import wm_mpc
from wm_mpc.atomic import replacing
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.familiarity import Familiarity
from wm_mpc.model.tensor_file import TensorFile, TensorFileError
from wm_mpc.model.vision_transformer import LEAST_TENSORS, MissingPackageError, version
from wm_mpc.model.vit_description import described
from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import RobotSpec, SpecError

FORMAT = 2  # since 2, a model has the temporal embedding
FORMAT_WITH_ANGLES = 3  # for a state with angles, which older versions would misread
FORMAT_WITH_CAMERAS = 4  # for several cameras; older versions know only one
FORMAT_WITH_TRANSFORMER = 5  # for a vision transformer; older versions have none
FORMATS = (FORMAT, FORMAT_WITH_ANGLES, FORMAT_WITH_CAMERAS, FORMAT_WITH_TRANSFORMER)
_KEY = "wm_mpc"
# Sizes that appear in no tensor if another size (the value) leaves their part out.
_IDLE = {"proposal_steps": "proposals"}
_OF_TRANSFORMERS = ("layers", "heads", "context")


class CheckpointError(RuntimeError):
    """The checkpoint is missing, damaged, foreign, or of another format."""


def save_checkpoint(
    model: WorldModel, path: str | os.PathLike[str], provenance: dict[str, Any]
) -> None:
    """Write a checkpoint atomically: the file is complete, or it does not change.

    Args:
        model: The world model.
        path: Path of the file.
        provenance: How the model was made: command, seed, hash of the data, commit, synthesis,
            metrics.
    """
    path = Path(path)
    metadata = {
        "format": _format_of(model.spec, model.architecture),
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
    if model.architecture.encoder == "vit":
        metadata["transformers"] = version()
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, {_KEY: json.dumps(metadata)})
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # the library lets only the owner read its files


def _format_of(spec: RobotSpec, sizes: Architecture) -> int:
    if sizes.encoder == "vit":
        return FORMAT_WITH_TRANSFORMER
    if spec.image.cameras:
        return FORMAT_WITH_CAMERAS
    return FORMAT_WITH_ANGLES if spec.state.angles else FORMAT


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the JSON entry of a checkpoint.

    Args:
        path: Path of the file.

    Raises:
        CheckpointError: The file is missing, damaged or foreign; the message says which.
    """
    with _open(Path(path)) as file:
        return _metadata(Path(path), file)


def _open(path: Path) -> TensorFile:
    try:
        is_there = path.exists()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise CheckpointError(f"no checkpoint at {path}: {error}") from None
    if not is_there or path.is_dir():
        raise CheckpointError(f"no checkpoint at {path}{' (a folder)' if is_there else ''}")
    try:
        return TensorFile(path)
    except TensorFileError as error:
        raise CheckpointError(f"{path} is damaged or not a .safetensors file: {error}") from None


def _metadata(path: Path, file: TensorFile) -> dict[str, Any]:
    entry = file.metadata.get(_KEY)
    if entry is None:
        raise CheckpointError(f"{path} is a .safetensors file, but not a wm_mpc checkpoint")
    try:
        metadata: dict[str, Any] = json.loads(entry)
        version = metadata["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CheckpointError(f"{path} has a damaged wm_mpc entry") from None
    if type(version) is not int or version not in FORMATS:
        raise CheckpointError(
            f"{path} has checkpoint format {str(version)[:100]}, made by wm_mpc "
            f"{str(metadata.get('wm_mpc', 'unknown'))[:100]}; this wm_mpc {wm_mpc.__version__} "
            f"reads formats {', '.join(map(str, FORMATS[:-1]))} and {FORMATS[-1]}"
        )
    metadata.setdefault("provenance", {})
    if not isinstance(metadata["provenance"], dict):
        raise CheckpointError(f"{path}: provenance is not a table of entries")
    return metadata


def load_checkpoint(
    path: str | os.PathLike[str], *, exact: bool = False
) -> tuple[WorldModel, dict[str, Any]]:
    """Load and check a checkpoint.

    No memory is allocated before the header agrees with the description of the model.

    Args:
        path: Path of the file.
        exact: Keep all weights as they are, to train or write them again. Otherwise the large
            weights of the dynamics are rounded to bfloat16 (`Dynamics.round_weights`).

    Returns:
        The model, in evaluation mode and without gradients on its weights, and the metadata.

    Raises:
        CheckpointError: The file is missing, damaged, foreign, or of another format.
    """
    path = Path(path)
    with _open(path) as file:
        metadata = _metadata(path, file)
        model = _described(path, metadata, file)
        try:
            tensors = file.tensors()
        except TensorFileError as error:
            raise CheckpointError(f"{path} is damaged: {error}") from None
    _check_finite(path, tensors, "NaN or infinity")
    if not (tensors["state_std"] > 0.0).all():
        raise CheckpointError(f"{path}: state_std is {tensors['state_std'].tolist()}; wanted: > 0")
    # Copies are aligned as new tensors are. `to_empty` would import SymPy for that.
    own = {name: tensor.clone() for name, tensor in tensors.items()}
    model.load_state_dict(own, assign=True)
    if not exact:
        model.dynamics.round_weights()
        _check_finite(path, model.state_dict(), "a number too large for bfloat16")
    model.eval().requires_grad_(False)
    return model, metadata


def _check_finite(path: Path, tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise CheckpointError if a number is not finite; `what` names such numbers.

    NumPy does not wake threads, which takes longer than to look.
    """
    for name, tensor in tensors.items():
        if not np.isfinite(tensor.numpy()).all():
            raise CheckpointError(f"{path}: tensor {name!r} contains {what}")


def _described(path: Path, metadata: dict[str, Any], file: TensorFile) -> WorldModel:
    """The model that the metadata describes, without memory for its weights. Raises
    CheckpointError."""
    try:
        spec = RobotSpec.from_dict(metadata)
        sizes = Architecture.from_dict(metadata["architecture"])
        _check_sizes(spec, sizes, file)
        with torch.device("meta"):
            model = WorldModel(spec, sizes)
        known = metadata.get("familiarity")  # not in older files
        model.familiarity = None if known is None else Familiarity.from_dict(known)
    except CheckpointError:
        raise
    except MissingPackageError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except Exception as error:  # a foreign description can cause any error
        reason = error if isinstance(error, SpecError) else repr(error)
        raise CheckpointError(f"{path} describes no usable robot: {str(reason)[:500]}") from None
    if metadata["format"] != _format_of(spec, sizes):
        raise CheckpointError(
            f"{path} has checkpoint format {metadata['format']}, but its state.angles are "
            f"{spec.state.angles}, it has {len(spec.images)} cameras, and its encoder is "
            f"{sizes.encoder}; format {FORMAT_WITH_ANGLES} is for files with angles, "
            f"{FORMAT_WITH_CAMERAS} for several cameras, {FORMAT_WITH_TRANSFORMER} for an encoder "
            "vit"
        )
    if model.familiarity is not None:
        _check_cameras(path, model.familiarity, len(spec.images))
    wanted = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    for name in sorted(wanted.keys() | file.shapes.keys()):
        if name not in file.shapes or name not in wanted:
            why = ""
            if name.startswith("encoder.vit."):  # other versions may use other names
                made = str(metadata.get("transformers"))[:50]
                why = f" (made with transformers {made}, here is {version()}: install the first)"
            raise CheckpointError(f"{path}: tensor {name[:100]!r} is missing or unknown{why}")
        if file.shapes[name] != wanted[name]:
            raise CheckpointError(
                f"{path}: tensor {name!r} has shape {file.shapes[name]}; its architecture wants "
                f"{wanted[name]}"
            )
    return model


def _check_cameras(path: Path, found: Familiarity, cameras: int) -> None:
    """Raise CheckpointError if the usual errors are of another number of cameras."""
    several = cameras if cameras > 1 else 0
    for name, wanted in (
        ("camera_images", several), ("camera_unexplained", several if found.unexplained else 0)
    ):  # fmt: skip
        count = len(getattr(found, name))
        if count != wanted:
            raise CheckpointError(
                f"{path}: familiarity.{name} has {count} numbers for {cameras} cameras"
            )


def _check_sizes(spec: RobotSpec, sizes: Architecture, file: TensorFile) -> None:
    """Raise SpecError if a size is larger than all numbers of the file together.

    Making a model of such a size takes long, even without memory for its weights.
    """
    most = file.numbers
    found: dict[str, int] = {
        "image": sum(camera.height * camera.width for camera in spec.images),
        "frame_skip": spec.block_size,
    }  # fmt: skip
    for field in dataclasses.fields(sizes):
        value = getattr(sizes, field.name)
        is_idle = field.name in _IDLE and not getattr(sizes, _IDLE[field.name])
        is_idle |= field.name == "vit_patches"  # in no tensor at all
        is_idle |= field.name in _OF_TRANSFORMERS and sizes.dynamics != "transformer"
        if type(value) is int and not is_idle:
            found[field.name] = value
    if sizes.encoder == "vit":
        layers = described(sizes.vit).get("num_hidden_layers", 12)  # their usual number
        there = sum(name.startswith("encoder.vit.") for name in file.shapes)
        if layers * LEAST_TENSORS > there:
            raise SpecError(
                f"num_hidden_layers is {layers}; the file has {there} tensors of its transformer"
            )
    for name, value in found.items():
        if value > most:
            raise SpecError(f"{name} means at least {value} numbers; the file has {most}")
    if sizes.dynamics == "transformer" and sizes.layers > len(file.shapes):
        raise SpecError(f"layers is {sizes.layers}; the file has {len(file.shapes)} tensors")
