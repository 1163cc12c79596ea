"""One episode of a dataset, and the HDF5 file that holds it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np


class DatasetError(RuntimeError):
    """A dataset that is missing, damaged, of another format, or of another robot."""


@dataclasses.dataclass
class Episode:
    """One recorded episode of T control steps.

    Attributes:
        images: uint8 (T+1, height, width, 3), RGB.
        states: float32 (T+1, state size), in the units of the spec.
        actions: float32 (T, action size), in the unit of the spec, within its limits.
        simulator_states: float64 (T+1, any), only from simulation; with `layout`, enough to
            restore the simulator at any step.
        layout: float64 (any,), only from simulation.
        poses: float64 (T+1, any), only for diagnostics; the dataset's provenance names the entries
            ("pose_names").
        seed: Seed of the episode, or None.
    """

    images: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    simulator_states: np.ndarray | None = None
    layout: np.ndarray | None = None
    poses: np.ndarray | None = None
    seed: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.actions)


_REQUIRED = ("images", "states", "actions")
ARRAYS = (*_REQUIRED, "simulator_states", "layout", "poses")


def read_arrays(path: Path, names: tuple[str, ...]) -> Episode:
    """Read an episode from its file.

    Args:
        path: The file.
        names: Arrays to read, out of `ARRAYS`; without "images", `images` is empty.

    Raises:
        DatasetError: The file is damaged or missing.
    """
    try:
        with h5py.File(path, "r") as file:
            arrays: dict[str, Any] = {
                name: file[name][()] for name in names if name in file or name in _REQUIRED
            }
            seed = file.attrs.get("seed")
    except (OSError, KeyError, RuntimeError) as error:
        raise DatasetError(f"episode {path} cannot be read: {error}") from None
    arrays.setdefault("images", np.zeros(0, np.uint8))
    return Episode(**arrays, seed=None if seed is None else (int(seed[0]), int(seed[1])))


def write_arrays(path: Path, episode: Episode) -> None:
    """Write an episode to a new file.

    Args:
        path: The file.
        episode: The episode.
    """
    with h5py.File(path, "w") as file:
        for name in ARRAYS:
            array = getattr(episode, name)
            if array is None:
                continue
            if name == "images":
                file.create_dataset(
                    name, data=array, chunks=(1, *array.shape[1:]), compression="gzip",
                    compression_opts=1, shuffle=False,
                )  # fmt: skip
            else:
                file.create_dataset(name, data=array)
        if episode.seed is not None:
            file.attrs["seed"] = episode.seed
