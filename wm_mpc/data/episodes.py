"""The dataset: a directory with one HDF5 file per episode, and windows drawn from it.

    <dataset>/dataset.json          format, robot spec, provenance
    <dataset>/index.jsonl           one line per finished episode
    <dataset>/episodes/000042.h5    images, states, actions (chunked, gzip)
    <dataset>/cache/                uncompressed images for training; may be deleted at any time

An episode gets its final name only when it is complete (temporary file, fsync, rename), so a killed
collection loses at most the current episode.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wm_mpc.atomic import replacing, write
from wm_mpc.data.episode import ARRAYS, DatasetError, Episode, read_arrays, write_arrays
from wm_mpc.data.image_cache import cached_images
from wm_mpc.spec import RobotSpec, SpecError

__all__ = ["FORMAT", "Dataset", "DatasetError", "Episode", "Recording"]

FORMAT = 1


class Dataset:
    """A dataset to read and extend. Several processes may write, each its own episodes.

    Attributes:
        path: The directory.
        spec: The robot.
        provenance: How the dataset was made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open an existing dataset.

        Args:
            path: The directory.

        Raises:
            DatasetError: There is no dataset, or it cannot be used.
        """
        self.path = Path(path)
        try:
            header = json.loads((self.path / "dataset.json").read_text())
        except FileNotFoundError:
            raise DatasetError(
                f"no dataset at {self.path} (dataset.json is missing); "
                "collect and import_bag make one"
            ) from None
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
                f"{self.path}/dataset.json does not describe a usable robot: {error}"
            ) from None
        self.provenance: dict[str, Any] = header.get("provenance", {})

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        spec: RobotSpec,
        provenance: dict[str, Any] | None = None,
    ) -> Dataset:
        """Create a dataset, or open an existing one of the same robot.

        Args:
            path: The directory.
            spec: The robot.
            provenance: How the dataset is made.

        Raises:
            DatasetError: The dataset is of another robot, or the directory cannot be created.
        """
        path = Path(path)
        if (path / "dataset.json").exists():
            dataset = cls(path)
            if not dataset.spec.is_same_robot(spec):
                raise DatasetError(
                    f"dataset {path} is of another robot or another version of it (task "
                    f"{dataset.spec.task!r}); choose another --dataset or remove it"
                )
            return dataset
        header = {"format": FORMAT, "spec": spec.to_dict(), "provenance": provenance or {}}
        try:
            (path / "episodes").mkdir(parents=True, exist_ok=True)
            write(path / "dataset.json", json.dumps(header, indent=2))
        except OSError as error:
            raise DatasetError(f"dataset {path} cannot be created: {error}") from None
        return cls(path)

    def indices(self) -> list[int]:
        """Return the numbers of the complete episodes, ascending."""
        return sorted(int(p.stem) for p in (self.path / "episodes").glob("[0-9]*.h5"))

    @property
    def pose_names(self) -> tuple[str, ...]:
        """Names of the recorded poses' entries; empty without poses."""
        return tuple(self.provenance.get("pose_names", ()))

    def __len__(self) -> int:
        return len(self.indices())

    def append(self, index: int, episode: Episode) -> None:
        """Store an episode, completely or not at all.

        Args:
            index: Its number, 0 or more.
            episode: The episode.

        Raises:
            DatasetError: An array has the wrong shape or type, or contains NaN or infinity.
            OSError: The file cannot be written.
        """
        self._check(episode)
        final = self.path / "episodes" / f"{index:06d}.h5"
        with replacing(final) as temporary:
            write_arrays(temporary, episode)
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
        """Read a whole episode.

        Args:
            index: Its number.

        Raises:
            DatasetError: Its file is damaged or missing.
        """
        return self._read(index, ARRAYS)

    def read_without_images(self, index: int) -> Episode:
        """Read an episode quickly: like `read`, but `images` has no rows.

        Args:
            index: Its number.

        Raises:
            DatasetError: Its file is damaged or missing.
        """
        episode = self._read(index, ARRAYS[1:])
        shape = (0, self.spec.image.height, self.spec.image.width, 3)
        return dataclasses.replace(episode, images=np.zeros(shape, np.uint8))

    def _read(self, index: int, names: tuple[str, ...]) -> Episode:
        return read_arrays(self.path / "episodes" / f"{index:06d}.h5", names)

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(index) for index in self.indices())

    def content_hash(self) -> str:
        """Return a short hash of the spec and of the numbers and file sizes of the episodes."""
        digest = hashlib.sha256(json.dumps(self.spec.to_dict(), sort_keys=True).encode())
        for index in self.indices():
            size = (self.path / "episodes" / f"{index:06d}.h5").stat().st_size
            digest.update(f"{index}:{size};".encode())
        return digest.hexdigest()[:16]


class Recording:
    """A dataset for training: the steps of all episodes, one after another.

    Attributes:
        dataset: The dataset.
        spec: The robot.
        indices: Numbers of the episodes.
        images: uint8 (frames, height, width, 3), memory-mapped.
        states: float32 (frames, state size), not normalised.
        actions: float32 (frames, action size), NaN on the last frame of an episode, which no
            action follows.
        episode_of: Position in `indices` of each frame's episode, int32 (frames,).
        simulator_states: float64 (frames, any), or None.
        layouts: The layout of each episode, or None.
        poses: float64 (frames, any), or None.

    Raises:
        DatasetError: The dataset has no complete episode, or one is damaged.
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

    def layout_numbers(self, episodes: np.ndarray) -> np.ndarray:
        """Number the layouts of episodes. Episodes of the same layout have the same number.

        Args:
            episodes: Positions in `indices`.

        Returns:
            int64, one number for each episode, from 0 without a gap.
        """
        layouts = [self.layouts[number] for number in episodes]
        names = [b"" if layout is None else np.asarray(layout).tobytes() for layout in layouts]
        return np.unique(names, return_inverse=True)[1]

    def window_starts(self, steps: int, episodes: np.ndarray | None = None) -> np.ndarray:
        """Return the frames at which a window fits into its episode.

        Args:
            steps: Length of a window, model steps.
            episodes: Positions in `indices`; None: all episodes.

        Returns:
            Frame numbers, int64, ascending.
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
        """Return windows of frames and actions.

        Args:
            starts: First frame of each window, int64 (batch,).
            steps: Length of a window, model steps.

        Returns:
            Frame numbers (batch, steps + 1), and normalised action blocks (batch, steps, block
            size).
        """
        skip = self.spec.frame_skip
        frames = starts[:, None] + np.arange(steps + 1) * skip
        low_level = self.actions[starts[:, None] + np.arange(steps * skip)]
        blocks = self.spec.normalise_action(low_level)
        return frames, blocks.reshape(len(starts), steps, self.spec.block_size)


def _joined(arrays: list[np.ndarray | None]) -> np.ndarray | None:
    """The arrays one after another; None if any is missing."""
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if len(present) == len(arrays) else None
