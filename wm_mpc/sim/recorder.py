"""Record a film of the planner, as .gif or .mp4.

A separate thread draws and writes the images one by one. So the control loop does not wait for the
encoder, memory stays bounded, and an interrupted run leaves a playable file.
"""

from __future__ import annotations

import importlib.util
import pathlib
import queue
import threading
from typing import Any, Protocol

import cv2
import numpy as np

from wm_mpc.sim.film_picture import Picture, compose, size
from wm_mpc.sim.gif import GifWriter
from wm_mpc.sim.task import CameraView
from wm_mpc.spec import ActionSpec

SUFFIXES = (".gif", ".mp4")
_LONGEST = 600.0  # s of film; a forgotten run must not fill the disk
_PENDING = 64  # most pictures that wait for the encoder


class RecorderError(ValueError):
    """The film cannot be written; the text says why."""


class _Writer(Protocol):
    def append_data(self, picture: np.ndarray) -> Any: ...

    def close(self) -> None: ...


class Recorder:
    """Writes pictures to a file until `close`.

    Args:
        path: Path of the file; it ends in .gif or .mp4.
        view: The camera, to draw paths; None: the actions are drawn instead.
        action: Limits of the actions, to draw curves.
        rate: Pictures per second.
        strip: Whether the film has the strip of imagined images.

    Attributes:
        path: Path of the file.
        made_folder: Whether its folder was not there before.
        pictures: Number of pictures written.
        dropped: Number of pictures left out.

    Raises:
        RecorderError: The name ends in neither .gif nor .mp4, or the file cannot be made.
    """

    def __init__(
        self,
        path: str,
        view: CameraView | None,
        action: ActionSpec,
        rate: float,
        *,
        strip: bool = False,
    ) -> None:
        self.path = pathlib.Path(path).expanduser()
        self.made_folder = not self.path.parent.exists()
        self.pictures = 0
        self.dropped = 0
        self._view, self._action, self._strip = view, action, strip
        self._limit = round(_LONGEST * rate)
        self._failure: Exception | None = None
        self._writer = _open(self.path, rate, size(strip=strip))
        self._queue: queue.Queue[Picture | None] = queue.Queue(_PENDING)
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def add(self, picture: Picture, *, wait: bool) -> None:
        """Append a picture.

        Args:
            picture: The picture.
            wait: Whether to wait if the encoder is behind. If not, the picture is left out.
        """
        try:
            self._queue.put(picture, block=wait, timeout=1.0 if wait else None)
        except queue.Full:
            self.dropped += 1

    def close(self) -> str:
        """Finish the file, and describe it in one line."""
        self._queue.put(None)
        self._thread.join()
        if self._failure is not None:
            return f"recording {self.path} failed: {self._failure}"
        if self.pictures == 0:
            self.path.unlink(missing_ok=True)
            return f"recorded nothing to {self.path}: there was no step"
        text = f"recorded {self.pictures} pictures to {self.path}"
        return f"{text} ({self.dropped} left out: too slow)" if self.dropped else text

    def _compose(self, picture: Picture) -> np.ndarray:
        return compose(picture, self._view, self._action, strip=self._strip)

    def _write(self) -> None:
        while (picture := self._queue.get()) is not None:
            if self._failure is None and self.pictures < self._limit:
                try:
                    self._writer.append_data(self._compose(picture))
                    self.pictures += 1
                except Exception as error:  # a full disk must not stop the robot
                    self._failure = error
        try:
            self._writer.close()
        except Exception as error:
            self._failure = self._failure or error


def _open(path: pathlib.Path, rate: float, size: tuple[int, int]) -> _Writer:
    if path.suffix.lower() not in SUFFIXES:
        raise RecorderError(f"record is {str(path)!r}; accepted: a name ending in .gif or .mp4")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".gif":
            return GifWriter(path, rate)
        path.open("ab").close()  # an encoder says too late, or not why, that it cannot write
    except OSError as error:
        raise RecorderError(f"cannot write {path}: {error}") from None
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return _OpenCvWriter(path, rate, size)
    import imageio.v2 as imageio

    return imageio.get_writer(path, fps=rate, macro_block_size=2)


class _OpenCvWriter:
    """MPEG-4 by OpenCV, for machines without imageio-ffmpeg. That package's H.264 also plays in
    browsers."""

    def __init__(self, path: pathlib.Path, rate: float, size: tuple[int, int]) -> None:
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
        if not self._writer.isOpened():
            path.unlink(missing_ok=True)
            raise RecorderError(
                f"cannot write {path}: this OpenCV cannot encode mp4; install imageio-ffmpeg or "
                "record a .gif"
            )

    def append_data(self, picture: np.ndarray) -> None:
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()
