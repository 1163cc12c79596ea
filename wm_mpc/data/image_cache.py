"""Uncompressed images of a dataset, in one file that training maps into memory.

The file is in `<dataset>/cache` and may be deleted at any time. If several trainings start at
once, one creates the file and the others wait for it. A lock on the folder separates them; the
kernel releases it when a process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wm_mpc.atomic import replacing

if TYPE_CHECKING:
    from wm_mpc.data.episodes import Dataset


def cached_images(dataset: Dataset, indices: Sequence[int], lengths: Sequence[int]) -> np.ndarray:
    """Return the images of some episodes, one after another.

    Args:
        dataset: The dataset.
        indices: Numbers of the episodes, ascending.
        lengths: Number of images in each of them.

    Returns:
        uint8 (images, height, width, 3), memory-mapped, read-only.

    Raises:
        DatasetError: An episode is damaged or missing.
        OSError: The file cannot be written.
    """
    folder = dataset.path / "cache"
    content = _content(dataset, indices)
    file = folder / f"images-{content}-{len(indices)}.npy"
    image = dataset.spec.image
    shape = (sum(lengths), image.height, image.width, 3)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    with _alone(folder) as is_locked:
        images = _mapped(file, shape)
        if images is None:
            if is_locked:
                _clear(folder, keep=content)
            _make(dataset, indices, lengths, file, shape)
            images = np.load(file, mmap_mode="r")
    return images


def _content(dataset: Dataset, indices: Sequence[int]) -> str:
    """A short hash of the numbers, sizes and times of the episodes' files."""
    digest = hashlib.sha256()
    for index in indices:
        found = (dataset.path / "episodes" / f"{index:06d}.h5").stat()
        digest.update(f"{index}:{found.st_size}:{found.st_mtime_ns};".encode())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Exclude other processes from a block on the same folder. Yields False without locks; then
    several may write the same file, and the last one wins."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            is_locked = True
        except OSError:
            is_locked = False
        yield is_locked
    finally:
        os.close(descriptor)


def _mapped(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The images in the file; None if it is missing or incomplete."""
    try:
        images = np.load(file, mmap_mode="r")
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _clear(folder: Path, *, keep: str) -> None:
    """Remove files of other episodes and leftovers of killed processes. A process that has
    mapped a file keeps its content."""
    for path in [*folder.glob("images-*.npy"), *folder.glob("images-*.tmp")]:
        if path.suffix == ".tmp" or not path.name.startswith(f"images-{keep}-"):
            path.unlink(missing_ok=True)


def _make(
    dataset: Dataset,
    indices: Sequence[int],
    lengths: Sequence[int],
    file: Path,
    shape: tuple[int, ...],
) -> None:
    with replacing(file) as temporary:
        writer = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        position = 0
        for index, length in zip(indices, lengths, strict=True):
            writer[position : position + length] = dataset.read(index).images
            position += length
        writer.flush()
        del writer
