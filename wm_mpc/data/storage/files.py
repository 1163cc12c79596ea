"""Find the storage files of a recording and their kinds, and read metadata.yaml.

The files on disk count. metadata.yaml is only advice, because it may be missing, outdated or
damaged. The first bytes of a file show its kind; its name does not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import lz4.frame  # type: ignore[import-untyped]  # comes with rosbags, as zstd and ruamel do
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from wm_mpc.data.storage import mcap_records, ros1, sqlite
from wm_mpc.data.storage.mcap import McapFile
from wm_mpc.data.storage.ros1 import Ros1File
from wm_mpc.data.storage.sqlite import SqliteFile
from wm_mpc.data.storage.stored import StorageError, StoredFile

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENDINGS = (".mcap", ".db3", ".bag", ".active")
_PACKED = (".zstd", ".zst", ".lz4")
_KINDS: dict[bytes, type[StoredFile]] = {
    mcap_records.MAGIC: McapFile, sqlite.MAGIC: SqliteFile, ros1.MAGIC: Ros1File
}  # fmt: skip
_NUMBERED = re.compile(r"(.*_)(\d{1,6})(\.\w+(?:\.\w+)?)")
_MOST = 5  # names in one remark
_ZSTD, _LZ4 = b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"


@dataclasses.dataclass
class Metadata:
    """The contents of metadata.yaml.

    Attributes:
        counts: Messages by topic.
        files: Names of files in order, with the number of their messages if stated.
        problem: Why the file cannot be read, or "".
    """

    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    files: dict[str, int | None] = dataclasses.field(default_factory=dict)
    problem: str = ""


def read_metadata(folder: Path) -> Metadata | None:
    """Read metadata.yaml; malformed entries are left out.

    Args:
        folder: Folder of the recording.

    Returns:
        Its contents; None if there is no such file.
    """
    path = folder / "metadata.yaml"
    if not path.exists():
        return None
    try:
        content = YAML(typ="safe").load(path.read_text(errors="replace"))
        body = content["rosbag2_bagfile_information"]
        files: dict[str, int | None] = {
            PurePath(name).name: None for name in body.get("relative_file_paths") or ()
        }
        found = Metadata(files=files)
        for entry in body.get("topics_with_message_count") or ():
            name, count = entry["topic_metadata"]["name"], int(entry["message_count"])
            found.counts[name] = found.counts.get(name, 0) + count
        for entry in body.get("files") or ():
            found.files[PurePath(entry["path"]).name] = int(entry["message_count"])
        return found
    except (OSError, YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return Metadata(problem=f"metadata.yaml cannot be read ({reason}); the files are used")


def storage_files(path: Path, metadata: Metadata | None) -> tuple[list[Path], list[str]]:
    """Find the files of a recording.

    Args:
        path: A file or a folder.
        metadata: Contents of metadata.yaml, if any.

    Returns:
        The files in order, and remarks on them.

    Raises:
        StorageError: There are no files, or it is unclear which ones belong to the recording.
    """
    if not path.is_dir():
        return [path], []
    there = {file.name: file for file in sorted(path.iterdir()) if _is_storage(file)}
    for name in [name for name in there if _unpacked_name(name) in there.keys() - {name}]:
        del there[name]  # the recorder was killed between compressing and removing a file
    if not there:
        within = sorted(f.parent.name for f in path.glob("*/*") if _is_storage(f))
        hint = f"; there are some in {', '.join(dict.fromkeys(within))}" if within else ""
        raise StorageError(f"it has no {', '.join(ENDINGS[:3])} file{hint}")
    listed = [] if metadata is None else list(metadata.files)
    remarks = []
    if metadata is not None and metadata.problem:
        remarks.append(metadata.problem)
    kinds = {_ending(name) for name in there}
    if metadata is None and not kinds & {".bag", ".active"}:
        names = ", ".join(there)
        remarks.append(f"it has no metadata.yaml; its files count as one recording: {names}")
    if len(kinds) > 1:
        wanted = {_ending(name) for name in listed if _present(name, there)}
        if len(wanted) != 1:
            raise StorageError(f"it has {' and '.join(sorted(kinds))} files; choose one of them")
        others = [name for name in there if _ending(name) not in wanted]
        remarks.append(f"left out because of another kind: {', '.join(others)}")
        there = {name: file for name, file in there.items() if name not in others}
    known = {_unpacked_name(name) for name in listed}
    unlisted = [name for name in there if _unpacked_name(name) not in known]
    remarks += [
        f"{file.name} is a broken link and is left out"
        for file in sorted(path.iterdir())
        if _ending(file.name) and file.is_symlink() and not file.exists()
    ]
    if lacking := _lacking(there) if not listed else []:
        remarks.append(f"the numbers of its files show that some are missing: {', '.join(lacking)}")
    if listed and unlisted:
        remarks.append(f"metadata.yaml does not list {', '.join(unlisted)}, which is read as well")
    return sorted(there.values(), key=lambda file: _order(file.name)), remarks


def _lacking(there: Iterable[str]) -> list[str]:
    """Names of files that are missing from a numbered recording."""
    numbered = [found for name in there if (found := _NUMBERED.fullmatch(name))]
    lacking = []
    for begin, end in dict.fromkeys((found[1], found[3]) for found in numbered):
        numbers = {int(f[2]) for f in numbered if (f[1], f[3]) == (begin, end)}
        gaps = set(range(max(numbers))) - numbers if len(numbers) > 1 else set()
        lacking += [f"{begin}{number}{end}" for number in sorted(gaps)[:_MOST]]
    return lacking


def missing_files(files: list[Path], metadata: Metadata | None) -> list[str]:
    """Return the files that metadata.yaml lists but that do not exist.

    Args:
        files: The files that exist.
        metadata: Contents of metadata.yaml, if any.
    """
    there = {file.name: file for file in files}
    return [name for name in (metadata.files if metadata else ()) if not _present(name, there)]


def open_file(path: Path, folder: Path) -> tuple[StoredFile, list[str]]:
    """Open a storage file of any kind, compressed or not.

    Args:
        path: The file.
        folder: Folder for decompressed files.

    Returns:
        The open file, and remarks on it.

    Raises:
        StorageError: The file cannot be read.
    """
    remarks: list[str] = []
    try:
        with path.open("rb") as file:
            begin = file.read(16)
        if begin.startswith((_ZSTD, _LZ4)):
            path, remarks = _unpack(path, folder, begin)
            with path.open("rb") as file:
                begin = file.read(16)
    except OSError as error:
        raise StorageError(str(error)) from None
    for magic, kind in _KINDS.items():
        if begin.startswith(magic):
            return kind(path), remarks
    if not begin:
        raise StorageError("it is empty")
    if not any(begin):
        raise StorageError("it begins with zeros")
    raise StorageError("it is not MCAP, sqlite3 or a ROS 1 bag of version 2.0")


def _unpack(path: Path, folder: Path, begin: bytes) -> tuple[Path, list[str]]:
    """Decompress a file as far as it is complete."""
    target = folder / (_unpacked_name(path.name) if path.suffix in _PACKED else path.name)
    opened: Any = zstd.open if begin.startswith(_ZSTD) else lz4.frame.open
    with path.open("rb") as raw, opened(raw, "rb") as packed, target.open("wb") as output:
        try:
            shutil.copyfileobj(packed, output)
        except (EOFError, RuntimeError, ValueError, zstd.ZstdError) as error:
            with contextlib.suppress(Exception):
                output.flush()
            remark = f"{path.name} is compressed, and only its beginning can be read: {error}"
            return target, [remark]
    return target, []


def _is_storage(file: Path) -> bool:
    return _ending(file.name) != "" and file.is_file()


def _unpacked_name(name: str) -> str:
    """The name without the ending of a compressed file."""
    path = PurePath(name)
    return path.stem if path.suffix in _PACKED else name


def _ending(name: str) -> str:
    """One of `ENDINGS`, or ""."""
    suffix = PurePath(_unpacked_name(name)).suffix
    return suffix if suffix in ENDINGS else ""


def _present(name: str, there: dict[str, Path]) -> bool:
    return _unpacked_name(name) in {_unpacked_name(other) for other in there}


def _order(name: str) -> list[Any]:
    """Sort key that compares numbers in names as numbers: ..._9 before ..._10."""
    parts: list[Any] = []
    for char in name:
        if char.isdigit() and parts and isinstance(parts[-1], int):
            parts[-1] = 10 * parts[-1] + int(char)
        else:
            parts.append(int(char) if char.isdigit() else char)
    return [(isinstance(part, str), part) for part in parts]


def counts_by_topic(file: StoredFile, counts: Counter[int]) -> Counter[str]:
    """Convert the counts of a file from channels to topics.

    Args:
        file: The file.
        counts: Counts by channel.
    """
    found: Counter[str] = Counter()
    for number, count in counts.items():
        if number in file.channels:
            found[file.channels[number].topic] += count
    return found
