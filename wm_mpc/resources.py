"""Where the package's installed files are: configuration and shipped checkpoints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from wm_mpc.model.checkpoint import CheckpointError


def share_directory() -> Path:
    """The installed share/wm_mpc folder, or the source checkout.

    Raises FileNotFoundError when neither holds a `config` folder.
    """
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    places = [prefix / "share" / "wm_mpc" for prefix in prefixes]
    places += [Path(sys.prefix) / "share" / "wm_mpc", Path(__file__).resolve().parents[1]]
    for place in places:
        if (place / "config").is_dir():
            return place
    raise FileNotFoundError(
        "the installed files of wm_mpc (share/wm_mpc/config) were not found; source the "
        "workspace's setup file, or install the package"
    )


def checkpoint_folder() -> Path:
    """The folder of the shipped checkpoints.

    Raises:
        CheckpointError: The package's installed files are not found.
    """
    try:
        return share_directory() / "checkpoints"
    except FileNotFoundError as error:
        raise CheckpointError(str(error)) from None


def resolve_checkpoint(name: str) -> Path:
    """A checkpoint's path from a path or the name of a shipped one. Raises CheckpointError that
    lists the shipped ones."""
    path = Path(name).expanduser()
    if path.is_file():
        return path
    try:
        folder = checkpoint_folder()
    except CheckpointError as error:
        raise CheckpointError(f"no checkpoint {name!r}: {error}") from None
    path = folder / f"{name}.safetensors"
    if path.is_file():
        return path
    stems = [path.stem for path in sorted(folder.glob("*.safetensors"))]
    plain = name.removesuffix(".safetensors")
    if plain in stems:
        raise CheckpointError(f"no checkpoint {name!r}: it is no file; the shipped one is {plain}")
    shipped = ", ".join(stems) or "none"
    raise CheckpointError(f"no checkpoint {name!r}: it is no file, and shipped ones are: {shipped}")
