"""Messages that a node could not use: dropped, counted, and shown on `/diagnostics`.

A message that cannot be read ends nothing. But whoever sent it must be able to see that it changed
nothing, and why.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

SHOWN = 10.0  # s, for which a status tells of a message that was dropped
_LONGEST = 300  # characters of a reason


class Dropped:
    """Counts dropped messages and keeps the last reason. Thread-safe."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """now: seconds of a steady clock."""
        self._now = now
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._last: tuple[float, str] | None = None

    def note(self, topic: str, reason: str) -> None:
        """A message on a topic was dropped. reason: for people."""
        short = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}..."
        with self._lock:
            self._counts[topic] = self._counts.get(topic, 0) + 1
            self._last = self._now(), f"{topic}: {short}"

    def count(self, topics: Collection[str]) -> int:
        """How many there were on these topics together."""
        with self._lock:
            return sum(self._counts.get(topic, 0) for topic in topics)

    def recent(self) -> str:
        """The topic of the newest one if it came less than `SHOWN` seconds ago, else an empty
        text. The reason is among the values."""
        last = self._last
        return "" if last is None or self._now() - last[0] > SHOWN else last[1].partition(":")[0]

    def values(self) -> dict[str, object]:
        """For diagnostics: how many there were on each topic, and the last reason."""
        with self._lock:
            counts = ", ".join(f"{count} on {topic}" for topic, count in self._counts.items())
            last = "none" if self._last is None else self._last[1]
        return {"messages dropped": counts or "none", "last dropped message": last}
