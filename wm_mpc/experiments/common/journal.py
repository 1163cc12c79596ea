"""The journal of an evaluation: one line of JSON per finished episode, so that nothing is lost.

The first line identifies the evaluation; a journal of another evaluation is refused.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from wm_mpc.experiments.common.protocol import Cell, Record

NAME = "episodes.jsonl"


class JournalError(RuntimeError):
    """A journal that belongs to another evaluation or cannot be read."""


class Journal:
    """Finished episodes in memory and, with a path, on disk."""

    def __init__(self, path: Path | None, identity: dict[str, Any], origin: dict[str, Any]) -> None:
        """Read an existing journal, or begin a new one.

        Args:
            path: The file; None: keep the journal in memory only.
            identity: Values that must be the same to continue.
            origin: Values that are only recorded: code and machine.

        Raises:
            JournalError: The journal belongs to another evaluation or cannot be read.
        """
        self._path = path
        # In the form in which it is read back: tuples become lists.
        self._identity = json.loads(json.dumps(identity))
        self.records: dict[tuple[Cell, int], Record] = {}
        self.origins: list[dict[str, Any]] = []
        if path is None:
            self.origins = [origin]
            return
        if path.is_file():
            self._read(path)
        if origin not in self.origins:
            self.origins.append(origin)
            self._append({"identity": self._identity, "origin": origin})

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # killed while writing; that episode runs again
            os.truncate(path, whole)
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                entry = json.loads(line)
                if "identity" in entry:
                    self._require_same(entry["identity"])
                    self.origins.append(entry["origin"])
                else:
                    record = Record(**{**entry, "cell": Cell(**entry["cell"])})
                    self.records[record.cell, record.episode] = record
            except (ValueError, KeyError, TypeError) as error:
                raise JournalError(f"{path}, line {number}, is damaged: {error}") from None

    def _require_same(self, other: dict[str, Any]) -> None:
        names = [*self._identity, *(name for name in other if name not in self._identity)]
        for name in names:
            has, wants = other.get(name), self._identity.get(name)
            if has != wants:
                raise JournalError(
                    f"{self._path} was started with {name} {_short(has)}, not {_short(wants)}; "
                    "choose another --out, or start again with --fresh"
                )

    def add(self, record: Record) -> None:
        """Add a finished episode.

        Args:
            record: The episode.
        """
        self.records[record.cell, record.episode] = record
        self._append(dataclasses.asdict(record))

    def _append(self, entry: dict[str, Any]) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def of(self, cell: Cell, episodes: int) -> list[Record]:
        """Return the records of a cell, in order.

        Args:
            cell: The cell.
            episodes: Return records of the first so many episodes only.
        """
        found = (self.records.get((cell, index)) for index in range(episodes))
        return [record for record in found if record is not None]


def _short(value: Any, limit: int = 200) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
