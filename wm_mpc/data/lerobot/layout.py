"""Open a LeRobot dataset on disk: its features, its episodes, and where their rows and frames are.

Layouts: v2.0 and v2.1 (one parquet file and one video per camera and episode) and v3.0 (files with
many episodes). The parquet rows are the truth; `meta/` is read, and compared with them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from wm_mpc.data.lerobot.books import READ_ERRORS, Book, Clip, clip_of, read_books
from wm_mpc.data.lerobot.info import LeRobotError, features_of, fps_of
from wm_mpc.data.lerobot.summaries import few, short, spans

VERSIONS = ("v2.0", "v2.1", "v3.0")
CAMERAS = ("image", "video")  # types of features that are pictures
_DIGESTED = 1 << 20  # bytes of each file


@dataclasses.dataclass
class Rows:
    """The rows of one episode.

    Attributes:
        episode: Number of the episode.
        file: The parquet file.
        table: The rows, in the order of their frames.
        clips: Its part of the video of each camera that is stored as video.
    """

    episode: int
    file: Path
    table: pyarrow.Table
    clips: dict[str, Clip]

    @property
    def times(self) -> np.ndarray:
        """Time of each frame since the start of the episode, float64 (frames,), s."""
        return np.asarray(self.table.column("timestamp").to_numpy(), np.float64).reshape(-1)

    def numbers(self, key: str, size: int) -> np.ndarray:
        """Return the numbers of a feature, float64 (frames, size).

        Args:
            key: Key of the feature.
            size: How many numbers a row has.

        Raises:
            LeRobotError: A row has another number of values, or none.
        """
        values = self.table.column(key).to_pylist()
        try:
            rows = np.asarray(values, np.float64).reshape(len(values), -1)
        except (ValueError, TypeError):
            raise LeRobotError(
                f"{self.file.name}: rows of {key} in episode {self.episode} have different "
                "lengths, or are not numbers"
            ) from None
        if rows.shape[1] != size:
            raise LeRobotError(
                f"{self.file.name}: rows of {key} in episode {self.episode} have {rows.shape[1]} "
                f"numbers; meta/info.json says {size}"
            )
        return rows


class LeRobotFolder:
    """A LeRobot dataset on disk.

    Attributes:
        path: The folder.
        version: Its layout, one of `VERSIONS`.
        fps: Frames per second that it states.
        features: Features by key, without the columns that only number rows.
        tasks: Text of each task, by number.
        remarks: Remarks for the user: what does not fit together.
        lost: Rows or episodes that `meta/` claims and no file has, or files that cannot be read.
        missing: Number of the frames that `meta/` claims and no file has.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a dataset.

        Args:
            path: The folder that has `meta/info.json`.

        Raises:
            LeRobotError: There is no such dataset, or its layout is not supported.
        """
        self.path = Path(path)
        self.remarks: list[str] = []
        self.lost: list[str] = []
        self.missing = 0
        self._info = self._read_info()
        self.version = str(self._info.get("codebase_version", ""))
        if self.version not in VERSIONS:
            raise LeRobotError(
                f"{self.path} has layout {self.version or 'without a version'!r}; accepted: "
                f"{', '.join(VERSIONS)}. lerobot has a script that converts older datasets"
            )
        file = self.path / "meta" / "info.json"
        self.fps = fps_of(self._info, file)
        self.features = features_of(self._info, file)
        self.tasks = self._read_tasks()

    def _read_info(self) -> dict[str, Any]:
        file = self.path / "meta" / "info.json"
        if not file.is_file():
            inside = sorted(p.parent.parent.name for p in self.path.glob("*/meta/info.json"))
            hint = f"; there are some in it: {', '.join(inside)}" if inside else ""
            raise LeRobotError(
                f"no LeRobot dataset at {self.path}: it has no meta/info.json{hint}; accepted: the "
                "local folder of a dataset"
            )
        try:
            content = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise LeRobotError(f"{file} cannot be read: {error}") from None
        if not isinstance(content, dict):
            raise LeRobotError(f"{file} is not a table of settings")
        return content

    def _read_tasks(self) -> dict[int, str]:
        lines, table = self.path / "meta" / "tasks.jsonl", self.path / "meta" / "tasks.parquet"
        try:
            if table.is_file():
                columns = pyarrow.parquet.read_table(table).to_pydict()
                texts = next(v for k, v in columns.items() if k != "task_index")
                return dict(zip(map(int, columns["task_index"]), map(str, texts), strict=True))
            if lines.is_file():
                rows = [json.loads(line) for line in lines.read_text().splitlines() if line]
                return {int(row["task_index"]): str(row["task"]) for row in rows}
        except (*READ_ERRORS, StopIteration) as error:
            self.remarks.append(f"the texts of the tasks cannot be read ({error})")
            return {}
        self.remarks.append(
            "the texts of the tasks are missing (meta/tasks.parquet or meta/tasks.jsonl), so "
            "--instruction selects nothing"
        )
        return {}

    def content(self) -> str:
        """Return a digest by which the rows are known again, also in another folder."""
        digest = hashlib.sha256()
        for file in sorted((self.path / "data").rglob("*.parquet")):
            with contextlib.suppress(OSError), file.open("rb") as opened:
                digest.update(f"{file.name} {file.stat().st_size} ".encode())
                digest.update(opened.read(_DIGESTED))
        return digest.hexdigest()[:16]

    @property
    def cameras(self) -> tuple[str, ...]:
        """Keys of the features that are pictures."""
        return tuple(key for key, feature in self.features.items() if feature.type in CAMERAS)

    def episodes(self, keys: Sequence[str]) -> Iterator[Rows]:
        """Yield the rows of every episode, in the order of the files. Counts what is missing.

        Args:
            keys: Features to read.

        Raises:
            LeRobotError: There are no rows, a file lacks a column, or `meta/` does not say where a
                video is.
        """
        self.lost, self.missing = [], 0
        unreadable: list[str] = []
        books = self._books()
        videos = [key for key in keys if self.features[key].type == "video"]
        columns = ["timestamp", "episode_index", "frame_index", "task_index"]
        columns += [key for key in keys if key not in videos]
        found: Counter[int] = Counter()
        places: dict[int, Path] = {}
        for file in sorted((self.path / "data").rglob("[!.]*.parquet")):
            try:
                there = pyarrow.parquet.read_schema(file).names
                if missing := [name for name in columns if name not in there]:
                    raise LeRobotError(
                        f"{file.relative_to(self.path)} has no column {', '.join(missing)}; it "
                        f"has: {', '.join(there)}"
                    )
                table = pyarrow.parquet.read_table(file, columns=columns)
            except READ_ERRORS as error:
                unreadable.append(f"{file.relative_to(self.path)} cannot be read: {short(error)}")
                continue
            numbers = np.asarray(table.column("episode_index").to_numpy(), float).reshape(-1)
            if nameless := int((~np.isfinite(numbers)).sum()):
                self.lost.append(f"{file.name}: {nameless} rows have no episode_index")
            for number in dict.fromkeys(numbers[np.isfinite(numbers)].astype(int).tolist()):
                rows = table.filter(pyarrow.array(numbers == number)).sort_by("frame_index")
                found[number] += rows.num_rows
                if number in places:
                    raise LeRobotError(
                        f"episode {number} is in {places[number]} and in "
                        f"{file.relative_to(self.path)}; remove one of the files"
                    )
                places[number] = file.relative_to(self.path)
                book = books.get(number)
                clips = {
                    key: clip_of(self.path, self._info, self.version, key, number, book)
                    for key in videos
                }
                yield Rows(number, file, rows, clips)
        self.lost += few(unreadable, "files cannot be read")
        if not found:
            raise LeRobotError("; ".join([*self.lost, f"no rows are in {self.path / 'data'}"]))
        self._compare(found, {number: book.length for number, book in books.items()})

    def _books(self) -> dict[int, Book]:
        try:
            return read_books(self.path / "meta")
        except READ_ERRORS as error:
            self.lost.append(f"meta/episodes cannot be read: {short(error)}")
            return {}

    def _compare(self, found: Counter[int], claimed: dict[int, int]) -> None:
        """Note what `meta/` claims and the files do not have, and the other way round."""
        less = {n: length for n, length in claimed.items() if found[n] < length}
        self.missing = sum(length - found[n] for n, length in less.items())
        self.lost += few(
            [f"episode {n} has {found[n]} of {length} frames" for n, length in less.items()],
            f"episodes have fewer frames than meta/ says (all such episodes: {spans(less)}; "
            f"{self.missing} frames are missing)",
        )
        for number, length in claimed.items():
            if 0 <= length < found[number]:
                self.remarks.append(
                    f"episode {number} has {found[number]} frames, meta/ says {length}; all count"
                )
        episodes = self._info.get("total_episodes")
        if isinstance(episodes, int) and len(found) < episodes and not self.lost:
            self.lost.append(f"info.json claims {episodes} episodes, the files have {len(found)}")
        total = self._info.get("total_frames")
        if isinstance(total, int):
            self.missing = max(self.missing, total - sum(found.values()))
        if isinstance(total, int) and sum(found.values()) < total and not self.lost:
            self.lost.append(
                f"info.json claims {total} frames, the files have {sum(found.values())}"
            )
        elif isinstance(total, int) and sum(found.values()) > total:
            self.remarks.append(
                f"info.json claims {total} frames, the files have {sum(found.values())}; all count"
            )
