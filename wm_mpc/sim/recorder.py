"""Record a film of the planner: camera, goal and plan in three panels, as .gif or .mp4.

A separate thread draws and writes the images one by one. So the control loop does not wait for the
encoder, memory stays bounded, and an interrupted run leaves a playable file.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import pathlib
import queue
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np

from wm_mpc.sim.gif import GifWriter
from wm_mpc.sim.task import CameraView
from wm_mpc.spec import ActionSpec

SUFFIXES = (".gif", ".mp4")
PANEL = 256  # px
_GAP, _HEADER = 8, 48  # px
_LONGEST = 600.0  # s of film; a forgotten run must not fill the disk
_PENDING = 64  # most pictures that wait for the encoder
_BACKGROUND, _TEXT, _DIM = (24, 26, 30), (235, 235, 235), (150, 150, 150)
_COLOURS = ((255, 200, 40), (80, 190, 255), (255, 110, 110), (130, 220, 120), (200, 140, 255))
_FONT = cv2.FONT_HERSHEY_SIMPLEX

Path = tuple[np.ndarray, tuple[int, int, int]]


class RecorderError(ValueError):
    """The film cannot be written; the text says why."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture of the film.

    Attributes:
        camera: uint8 (height, width, 3) rgb.
        goal: uint8 (height, width, 3) rgb.
        actions: The rest of the plan, (points, action size), in the action's unit.
        paths: Predicted paths: points (points, 3) in the world frame, m, and an rgb colour. Without
            paths, the actions are drawn as curves.
        caption: One line of text.
    """

    camera: np.ndarray
    goal: np.ndarray
    actions: np.ndarray
    paths: Sequence[Path]
    caption: str


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

    Attributes:
        path: Path of the file.
        pictures: Number of pictures written.
        dropped: Number of pictures left out.

    Raises:
        RecorderError: The name ends in neither .gif nor .mp4, or the file cannot be made.
    """

    def __init__(self, path: str, view: CameraView | None, action: ActionSpec, rate: float) -> None:
        self.path = pathlib.Path(path).expanduser()
        self.pictures = 0
        self.dropped = 0
        self._view, self._action = view, action
        self._limit = round(_LONGEST * rate)
        self._failure: Exception | None = None
        self._writer = _open(self.path, rate)
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

    def _write(self) -> None:
        while (picture := self._queue.get()) is not None:
            if self._failure is None and self.pictures < self._limit:
                try:
                    self._writer.append_data(compose(picture, self._view, self._action))
                    self.pictures += 1
                except Exception as error:  # a full disk must not stop the robot
                    self._failure = error
        try:
            self._writer.close()
        except Exception as error:
            self._failure = self._failure or error


def _open(path: pathlib.Path, rate: float) -> _Writer:
    if path.suffix.lower() not in SUFFIXES:
        raise RecorderError(f"record is {str(path)!r}; accepted: a name ending in .gif or .mp4")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".gif":
            return GifWriter(path, rate)
    except OSError as error:
        raise RecorderError(f"cannot write {path}: {error}") from None
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return _OpenCvWriter(path, rate)
    import imageio.v2 as imageio

    return imageio.get_writer(path, fps=rate, macro_block_size=2)


class _OpenCvWriter:
    """MPEG-4 by OpenCV, for machines without imageio-ffmpeg. That package's H.264 also plays in
    browsers."""

    def __init__(self, path: pathlib.Path, rate: float) -> None:
        size = (4 * _GAP + 3 * PANEL, PANEL + _GAP + _HEADER)
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
        if not self._writer.isOpened():
            raise RecorderError(
                f"cannot write {path}: this OpenCV cannot encode mp4 or the folder is not "
                "writable; install imageio-ffmpeg or record a .gif"
            )

    def append_data(self, picture: np.ndarray) -> None:
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()


def compose(picture: Picture, view: CameraView | None, action: ActionSpec) -> np.ndarray:
    """Draw the three panels under their captions.

    Args:
        picture: The picture.
        view: The camera, to draw paths; None: the actions are drawn instead.
        action: Limits of the actions, to draw curves.

    Returns:
        uint8 (height, width, 3) rgb.
    """
    canvas = np.full((PANEL + _GAP + _HEADER, 4 * _GAP + 3 * PANEL, 3), _BACKGROUND, np.uint8)
    _write_text(canvas, picture.caption, (_GAP, 18), _TEXT)
    if picture.paths and view is not None:
        plan = _draw_paths(picture.camera, picture.paths, view)
    else:
        plan = _draw_actions(picture.actions, action)
    panels = {"camera": _enlarge(picture.camera), "goal": _enlarge(picture.goal), "plan": plan}
    for i, (title, panel) in enumerate(panels.items()):
        left = _GAP + i * (PANEL + _GAP)
        _write_text(canvas, title, (left, _HEADER - 8), _DIM)
        canvas[_HEADER : _HEADER + PANEL, left : left + PANEL] = panel
    return canvas


def _write_text(
    canvas: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    cv2.putText(canvas, text, at, _FONT, 0.45, colour, 1, cv2.LINE_AA)


def _enlarge(rgb: np.ndarray) -> np.ndarray:
    return cv2.resize(rgb, (PANEL, PANEL), interpolation=cv2.INTER_NEAREST)


def project(points: np.ndarray, view: CameraView, size: int) -> np.ndarray:
    """Project points onto a square image. Points behind the camera become NaN.

    Args:
        points: (n, 3) in the world frame, m.
        view: The camera.
        size: Side of the image, pixels.

    Returns:
        (n, 2) pixels, x to the right, y down.
    """
    position, up = np.asarray(view.position), np.asarray(view.up)
    forward = np.asarray(view.target) - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    offset = np.asarray(points, np.float64).reshape(-1, 3) - position
    depth = offset @ forward
    depth = np.where(depth > 1e-6, depth, np.nan)
    focal = size / 2.0 / math.tan(math.radians(view.field_of_view) / 2.0)
    return np.stack(
        [
            size / 2.0 + focal * (offset @ right) / depth,
            size / 2.0 - focal * (offset @ np.cross(right, forward)) / depth,
        ],
        axis=1,
    )


def _draw_paths(rgb: np.ndarray, paths: Sequence[Path], view: CameraView) -> np.ndarray:
    panel = (_enlarge(rgb) * 0.6).astype(np.uint8)
    for points, colour in paths:
        pixels = project(points, view, PANEL)
        pixels = np.clip(pixels[np.isfinite(pixels).all(axis=1)], -9999, 9999).round()
        line = pixels.astype(np.int32)
        cv2.polylines(panel, [line.reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA)
        for x, y in line:
            cv2.circle(panel, (int(x), int(y)), 3, colour, -1, cv2.LINE_AA)
    return panel


def _draw_actions(actions: np.ndarray, spec: ActionSpec) -> np.ndarray:
    """The rest of the plan as step curves between the action limits."""
    panel = np.full((PANEL, PANEL, 3), (38, 41, 47), np.uint8)
    cv2.line(panel, (0, PANEL // 2), (PANEL, PANEL // 2), (70, 74, 82), 1)
    if len(actions) == 0:
        _write_text(panel, "no plan", (PANEL // 2 - 28, PANEL // 2 - 8), _DIM)
        return panel
    low, high = np.asarray(spec.low), np.asarray(spec.high)
    heights = (PANEL - 20) * (1.0 - (np.asarray(actions) - low) / (high - low)) + 10
    edges = np.linspace(0, PANEL - 1, len(actions) + 1)
    columns = np.repeat(edges, 2)[1:-1]
    for i, name in enumerate(spec.names):
        colour = _COLOURS[i % len(_COLOURS)]
        corners = np.stack([columns, np.repeat(heights[:, i], 2)], axis=1).round().astype(np.int32)
        cv2.polylines(panel, [corners.reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA)
        _write_text(panel, name, (6, 16 + 16 * i), colour)
    return panel
