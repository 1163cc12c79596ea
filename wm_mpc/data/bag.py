"""Recordings of ROS topics, read without ROS: rosbag2 (sqlite3 or MCAP, any distro) and ROS 1.

`Bag` lists topics and yields messages; `rosbags` does the decoding. What the messages mean is
`wm_mpc.data.bag_streams`' business.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from wm_mpc.data.mcap_recovery import recover, unfinished

_SECOND = 1e9  # ns


class BagError(RuntimeError):
    """A recording that cannot be used; the text says why, and what would be accepted."""


@dataclasses.dataclass(frozen=True)
class Topic:
    """A recorded topic. type: such as "sensor_msgs/msg/Image", also of ROS 1 bags."""

    name: str
    type: str
    count: int


@dataclasses.dataclass(frozen=True)
class Received:
    """A recorded message. received: when the recorder got it, ns."""

    topic: str
    type: str
    received: int
    message: Any


class Bag:
    """An open recording; a context manager. topics: by name. seconds: its length.

    damaged: how many messages could not be decoded, by topic, so far. recovered: how many are whole
    in a file that was never finished, because its recorder was killed; 0 when it was finished.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """path: a rosbag2 directory, an .mcap or .db3 file, or a ROS 1 .bag file. Raises BagError
        when there is none or it cannot be read."""
        self.path = Path(path)
        self.damaged: dict[str, int] = {}
        self.recovered = 0
        if not self.path.exists():
            raise BagError(f"no recording at {self.path}")
        self._stack = contextlib.ExitStack()
        try:
            readable = self._finished()
            # Bags from before ROS 2 Iron may hold no message definitions.
            store = get_typestore(Stores.LATEST)
            self._reader = self._stack.enter_context(AnyReader([readable], default_typestore=store))
            self.topics = {
                name: Topic(name, info.msgtype or "several types", info.msgcount)
                for name, info in sorted(self._reader.topics.items())
            }
        except Exception as error:  # a damaged file makes the library raise almost anything
            self._stack.close()
            raise BagError(
                f"{self.path} cannot be read: {error or type(error).__name__}; accepted: a rosbag2 "
                "directory with its metadata.yaml, an .mcap or .db3 file, a ROS 1 .bag file"
            ) from None
        if not any(topic.count for topic in self.topics.values()):
            self._stack.close()
            raise BagError(f"{self.path} holds no messages")
        self.seconds = self._reader.duration / _SECOND

    def _finished(self) -> Path:
        """The recording itself or, when it was never finished, a copy of what is whole in it."""
        if (file := unfinished(self.path)) is None:
            return self.path
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wm_mpc_recovered_"))
        copy = Path(folder) / "bag"
        self.recovered = recover(file, copy)
        return copy

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def messages(self, topics: Collection[str]) -> Iterator[Received]:
        """All messages of these topics in the order of their arrival; those that cannot be decoded
        are left out and counted. Raises BagError when the file is damaged."""
        connections = [c for c in self._reader.connections if c.topic in topics]
        if not connections:
            return
        try:
            for connection, received, data in self._reader.messages(connections):
                try:
                    message = self._reader.deserialize(data, connection.msgtype)
                except Exception:  # whatever garbage makes a decoder do
                    self.damaged[connection.topic] = self.damaged.get(connection.topic, 0) + 1
                    continue
                yield Received(connection.topic, connection.msgtype, received, message)
        except Exception as error:
            raise BagError(f"{self.path} is damaged: {error or type(error).__name__}") from None

    def first(self, topic: str) -> Any:
        """The first message of a topic that can be decoded; None without one."""
        return next((item.message for item in self.messages([topic])), None)

    def table(self) -> str:
        """The topics, a line each, for people."""
        width = max(len(name) for name in self.topics)
        types = max(len(topic.type) for topic in self.topics.values())
        return "\n".join(
            f"  {topic.name:{width}}  {topic.type:{types}}  {topic.count:>7} messages"
            + (f"  {topic.count / self.seconds:7.1f} Hz" if self.seconds else "")
            for topic in self.topics.values()
        )
