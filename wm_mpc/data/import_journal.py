"""Make each import complete or undo it: an import that fails leaves no episodes behind.

`imports.jsonl` in the dataset records what each import read, used, dropped and could not read.

During an import, a note in the dataset says which episodes are being added. A note that is found
at the next start shows what a killed import left behind.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wm_mpc.atomic import write
from wm_mpc.data.episodes import Dataset, DatasetError

_NOTE = "importing.json"
_BOOK = "imports.jsonl"


@contextlib.contextmanager
def whole_import(dataset: Dataset) -> Iterator[None]:
    """Append episodes within the block; remove them again if the block raises.

    Args:
        dataset: The dataset.

    Raises:
        DatasetError: The note cannot be written.
    """
    note = dataset.path / _NOTE
    try:
        write(note, json.dumps({"first": max(dataset.indices(), default=-1) + 1}))
    except OSError as error:
        raise DatasetError(f"dataset {dataset.path} cannot be written: {error}") from None
    try:
        yield
    except BaseException:
        remove_unfinished(dataset)
        raise
    note.unlink()


def enter(dataset: Dataset, first: int, entry: dict[str, Any]) -> None:
    """Add an entry to the list of imports, within `whole_import`.

    Args:
        dataset: The dataset.
        first: Number of the first episode from this recording.
        entry: Further values to record.

    Raises:
        DatasetError: The list cannot be written.
    """
    try:
        with (dataset.path / _BOOK).open("a") as book:
            book.write(json.dumps({"episode": first, **entry}) + "\n")
    except OSError as error:
        raise DatasetError(f"dataset {dataset.path} cannot be written: {error}") from None


def remove_unfinished(dataset: Dataset) -> int:
    """Remove the episodes of an import that did not finish.

    If the dataset was empty before, it is removed as well, because its description may come from a
    wrong setting.

    Args:
        dataset: The dataset.

    Returns:
        Number of removed episodes.

    Raises:
        DatasetError: The note cannot be read.
    """
    note = dataset.path / _NOTE
    if not note.exists():
        return 0
    try:
        first = int(json.loads(note.read_text())["first"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{note} cannot be read: {error!r}; remove the dataset") from None
    numbers = [number for number in dataset.indices() if number >= first]
    for number in numbers:
        (dataset.path / "episodes" / f"{number:06d}.h5").unlink()
    _forget(dataset.path / "index.jsonl", first)
    _forget(dataset.path / _BOOK, first)
    if first == 0:
        (dataset.path / "dataset.json").unlink()
    note.unlink()
    return len(numbers)


def _forget(lines_file: Path, first: int) -> None:
    """Remove the lines of episodes from `first` on from a file, and lines that a kill cut off."""
    if not lines_file.exists():
        return
    kept = []
    for line in lines_file.read_text().splitlines(keepends=True):
        with contextlib.suppress(ValueError):
            if json.loads(line)["episode"] < first:
                kept.append(line)
    if kept or first:
        write(lines_file, "".join(kept))
    else:
        lines_file.unlink()


def present(path: Path, *, append: bool) -> Dataset | None:
    """Return the dataset that an import extends. An unfinished import is removed first, and said.

    Args:
        path: The directory.
        append: Whether to add to a dataset that exists.

    Returns:
        The dataset; None if there is none yet.

    Raises:
        DatasetError: A dataset with episodes exists without `append`, or none exists with it.
    """
    if (path / "dataset.json").exists() and (count := remove_unfinished(Dataset(path))):
        print(f"an earlier import into {path} did not finish; its {count} episodes are removed")
    if append:
        return Dataset(path)
    if (path / "dataset.json").exists() and len(Dataset(path)):
        raise DatasetError(
            f"dataset {path} already has {len(Dataset(path))} episodes; use --append to add "
            "those of another recording, or choose another --dataset"
        )
    return None


def entries(dataset: Dataset) -> list[dict[str, Any]]:
    """Return the list of imports; lines that cannot be read are left out.

    Args:
        dataset: The dataset.
    """
    found = []
    with contextlib.suppress(OSError):
        for line in (dataset.path / _BOOK).read_text().splitlines():
            with contextlib.suppress(ValueError):
                if isinstance(entry := json.loads(line), dict):
                    found.append(entry)
    return found


def refuse_repeated(dataset: Dataset, identity: Mapping[str, Any]) -> None:
    """Refuse a recording whose episodes are in the dataset already.

    Two copies of one episode may fall on both sides of the split into training and held-out
    episodes, and whatever is measured on held-out episodes would then look too good.

    Args:
        dataset: The dataset.
        identity: Values by which the recording is known; part of its entry.

    Raises:
        DatasetError: An entry has the same values.
    """
    for other in entries(dataset):
        if identity.items() <= other.items():
            raise DatasetError(
                f"this recording is in dataset {dataset.path} already (by: "
                f"{other.get('command', 'unknown')}); accepted: each recording once. To import it "
                "in another way, choose another --dataset"
            )


def differing(dataset: Dataset, settings: Mapping[str, Any]) -> list[str]:
    """Say which settings differ from those of the import before this one.

    Args:
        dataset: The dataset.
        settings: Settings of this import; values that JSON can hold.

    Returns:
        One text for each setting.
    """
    before = [entry["settings"] for entry in entries(dataset) if "settings" in entry]
    if not before or not isinstance(before[-1], dict):
        return []
    return [
        f"{name} is {_shown(settings.get(name))} here, and was {_shown(before[-1].get(name))} in "
        "the import before"
        for name in sorted({*settings, *before[-1]})
        if settings.get(name) != before[-1].get(name)
    ]


def _shown(value: Any) -> str:
    return "as usual" if value is None else json.dumps(value)
