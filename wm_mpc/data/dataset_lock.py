"""Locks that allow one writer at a time, on a dataset or on the directory of a training run.

Imports, collections and the live learner lock their dataset; a training locks its run. The kernel
keeps the lock and releases it even if the process is killed. The file `writing.lock` names the
holder and exists only while somebody writes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

from wm_mpc.data.episodes import DatasetError

_NAME = "writing.lock"
_HELD = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # some network file systems


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], what: str, kind: str = "dataset") -> Iterator[None]:
    """Be the only writer of a folder within the block.

    Args:
        path: The folder. It is created if missing, and removed if it stays empty.
        what: Name of the writer, for errors of other processes: "import_bag", "collect", ...
        kind: Kind of the folder, for errors.

    Raises:
        DatasetError: Another process, which the text names, writes there, or the folder cannot be
            created.
    """
    path = Path(path)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        descriptor = _acquire(path, what, kind)
    except OSError as error:
        raise DatasetError(f"{kind} {path} cannot be written: {error}") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (path / _NAME).unlink()
        for folder in made:  # those that hold something stay
            with contextlib.suppress(OSError):
                folder.rmdir()
        os.close(descriptor)


def _acquire(path: Path, what: str, kind: str) -> int:
    file = path / _NAME
    while True:
        path.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:  # another process has just removed the empty folder
            continue
        try:
            _lock(descriptor, path, kind)
            if _is_same(descriptor, file):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{what}, process {os.getpid()} on {socket.gethostname()}\n"
                         .encode())  # fmt: skip
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder has removed it in the meantime


def _lock(descriptor: int, path: Path, kind: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            raise DatasetError(
                f"{kind} {path} is being written by {holder or 'another process'}; wait for it, or "
                f"choose another {kind}"
            ) from None
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"the file system of {path} has no locks ({error}): let nothing else write there",
            stacklevel=2,
        )


def _is_same(descriptor: int, file: Path) -> bool:
    """Whether the open file still has this name."""
    try:
        there = file.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
