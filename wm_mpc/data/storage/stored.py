"""The common part of all storage files: channels, an index of messages, and claims.

A `StoredFile` reads its file once from the first byte to the last when it is opened, and keeps the
arrival time and place of each message. Counts that the file states (statistics, indexes) are kept
separately, as claims, for comparison.
"""

from __future__ import annotations

import abc
import array
import dataclasses
from collections import Counter, defaultdict
from pathlib import Path

LATEST_TIME = 2**63  # ns; arrival times must be below this


class StorageError(RuntimeError):
    """A file that cannot be read at all; the text says why."""


class UnreadableError(ValueError):
    """A message or a part of a file that cannot be read; the text says why."""


@dataclasses.dataclass(frozen=True)
class Channel:
    """The messages of a topic from one publisher.

    Attributes:
        topic: Name of the topic.
        type: Such as "sensor_msgs/msg/Image"; "" if the file does not state it.
        encoding: Encoding of the messages: "cdr", "ros1", "json", ...
        definition_format: "ros2msg", "ros2idl", "omgidl", "ros1msg", or "" without a definition;
            other formats are not supported.
        definition: The definition of the type.
        digest: Hash of the definition ("RIHS01_..."), or "".
    """

    topic: str
    type: str
    encoding: str
    definition_format: str
    definition: str
    digest: str = ""


class StoredFile(abc.ABC):
    """An open storage file.

    Attributes:
        path: The file.
        channels: Channels by number.
        times: Arrival times of the readable messages, ns, by channel, in the order of the file.
        places: Places of these messages, for `fetch`.
        claims: Numbers of messages that the file states, by source ("statistics", ...) and
            channel.
        unreadable: Messages that exist but cannot be read, by channel.
        unattributed: The same for messages of unknown channels.
        remarks: Remarks for the user: damage, and parts that are left out.
        unknown: Damage that hides an unstated number of messages.
        unaccounted: Damage that no count can explain.
        unfinished: Whether the recorder never closed the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.channels: dict[int, Channel] = {}
        self.times: dict[int, array.array[int]] = defaultdict(lambda: array.array("q"))
        self.places: dict[int, array.array[int]] = defaultdict(lambda: array.array("q"))
        self.claims: dict[str, Counter[int]] = defaultdict(Counter)
        self.unreadable: Counter[int] = Counter()
        self.unattributed = 0
        self.remarks: list[str] = []
        self.unknown: list[str] = []
        self.unaccounted: list[str] = []
        self.unfinished = False

    @abc.abstractmethod
    def fetch(self, place: int) -> bytes:
        """Return the serialized message at a place.

        Args:
            place: An entry of `places`.

        Raises:
            UnreadableError: The message cannot be read.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close the file."""

    @property
    def is_damaged(self) -> bool:
        """Whether messages are lost or may be lost."""
        lost = self.unknown or self.unaccounted or self.unreadable or self.unattributed
        return self.unfinished or bool(lost)

    def _keep(self, channel: int, time: int, place: int) -> bool:
        """Note a readable message; False if its arrival time is impossible."""
        if time < LATEST_TIME:
            self.times[channel].append(time)
            self.places[channel].append(place)
            return True
        self.unreadable[channel] += 1
        self.remarks.append(f"a message has the arrival time {time} ns, which is impossible")
        return False

    @property
    def count(self) -> int:
        """Number of readable messages."""
        return sum(len(times) for times in self.times.values())
