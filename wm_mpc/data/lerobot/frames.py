"""The pictures of a LeRobot episode: encoded in the rows, as files beside them, or in a video."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from wm_mpc.data.lerobot.info import LeRobotError
from wm_mpc.data.lerobot.layout import Rows
from wm_mpc.messages.compressed_pictures import compressed_to_rgb
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.pictures import check_size, to_model
from wm_mpc.spec import ImageSpec


class FramesError(LeRobotError):
    """Pictures of an episode that are missing or cannot be read."""


class FrameReader:
    """Reads the pictures of one camera, episode after episode. A context manager.

    It keeps one video open, because the episodes of a file follow each other in it.
    """

    def __init__(self, folder: Path, key: str, image: ImageSpec, fps: float) -> None:
        """Prepare to read.

        Args:
            folder: Folder of the dataset.
            key: Key of the camera.
            image: Size of the pictures that are wanted.
            fps: Frames per second of the dataset.
        """
        self._folder, self._key, self._image, self._fps = folder, key, image, fps
        self._video: _Video | None = None

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._video is not None:
            self._video.close()
        self._video = None

    def read(self, rows: Rows, wanted: np.ndarray) -> np.ndarray:
        """Return pictures of an episode.

        Args:
            rows: The episode.
            wanted: Numbers of its frames, ascending, (n,); a frame may be repeated.

        Returns:
            uint8 (n, height, width, 3), RGB, in the wanted size.

        Raises:
            FramesError: A picture is missing or damaged.
            LeRobotError: A picture is smaller than the wanted size.
        """
        if self._key in rows.clips:
            return self._of_video(rows, wanted)
        column = rows.table.column(self._key)
        pictures: dict[int, np.ndarray] = {}
        for number in dict.fromkeys(wanted.tolist()):
            pictures[number] = self._decoded(column[number].as_py(), rows, number)
        return np.stack([pictures[number] for number in wanted.tolist()])

    def _decoded(self, entry: Any, rows: Rows, number: int) -> np.ndarray:
        where = f"frame {number} of {self._key} in episode {rows.episode}"
        data = entry.get("bytes") if isinstance(entry, dict) else entry
        if not data and isinstance(entry, dict) and entry.get("path"):
            file = self._folder / str(entry["path"])
            if self._folder.resolve() not in file.resolve().parents:
                raise LeRobotError(f"{where} is outside the dataset: {entry['path']}")
            try:
                data = file.read_bytes()
            except OSError as error:
                raise FramesError(f"{where} cannot be read: {error}") from None
        if not isinstance(data, bytes):
            raise FramesError(f"{where} has no picture; accepted: encoded bytes or a path")
        message = types.SimpleNamespace(data=data, format="")
        try:
            return compressed_to_rgb(message, self._image)
        except MessageError as error:
            raise FramesError(f"{where}: {error}") from None

    def _of_video(self, rows: Rows, wanted: np.ndarray) -> np.ndarray:
        clip = rows.clips[self._key]
        if self._video is None or not self._video.is_before(clip.path, clip.start):
            self._close()
            self._video = _Video(clip.path)
        pictures = []
        for time in clip.start + rows.times[wanted]:
            frame, at = self._video.nearest(float(time), 0.5 / self._fps)
            if frame is None:
                raise FramesError(
                    f"{clip.path.name} has no frame at {time:.3f} s (episode {rows.episode}); the "
                    f"nearest is at {at:.3f} s"
                )
            pictures.append(self._scaled(frame))
        return np.stack(pictures)

    def _scaled(self, frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        try:
            check_size(f"frame of {self._key} is {height}x{width}", height, width, self._image)
        except MessageError as error:
            raise LeRobotError(str(error)) from None
        return to_model(frame, None, self._image)


class _Video:
    """Frames of a video, forward only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._container = av.open(str(path))
            self._frames = self._decoded()
            self._present = next(self._frames, None)
        except IndexError:
            raise FramesError(f"video {path} cannot be read: no video is in it") from None
        except (OSError, av.FFmpegError) as error:
            raise FramesError(f"video {path} cannot be read: {error}") from None
        self._next = self._following()

    def close(self) -> None:
        self._container.close()

    def is_before(self, path: Path, time: float) -> bool:
        """Whether a time of a file can still be reached."""
        return self.path == path and self._present is not None and self._present[0] <= time + 1e-3

    def nearest(self, time: float, tolerance: float) -> tuple[np.ndarray | None, float]:
        """The frame nearest to a time, None if it is farther away than the tolerance; its time."""
        while (
            self._present is not None
            and self._next is not None
            and abs(self._next[0] - time) <= abs(self._present[0] - time)
        ):
            self._present, self._next = self._next, self._following()
        if self._present is None:
            return None, float("nan")
        at, frame = self._present
        return (frame.to_ndarray(format="rgb24") if abs(at - time) <= tolerance else None), at

    def _following(self) -> tuple[float, Any] | None:
        try:
            return next(self._frames, None)
        except av.FFmpegError as error:
            raise FramesError(f"video {self.path} is damaged: {error}") from None

    def _decoded(self) -> Iterator[tuple[float, Any]]:
        stream = self._container.streams.video[0]
        for frame in self._container.decode(stream):
            if frame.time is not None:
                yield float(frame.time), frame
