"""Read recordings of ROS topics without ROS: rosbag2 (sqlite3 or MCAP, any distro) and ROS 1.

`Bag` lists topics and yields messages. `wm_mpc.data.storage` reads the files from the first byte
to the last. `wm_mpc.data.bag_accounts` compares the result with the counts in metadata.yaml,
indexes and statistics. `wm_mpc.data.bag_streams` interprets the messages.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wm_mpc.data.storage.definitions import Decoder, left_out
from wm_mpc.data.storage.files import (
    Metadata,
    counts_by_topic,
    missing_files,
    open_file,
    read_metadata,
    storage_files,
)
from wm_mpc.data.storage.ros1 import Ros1File
from wm_mpc.data.storage.set_back import steady_splits, steady_times
from wm_mpc.data.storage.stored import StorageError, StoredFile, UnreadableError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_SECOND = 1e9  # ns
_ZSTD = b"\x28\xb5\x2f\xfd"  # first bytes of a compressed message, and of no other
ACCEPTED = (
    "accepted: a rosbag2 directory, with or without metadata.yaml, an .mcap or .db3 file, "
    "a ROS 1 .bag file"
)


class BagError(RuntimeError):
    """A recording that cannot be used; the text says why, and what is accepted."""


@dataclasses.dataclass(frozen=True)
class Topic:
    """A recorded topic.

    Attributes:
        name: Name with the leading slash.
        type: Message type, such as "sensor_msgs/msg/Image", also for ROS 1 bags. A type whose
            messages cannot be decoded never has this form.
        count: Number of messages that can be decoded.
        left_out: Why messages cannot be decoded, or "".
    """

    name: str
    type: str
    count: int
    left_out: str = ""


@dataclasses.dataclass(frozen=True)
class Received:
    """A recorded message.

    Attributes:
        topic: Name of the topic.
        type: Message type.
        received: Time at which the recorder received it, ns.
        message: The decoded message.
    """

    topic: str
    type: str
    received: int
    message: Any


class Bag:
    """An open recording; a context manager.

    Attributes:
        path: The opened path.
        topics: Topics by name.
        begin: Arrival of the first message, nanoseconds.
        seconds: Time from the first to the last message, s.
        damaged: Messages per topic that the latest pass could not decode.
        repeated: Messages per topic that the latest pass found in two files and used once.
        unreadable: Messages per topic that are in the files but cannot be read.
        recovered: Number of complete messages in files that were never finished.
        remarks: Remarks on the files, for the user.
        unaccounted: Damage that hides an unknown number of messages.
        metadata: Contents of metadata.yaml; None without it.
        files: The open files.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a recording.

        Args:
            path: A rosbag2 directory, an .mcap or .db3 file, or a ROS 1 .bag file.

        Raises:
            BagError: There is no recording, or it cannot be read.
        """
        self.path = Path(path)
        if not self.path.exists():
            raise BagError(f"no recording at {self.path}")
        self.damaged: dict[str, int] = {}
        self.repeated: Counter[str] = Counter()
        self.unreadable: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self.remarks: list[str] = []
        self.unaccounted: list[str] = []
        self.metadata: Metadata | None = None
        self._decoder = Decoder()
        self._steady: list[dict[int, np.ndarray]] = []  # times that count, of each file
        self._stack = contextlib.ExitStack()
        try:
            self.files = self._open()
            self.recovered = sum(file.count for file in self.files if file.unfinished)
            self.topics = self._find_topics()
        except StorageError as error:
            self._stack.close()
            raise BagError(f"{self.path} cannot be read: {error}; {ACCEPTED}") from None
        except BaseException:
            self._stack.close()
            raise
        if not any(topic.count for topic in self.topics.values()):
            remarks = "".join(f"; {remark}" for remark in self.remarks + self.unaccounted)
            self._stack.close()
            raise BagError(f"{self.path} holds no messages{remarks}")
        spans = [span for file in self.files if (span := _span(file))]
        self.begin = min(b for b, _ in spans)
        self.seconds = (max(e for _, e in spans) - self.begin) / _SECOND
        spans.sort()
        self._overlap = any(a[1] >= b[0] for a, b in itertools.pairwise(spans))

    def _open(self) -> list[StoredFile]:
        if self.path.is_dir():
            self.metadata = read_metadata(self.path)
        paths, self.remarks = storage_files(self.path, self.metadata)
        for name in missing_files(paths, self.metadata) if self.path.is_dir() else ():
            self.unaccounted.append(f"metadata.yaml lists {name}, which does not exist")
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wm_mpc_unpacked_"))
        files = []
        for path in paths:
            try:
                file, said = open_file(path, Path(folder))
            except StorageError as error:
                if len(paths) == 1:
                    raise
                is_listed = self.metadata is not None and path.name in self.metadata.files
                is_news = is_listed or path.stat().st_size
                (self.unaccounted if is_news else self.remarks).append(f"{path.name}: {error}")
                continue
            self._stack.callback(file.close)
            files.append(file)
            prefix = f"{path.name}: " if self.path.is_dir() else ""
            self.remarks += [prefix + remark for remark in said + file.remarks + file.unknown]
            self.unaccounted += [prefix + remark for remark in file.unaccounted]
            steady, back = steady_times(file)
            self._steady.append(steady)
            self.remarks += [
                f"{prefix}the recorder's clock was set back by {step:.3g} s; the order of its "
                "messages is used there"
                for step in back
            ]
        self.remarks += [
            f"the recorder's clock was set back by {step:.3g} s before {file.path.name}; the "
            "numbers of the files give their order"
            for file, step in steady_splits(files, self._steady)
        ]
        if not files:
            raise StorageError("; ".join(self.unaccounted + self.remarks))
        return files

    def _find_topics(self) -> dict[str, Topic]:
        self._usable: dict[int, set[int]] = {}  # channels, by number of the file
        types: dict[str, set[str]] = {}
        counts, lost = Counter[str](), Counter[str]()
        reasons: dict[str, str] = {}
        foreign: dict[str, str] = {}
        for index, file in enumerate(self.files):
            self._usable[index] = set()
            self.unreadable.update(counts_by_topic(file, file.unreadable))
            for number, channel in file.channels.items():
                count, name = len(file.times.get(number, ())), channel.topic
                types.setdefault(name, set())
                why = left_out(channel, is_ros1=isinstance(file, Ros1File))
                why = why or (self._decoder.problem(channel) if count else "")
                if why:
                    lost[name] += count
                    reasons.setdefault(name, why)
                    said = channel.definition_format or channel.encoding or "no encoding"
                    foreign.setdefault(name, f"{channel.type or 'no schema'} ({said})")
                else:
                    self._usable[index].add(number)
                    types[name].add(channel.type)
                    counts[name] += count
        topics = {}
        for name, found in sorted(types.items()):
            if not found or (not counts[name] and lost[name]):
                topics[name] = Topic(name, foreign[name], lost[name], reasons[name])
                continue
            kind = next(iter(found)) if len(found) == 1 else f"several: {', '.join(sorted(found))}"
            why = f"{lost[name]} messages: {reasons[name]}" if lost[name] else ""
            topics[name] = Topic(name, kind, counts[name], why)
        return topics

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def messages(self, topics: Collection[str]) -> Iterator[Received]:
        """Yield all messages of some topics in the order of their arrival.

        A message that cannot be decoded is left out and counted in `damaged`.

        Args:
            topics: Names of topics.

        Yields:
            Each message.

        Raises:
            BagError: A file is damaged.
        """
        for name in topics:
            self.damaged.pop(name, None)
            self.repeated.pop(name, None)
        seen: set[tuple[str, int, int]] = set()
        for index, number, received, place in self._ordered(set(topics)):
            file = self.files[index]
            channel = file.channels[number]
            try:
                data = file.fetch(place)
                if data.startswith(_ZSTD):
                    data = zstd.decompress(data)
                if self._overlap:
                    key = channel.topic, received, zlib.crc32(data)
                    if key in seen:
                        self.repeated[channel.topic] += 1
                        continue
                    seen.add(key)
                message = self._decoder.decode(channel, data)
            except (UnreadableError, zstd.ZstdError) as error:
                self.damaged[channel.topic] = self.damaged.get(channel.topic, 0) + 1
                self._reasons.setdefault(channel.topic, str(error))
                continue
            except Exception as error:
                raise BagError(f"{file.path} is damaged: {error or type(error).__name__}") from None
            yield Received(channel.topic, channel.type, received, message)

    def _ordered(self, topics: set[str]) -> Iterator[tuple[int, int, int, int]]:
        """File number, channel, arrival time and place of each decodable message, sorted by time,
        file and place."""
        columns: list[tuple[np.ndarray, ...]] = []
        for index, file in enumerate(self.files):
            for number in sorted(self._usable[index]):
                if file.channels[number].topic not in topics or number not in file.times:
                    continue
                times = np.frombuffer(file.times[number], np.int64)
                times = self._steady[index].get(number, times)
                places = np.frombuffer(file.places[number], np.int64)
                of_file = np.full(len(times), index, np.int64)
                columns.append((of_file, np.full(len(times), number, np.int64), times, places))
        if not columns:
            return
        files, numbers, times, places = (
            np.concatenate(part) for part in zip(*columns, strict=True)
        )
        for at in np.lexsort((places, files, times)):
            yield int(files[at]), int(numbers[at]), int(times[at]), int(places[at])

    def reason(self, topic: str) -> str:
        """Return why the first undecodable message of a topic could not be decoded.

        Args:
            topic: Name of the topic.

        Returns:
            The reason; "" if all messages could be decoded.
        """
        return self._reasons.get(topic, "")

    def first(self, topic: str) -> Any:
        """Return the first decodable message of a topic.

        Args:
            topic: Name of the topic.

        Returns:
            The decoded message, or None.
        """
        return next((item.message for item in self.messages([topic])), None)

    def table(self) -> str:
        """Return the topics as text, one line each."""
        width = max(len(name) for name in self.topics)
        types = max(len(topic.type) for topic in self.topics.values())
        return "\n".join(
            f"  {topic.name:{width}}  {topic.type:{types}}  {topic.count:>7} messages"
            + (f"  {topic.count / self.seconds:7.1f} Hz" if self.seconds else "")
            + (f"  left out: {topic.left_out}" if topic.left_out else "")
            for topic in self.topics.values()
        )


def _span(file: StoredFile) -> tuple[int, int] | None:
    """Arrival times of the first and the last message of a file, ns."""
    times = [times for times in file.times.values() if times]
    return (min(map(min, times)), max(map(max, times))) if times else None
