"""What every kind of storage file has in common: channels, an index of its messages, its claims.

A `StoredFile` reads its file once from the first byte to the last when it is opened, and keeps when
each message arrived and where it lies. What the file says of itself (statistics, indexes) is kept
apart, as claims, for comparison.
"""

from __future__ import annotations

import abc
import array
import dataclasses
from collections import Counter, defaultdict
from pathlib import Path

LATEST_TIME = 2**63  # ns; what a message's time of arrival must be below


class StorageError(RuntimeError):
    """A file that cannot be read at all; the text says why."""


class UnreadableError(ValueError):
    """One message, or one part of a file, that cannot be read; the text says why."""


@dataclasses.dataclass(frozen=True)
class Channel:
    """A topic as one publisher's messages of it are stored.

    Attributes:
        topic: Its name.
        type: Such as "sensor_msgs/msg/Image"; "" when the file does not say.
        encoding: Of the messages: "cdr", "ros1", "json", ...
        definition_format: "ros2msg", "ros2idl", "omgidl", "ros1msg", or "" without a definition;
            anything else is of somebody else.
        definition: The text that says what a message consists of.
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
        channels: By number.
        times: When each readable message arrived, ns, by channel, in the order of the file.
        places: Where each of them lies, for `fetch`.
        claims: How many messages the file says that it has, by source ("statistics", ...) and
            channel.
        unreadable: Messages that are known to be there and cannot be read, by channel.
        unattributed: The same, where it is not known of which channels they are.
        remarks: What a person should know of it: damage, and what is left out.
        unknown: Damage that hides messages, where the file does not say how many.
        unaccounted: Damage that no count can explain.
        unfinished: Whether its recorder never closed it.
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
        """The serialized message at a place. Raises UnreadableError."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the file."""

    @property
    def is_damaged(self) -> bool:
        """Whether messages of it are known to be lost, or may be."""
        lost = self.unknown or self.unaccounted or self.unreadable or self.unattributed
        return self.unfinished or bool(lost)

    def _keep(self, channel: int, time: int, place: int) -> bool:
        """Note a message that is there; False when its time of arrival is none."""
        if time < LATEST_TIME:
            self.times[channel].append(time)
            self.places[channel].append(place)
            return True
        self.unreadable[channel] += 1
        self.remarks.append(f"a message arrived at {time} ns, which is no time")
        return False

    @property
    def count(self) -> int:
        """Readable messages."""
        return sum(len(times) for times in self.times.values())
