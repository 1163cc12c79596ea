"""What `meta/` of a LeRobot dataset says of each episode: its length, and where its videos are.

`layout` reads the rows, which are the truth, and compares them with these books.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from wm_mpc.data.lerobot.info import LeRobotError

READ_ERRORS = (
    OSError, pyarrow.ArrowException, ValueError, KeyError, TypeError, AttributeError,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Clip:
    """The part of a video that shows one episode.

    Attributes:
        path: The video file.
        start: Time of the first frame in that file, s.
    """

    path: Path
    start: float


@dataclasses.dataclass(frozen=True)
class Book:
    """What `meta/` says of one episode.

    Attributes:
        file: The file that says it.
        entries: Its entries by name.
        length: Number of its frames; -1 if that is not said.
    """

    file: Path
    entries: Mapping[str, Any]
    length: int

    def place(self, key: str) -> tuple[dict[str, int], float]:
        """Return where a video of layout v3.0 is: its chunk and file, and when it starts there, s.

        Args:
            key: Key of the camera.

        Raises:
            LeRobotError: An entry is missing or no number; the text names it and the file.
        """
        chunk, file, start = (
            self._number(f"videos/{key}/{name}")
            for name in ("chunk_index", "file_index", "from_timestamp")
        )
        return {"chunk_index": int(chunk), "file_index": int(file)}, start

    def _number(self, name: str) -> float:
        if name not in self.entries:
            raise LeRobotError(
                f"{self.file} has no column {name}, so the video is not found; it has: "
                f"{', '.join(self.entries)}"
            )
        try:
            return float(self.entries[name])
        except (TypeError, ValueError):
            raise LeRobotError(
                f"{self.file} has {name} {self.entries[name]!r} for episode "
                f"{self.entries['episode_index']}; accepted: a number"
            ) from None


def read_books(meta: Path) -> dict[int, Book]:
    """Return what `meta/` says of each episode, by number.

    Args:
        meta: The folder.

    Raises:
        *READ_ERRORS: A file cannot be read.
    """
    books: dict[int, Book] = {}
    for file in sorted((meta / "episodes").rglob("*.parquet")):
        names = pyarrow.parquet.read_schema(file).names
        wanted = [name for name in names if not name.startswith("stats/")]
        rows = pyarrow.parquet.read_table(file, columns=wanted).to_pylist()
        books |= {int(row["episode_index"]): _book(file, row) for row in rows}
    if (lines := meta / "episodes.jsonl").is_file():
        rows = [json.loads(line) for line in lines.read_text().splitlines() if line]
        books |= {int(row["episode_index"]): _book(lines, row) for row in rows}
    return books


def _book(file: Path, row: dict[str, Any]) -> Book:
    return Book(file, row, int(row.get("length", -1)))


def clip_of(
    folder: Path, info: Mapping[str, Any], version: str, key: str, episode: int, book: Book | None
) -> Clip:
    """Return the part of a video that shows an episode.

    Args:
        folder: The dataset.
        info: Contents of `meta/info.json`.
        version: Its layout.
        key: Key of the camera.
        episode: Number of the episode.
        book: What `meta/` says of the episode, if anything.

    Raises:
        LeRobotError: `meta/` does not say where it is; the text says what is missing.
    """
    start = 0.0
    if version == "v3.0":
        if book is None:
            raise LeRobotError(
                f"{folder / 'meta/episodes'} has no row for episode {episode}, so its video of "
                f"{key} is not found"
            )
        where, start = book.place(key)
    else:
        size = info.get("chunks_size") or 1000
        if not isinstance(size, int) or size < 1:
            raise LeRobotError(
                f"{folder / 'meta/info.json'} has chunks_size {size!r}; accepted: a whole number "
                "above 0"
            )
        where = {"episode_chunk": episode // size, "episode_index": episode}
    pattern = info.get("video_path")
    try:
        if not isinstance(pattern, str) or not pattern:
            raise ValueError
        return Clip(folder / pattern.format(video_key=key, **where), start)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        has = f"video_path {pattern!r}" if "video_path" in info else "no video_path"
        raise LeRobotError(
            f"{folder / 'meta/info.json'} has {has}; accepted: a path with the places "
            f"{', '.join(f'{{{name}}}' for name in ('video_key', *where))}"
        ) from None
