"""Check that the images of a stream belong together: same camera, same size, known colours.

Two cameras on one topic, or a camera that changes its size, give images from which no model can
learn or plan. Each reader of a stream reports this once.
"""

from __future__ import annotations

from typing import Any

from wm_mpc.messages.compressed_pictures import size_of_file
from wm_mpc.messages.pictures import ASSUMED

_MOST = 8  # different ones that are remembered


class PictureLooks:
    """A summary of the images of a stream so far."""

    def __init__(self) -> None:
        self._frames: dict[str, int] = {}
        self._shapes: dict[str, int] = {}
        self._assumed: dict[str, None] = {}
        self._last: tuple[str, str] | None = None
        self._changed = False

    def see(self, message: Any) -> list[str]:
        """Add an image.

        Args:
            message: An Image or CompressedImage.

        Returns:
            New findings, one sentence each; at most one each on frames, sizes and colours.
        """
        said = []
        look = message.header.frame_id, _shape(message)
        self._changed, self._last = self._last not in (None, look), look
        if _new(self._frames, look[0]) and len(self._frames) == 2:
            said.append(self._of_frames())
        if _new(self._shapes, look[1]) and len(self._shapes) == 2:
            said.append(self._of_shapes())
        assumed = ASSUMED.get(getattr(message, "encoding", ""))
        if assumed and assumed not in self._assumed:
            self._assumed[assumed] = None
            said.append(assumed)
        return said

    def mixed(self) -> str:
        """Return that the latest image comes from another camera or is of another kind than the
        one before, or ""."""
        return "; ".join(self.summary()) if self._changed else ""

    def summary(self) -> list[str]:
        """Return all findings on the whole stream, one sentence each."""
        said = [self._of_frames()] if len(self._frames) > 1 else []
        said += [self._of_shapes()] if len(self._shapes) > 1 else []
        return said + list(self._assumed)

    def _of_frames(self) -> str:
        return (
            f"images of several frames ({_counts(self._frames)}) arrive in one stream: two cameras?"
        )

    def _of_shapes(self) -> str:
        return f"images of several kinds ({_counts(self._shapes)}) arrive in one stream"


def _new(counts: dict[str, int], key: str) -> bool:
    known = key in counts
    if known or len(counts) < _MOST:
        counts[key] = counts.get(key, 0) + 1
    return not known and key in counts


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} of {name or 'no name'}" for name, count in counts.items())


def _shape(message: Any) -> str:
    encoding = getattr(message, "encoding", None)
    if encoding is not None:
        return f"{message.height}x{message.width} {encoding}"
    height, width = size_of_file(message.data)
    return f"{height}x{width} {message.format}" if height else message.format
