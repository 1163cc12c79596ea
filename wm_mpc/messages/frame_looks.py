"""Check that the poses of a stream are of one body in one frame.

Numbers of several frames do not mix. Each reader of odometry reports a change once.
"""

from __future__ import annotations

from typing import Any

_MOST = 8  # different names that are remembered


class FrameLooks:
    """A summary of the frames of a stream so far.

    Args:
        topic: Topic of the stream, for people.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._names: dict[str, dict[str, int]] = {"frame_id": {}, "child_frame_id": {}}
        self._last: tuple[str, ...] | None = None
        self._changed = False

    def see(self, message: Any) -> list[str]:
        """Add a message.

        Args:
            message: An Odometry, or a PoseStamped, which has no child_frame_id.

        Returns:
            The summary if the message is the first of another frame; else nothing.
        """
        names = message.header.frame_id, getattr(message, "child_frame_id", "")
        self._changed, self._last = self._last not in (None, names), names
        is_news = False
        for counts, name in zip(self._names.values(), names, strict=True):
            is_new = name not in counts
            if is_new and len(counts) >= _MOST:
                continue
            counts[name] = counts.get(name, 0) + 1
            is_news |= is_new and len(counts) > 1
        return [self.summary()] if is_news else []

    def mixed(self) -> str:
        """Return the summary if the latest message is of another frame than the one before it;
        else ""."""
        return self.summary() if self._changed else ""

    def summary(self) -> str:
        """Return the names that were found and how often, if there are several of a kind; else
        ""."""
        found = [
            f"{kind} ({', '.join(f'{count} {name!r}' for name, count in counts.items())})"
            for kind, counts in self._names.items()
            if len(counts) > 1
        ]
        if not found:
            return ""
        return (
            f"the messages of {self._topic} are of several frames, and their numbers are mixed: "
            f"{', '.join(found)}"
        )
