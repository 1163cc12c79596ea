"""One writer at a time: a lock on a dataset, held by imports, collections and the live learner, and
on the directory of a run, held by its training.

The kernel keeps the lock, so that a process that dies, however abruptly, lets go of it. The file
`writing.lock` names who holds it, and is gone when nobody writes.
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
        path: Of the folder, which need not be there yet; it is made, and goes away again when
            nothing is written into it.
        what: Who writes, for the others: "import_bag", "collect", ...
        kind: What the folder is, for people.

    Raises:
        DatasetError: When another process writes there, naming it, or the folder cannot be made.
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
        except FileNotFoundError:  # another process has just taken the empty folder away
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
        os.close(descriptor)  # its holder has taken it away in the meantime


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
            f"the file system of {path} knows no locks ({error}): let nothing else write there",
            stacklevel=2,
        )


def _is_same(descriptor: int, file: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        there = file.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
