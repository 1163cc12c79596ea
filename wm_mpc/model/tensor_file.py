"""Read a `.safetensors` file that may be damaged: first its header, then what the header announces.

The format is: eight bytes with the size of the header, the header (JSON: name -> dtype, shape and
place of each tensor, and metadata), then the numbers. No tensor is allocated before the caller has
accepted the header.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.torch
from torch import Tensor

_LARGEST_HEADER = 16 * 2**20  # bytes; a world model has about 10 kB
LARGEST_FILE = 2 * 2**30  # bytes; a world model has a few MB
_SIZE = {"F32": 4}  # bytes of a number, by dtype


class TensorFileError(Exception):
    """Says what is wrong with a file. The caller adds its path."""


class TensorFile:
    """An open file with its header.

    Args:
        path: Path of the file.

    Attributes:
        shapes: Shapes of the tensors by name.
        metadata: The metadata of the header.

    Raises:
        TensorFileError: The file is not a complete file of this format.
    """

    def __init__(self, path: Path) -> None:

        self._file = _opened(path)
        try:
            self._header, header = _header(self._file)
            metadata = header.pop("__metadata__", {})
            if not isinstance(metadata, dict):
                raise TensorFileError("its header has damaged metadata")
            self.metadata: dict[str, Any] = metadata
            self.shapes = {name: _shape(name, entry) for name, entry in header.items()}
            self._check_size()
        except (OSError, OverflowError) as error:
            self._file.close()
            raise TensorFileError(f"it cannot be read: {error}") from None
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def numbers(self) -> int:
        """How many numbers all tensors hold together."""
        return sum(map(math.prod, self.shapes.values()))

    def _check_size(self) -> None:
        wanted = len(self._header) + _SIZE["F32"] * self.numbers
        size = os.fstat(self._file.fileno()).st_size
        if size != wanted:
            raise TensorFileError(f"it has {size} bytes where its header says {wanted}")
        if size > LARGEST_FILE:
            raise TensorFileError(f"it has {size} bytes; accepted: at most {LARGEST_FILE}")

    def tensors(self) -> dict[str, Tensor]:
        """Read all tensors, float32.

        They are read and not mapped into memory, because others may change the file.

        Raises:
            TensorFileError: The file cannot be read, or was cut short.
        """
        wanted = _SIZE["F32"] * self.numbers
        try:
            numbers = self._file.read(wanted)
        except OSError as error:
            raise TensorFileError(f"it cannot be read: {error}") from None
        if len(numbers) != wanted:
            raise TensorFileError("it was cut short while it was read")
        try:
            tensors: dict[str, Tensor] = safetensors.torch.load(self._header + numbers)
        except (safetensors.SafetensorError, ValueError, RuntimeError) as error:
            raise TensorFileError(f"its header is damaged: {error}") from None
        return tensors


def _opened(path: Path) -> BinaryIO:
    """Open a regular file, without waiting as for a FIFO. Raises TensorFileError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise TensorFileError(f"it cannot be opened: {error}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise TensorFileError("it is not a regular file")
    return os.fdopen(handle, "rb")


def _header(file: BinaryIO) -> tuple[bytes, dict[str, Any]]:
    """The bytes of the file up to the end of the header, and the header."""
    start = file.read(8)
    size, total = int.from_bytes(start, "little"), os.fstat(file.fileno()).st_size
    if len(start) < 8 or size > total - 8:
        raise TensorFileError("it is cut short, or of another kind")
    if size > _LARGEST_HEADER:
        raise TensorFileError(f"its header has {size} bytes; accepted: at most {_LARGEST_HEADER}")
    text = file.read(size)
    if len(text) < size:
        raise TensorFileError("it was cut short while it was read")
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise TensorFileError(f"its header is not readable: {_brief(error)}") from None
    if not isinstance(header, dict):
        raise TensorFileError("its header is not a table of tensors")
    return start + text, header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in table if names.count(name) > 1)
        raise ValueError(f"{twice[:100]!r} appears twice")
    return table


def _shape(name: str, entry: Any) -> tuple[int, ...]:
    kind = entry.get("dtype") if isinstance(entry, dict) else None
    if not isinstance(kind, str) or kind not in _SIZE:
        raise TensorFileError(f"tensor {name[:100]!r} is of type {str(kind)[:100]!r}; wanted: F32")
    shape = entry.get("shape")
    if not isinstance(shape, list) or any(type(n) is not int or n < 0 for n in shape):
        raise TensorFileError(f"tensor {name[:100]!r} has the shape {str(shape)[:100]}")
    return tuple(shape)


def _brief(error: BaseException) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
