"""The dataset: a directory of episodes, one HDF5 file each, and windows drawn from it.

    <dataset>/dataset.json          format, robot spec, provenance
    <dataset>/index.jsonl           one line per finished episode
    <dataset>/episodes/000042.h5    images, states, actions (chunked, gzip)
    <dataset>/cache/                uncompressed images for training; may be deleted at any time

An episode appears under its final name only when it is complete (temporary file, fsync, rename),
so a killed collection loses at most the episode under way.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wm_mpc.atomic import replacing, write
from wm_mpc.data.image_cache import cached_images
from wm_mpc.spec import RobotSpec, SpecError

FORMAT = 1


class DatasetError(RuntimeError):
    """A dataset that is missing, foreign, damaged, or of another robot."""


@dataclasses.dataclass
class Episode:
    """One recorded episode of T control steps.

    Attributes:
        images: uint8 (T+1, height, width, 3).
        states: float32 (T+1, state size), in the units of the spec.
        actions: float32 (T, action size), in the unit of the spec, inside its limits.
        simulator_states: float64 (T+1, any), from simulation only: enough to restore the simulator
            at each step.
        layout: float64 (any,), from simulation only.
        poses: float64 (T+1, any), for diagnostics and pictures only; the dataset's provenance names
            them ("pose_names").
        seed: What the episode was made from, or None.
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


_REQUIRED_ARRAYS = ("images", "states", "actions")
_ARRAYS = (*_REQUIRED_ARRAYS, "simulator_states", "layout", "poses")


class Dataset:
    """Read and append access. Safe for several writing processes (each its own episodes)."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open an existing dataset.

        Raises:
            DatasetError: There is none, or it is not one of ours.
        """
        self.path = Path(path)
        try:
            header = json.loads((self.path / "dataset.json").read_text())
        except FileNotFoundError:
            raise DatasetError(f"no dataset at {self.path} (dataset.json is missing)") from None
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.path}/dataset.json cannot be read: {error}") from None
        version = header.get("format") if isinstance(header, dict) else None
        if version != FORMAT:
            raise DatasetError(
                f"dataset {self.path} has format {version!r}; this version reads format {FORMAT}"
            )
        try:
            self.spec = RobotSpec.from_dict(header.get("spec", {}))
        except SpecError as error:
            raise DatasetError(
                f"{self.path}/dataset.json describes no usable robot: {error}"
            ) from None
        self.provenance: dict[str, Any] = header.get("provenance", {})

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        spec: RobotSpec,
        provenance: dict[str, Any] | None = None,
    ) -> Dataset:
        """Create a dataset, or open it if it exists and is of the same robot.

        Args:
            path: Its directory.
            spec: The robot.
            provenance: How the data were made.

        Raises:
            DatasetError: It is of another robot, or the directory cannot be made.
        """
        path = Path(path)
        if (path / "dataset.json").exists():
            dataset = cls(path)
            if not dataset.spec.is_same_robot(spec):
                raise DatasetError(
                    f"dataset {path} is of another robot or version of it (task "
                    f"{dataset.spec.task!r}); choose another --dataset or remove it"
                )
            return dataset
        header = {"format": FORMAT, "spec": spec.to_dict(), "provenance": provenance or {}}
        try:
            (path / "episodes").mkdir(parents=True, exist_ok=True)
            write(path / "dataset.json", json.dumps(header, indent=2))
        except OSError as error:
            raise DatasetError(f"dataset {path} cannot be made: {error}") from None
        return cls(path)

    def indices(self) -> list[int]:
        """Numbers of the complete episodes, ascending."""
        return sorted(int(p.stem) for p in (self.path / "episodes").glob("[0-9]*.h5"))

    @property
    def pose_names(self) -> tuple[str, ...]:
        """Names of the recorded poses' entries; empty when there are none."""
        return tuple(self.provenance.get("pose_names", ()))

    def __len__(self) -> int:
        return len(self.indices())

    def append(self, index: int, episode: Episode) -> None:
        """Store an episode under its number; complete or not at all."""
        self._check(episode)
        final = self.path / "episodes" / f"{index:06d}.h5"
        with replacing(final) as temporary:
            _write_arrays(temporary, episode)
        line = {"episode": index, "steps": len(episode), "seed": episode.seed}
        with open(self.path / "index.jsonl", "a") as index_file:
            index_file.write(json.dumps(line) + "\n")

    def _check(self, episode: Episode) -> None:
        spec, steps = self.spec, len(episode)
        wanted = {
            "images": (steps + 1, spec.image.height, spec.image.width, 3),
            "states": (steps + 1, spec.state.size),
            "actions": (steps, spec.action.size),
        }
        for name, shape in wanted.items():
            array = getattr(episode, name)
            if array.shape != shape:
                raise DatasetError(f"episode {name} have shape {array.shape}; wanted {shape}")
        if episode.images.dtype != np.uint8:
            raise DatasetError(f"episode images are {episode.images.dtype}; wanted uint8")
        for name in ("simulator_states", "poses"):
            array = getattr(episode, name)
            if array is not None and len(array) != steps + 1:
                raise DatasetError(f"episode {name} have {len(array)} rows; wanted {steps + 1}")
        for name in ("states", "actions"):
            if not np.isfinite(getattr(episode, name)).all():
                raise DatasetError(f"episode {name} contain NaN or infinity")

    def read(self, index: int) -> Episode:
        """One whole episode.

        Raises:
            DatasetError: Its file is damaged or missing.
        """
        return self._read(index, _ARRAYS)

    def read_without_images(self, index: int) -> Episode:
        """As `read`, but quick: `images` has no rows."""
        episode = self._read(index, _ARRAYS[1:])
        shape = (0, self.spec.image.height, self.spec.image.width, 3)
        return dataclasses.replace(episode, images=np.zeros(shape, np.uint8))

    def _read(self, index: int, names: tuple[str, ...]) -> Episode:
        path = self.path / "episodes" / f"{index:06d}.h5"
        try:
            with h5py.File(path, "r") as file:
                arrays: dict[str, Any] = {
                    name: file[name][()]
                    for name in names
                    if name in file or name in _REQUIRED_ARRAYS
                }
                seed = file.attrs.get("seed")
        except (OSError, KeyError, RuntimeError) as error:
            raise DatasetError(f"episode {path} cannot be read: {error}") from None
        arrays.setdefault("images", np.zeros(0, np.uint8))
        return Episode(**arrays, seed=None if seed is None else (int(seed[0]), int(seed[1])))

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(index) for index in self.indices())

    def content_hash(self) -> str:
        """A short hash of what is in it (spec and the numbers and file sizes of the episodes)."""
        digest = hashlib.sha256(json.dumps(self.spec.to_dict(), sort_keys=True).encode())
        for index in self.indices():
            size = (self.path / "episodes" / f"{index:06d}.h5").stat().st_size
            digest.update(f"{index}:{size};".encode())
        return digest.hexdigest()[:16]


class Recording:
    """A dataset laid out for training: all steps of all episodes, one after another.

    Attributes:
        images: uint8 (frames, height, width, 3), memory-mapped.
        states: float32 (frames, state size), not normalised.
        actions: float32 (frames, action size); NaN on the last frame of an episode, which no action
            follows.
        episode_of: int32 (frames,), the episode of each frame.
    """

    def __init__(self, dataset: Dataset, *, limit: int | None = None) -> None:
        self.dataset, self.spec = dataset, dataset.spec
        self.indices = dataset.indices()[:limit]
        if not self.indices:
            raise DatasetError(f"dataset {dataset.path} has no complete episode yet")
        states, actions, episode_of, poses = [], [], [], []
        simulator_states = []
        self.layouts: list[np.ndarray | None] = []
        for number, index in enumerate(self.indices):
            episode = dataset.read_without_images(index)
            gap = np.full((1, self.spec.action.size), np.nan, np.float32)
            states.append(episode.states)
            actions.append(np.concatenate([episode.actions, gap]))
            episode_of.append(np.full(len(episode) + 1, number, np.int32))
            simulator_states.append(episode.simulator_states)
            self.layouts.append(episode.layout)
            poses.append(episode.poses)
        self.images = cached_images(dataset, self.indices, [len(part) for part in actions])
        self.states = np.concatenate(states)
        self.actions = np.concatenate(actions)
        self.episode_of = np.concatenate(episode_of)
        self.simulator_states = _joined(simulator_states)
        self.poses = _joined(poses)

    def window_starts(self, steps: int, episodes: np.ndarray | None = None) -> np.ndarray:
        """Frame numbers at which a window fits into its episode.

        Args:
            steps: Model steps of the window.
            episodes: Numbers (positions in `indices`) to draw from; None: all.
        """
        span = steps * self.spec.frame_skip
        last = np.arange(len(self.states)) + span
        inside = last < len(self.states)
        fits = np.zeros(len(self.states), bool)
        fits[inside] = self.episode_of[inside.nonzero()[0]] == self.episode_of[last[inside]]
        if episodes is not None:
            fits &= np.isin(self.episode_of, episodes)
        return fits.nonzero()[0]

    def window(self, starts: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Frame numbers (batch, steps+1) and normalised action blocks (batch, steps, block size)
        of windows that begin at `starts`."""
        skip = self.spec.frame_skip
        frames = starts[:, None] + np.arange(steps + 1) * skip
        low_level = self.actions[starts[:, None] + np.arange(steps * skip)]
        blocks = self.spec.normalise_action(low_level)
        return frames, blocks.reshape(len(starts), steps, self.spec.block_size)


def _joined(arrays: list[np.ndarray | None]) -> np.ndarray | None:
    """One after another; None when any is missing."""
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if len(present) == len(arrays) else None


def _write_arrays(path: Path, episode: Episode) -> None:
    with h5py.File(path, "w") as file:
        for name in _ARRAYS:
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
