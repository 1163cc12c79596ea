"""Files that appear whole or not at all: written beside their place, synced, then renamed.

Every part of the package that writes a file which another process may read, or which must survive
a kill, writes it with this module. It imports nothing but Python's own modules, because setup.py
needs it before anything is installed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

_numbers = itertools.count()  # two threads may write the same file


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; put what the block wrote there in place of `path`.

    A reader sees the old file or the new one, never a part of it. If the block raises, `path` stays
    as it was and the temporary file goes away. A killed process leaves its temporary file:
    `remove_leftovers` finds it.

    Args:
        path: The final name; its folder exists.

    Raises:
        OSError: The file cannot be synced or renamed, or the block wrote no file.
    """
    temporary = path.with_name(f"{path.name}.{next(_numbers)}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, content: bytes | str) -> None:
    """Put a file in place at once. content: text is written as UTF-8. Raises OSError."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files in a folder whose process has ended, or had this one's number.

    Call it before this process writes into the folder.
    """
    for path in folder.glob("*.tmp"):
        writer = path.suffixes[-2][1:] if len(path.suffixes) > 1 else ""
        if writer.isdigit() and not _is_writing(int(writer)):
            path.unlink(missing_ok=True)


def _is_writing(process: int) -> bool:
    if process == os.getpid():  # not yet: a file of this number is of another one before
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
