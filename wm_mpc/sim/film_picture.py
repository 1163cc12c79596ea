"""A picture of a film: camera, goal and plan, and below them what the model imagines."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

from wm_mpc.sim.task import CameraView
from wm_mpc.spec import ActionSpec, ImageSpec

PANEL = 256  # px
_GAP, _HEADER, _TITLE, _LINE = 8, 48, 22, 20  # px
_STRIP = 112  # px, height of the strip of imagined images
_WIDTH = 4 * _GAP + 3 * PANEL
_BACKGROUND, _TEXT, _DIM = (24, 26, 30), (235, 235, 235), (150, 150, 150)
_FINE, _POOR = (120, 220, 130), (255, 180, 70)
_COLOURS = ((255, 200, 40), (80, 190, 255), (255, 110, 110), (130, 220, 120), (200, 140, 255))
_FONT = cv2.FONT_HERSHEY_SIMPLEX

Path = tuple[np.ndarray, tuple[int, int, int]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture of the film.

    Attributes:
        camera: uint8 (height, width, 3) rgb; of several cameras, the joined picture.
        goal: uint8 (height, width, 3) rgb.
        actions: The rest of the plan, (points, action size), in the action's unit.
        paths: Predicted paths: points (points, 3) in the world frame, m, and an rgb colour. Without
            paths, the actions are drawn as curves.
        caption: One line of text.
        state: What the controller does, and why; one line, empty if it is not known.
        is_fine: Whether the controller plans as it should.
        imagined: What the model expects to see, one image per model step from the present one on,
            each uint8 (height, width, 3) rgb.
        main: Of several cameras, the picture of the first one, on which paths are drawn.
    """

    camera: np.ndarray
    goal: np.ndarray
    actions: np.ndarray
    paths: Sequence[Path]
    caption: str
    state: str = ""
    is_fine: bool = True
    imagined: Sequence[np.ndarray] = ()
    main: np.ndarray | None = None


def main_picture(image: np.ndarray, spec: ImageSpec) -> np.ndarray | None:
    """Return `Picture.main`: the picture of the first of several cameras; None for one camera.

    Args:
        image: uint8 (height, width, 3) rgb.
        spec: The robot's image.
    """
    return np.ascontiguousarray(spec.tiles[0].of(image)) if spec.cameras else None


def size(*, strip: bool) -> tuple[int, int]:
    """Return width and height of a picture, px.

    Args:
        strip: Whether it has the strip of imagined images.
    """
    height = _HEADER + PANEL + _GAP
    return _WIDTH, height + (_LINE + _TITLE + _STRIP + _GAP if strip else 0)


def compose(
    picture: Picture, view: CameraView | None, action: ActionSpec, *, strip: bool = False
) -> np.ndarray:
    """Draw the three panels under their captions.

    Args:
        picture: The picture.
        view: The camera, to draw paths; None: the actions are drawn instead.
        action: Limits of the actions, to draw curves.
        strip: Whether to draw the controller's state and the strip of imagined images, too.

    Returns:
        uint8 (height, width, 3) rgb.
    """
    width, height = size(strip=strip)
    canvas = np.full((height, width, 3), _BACKGROUND, np.uint8)
    _write_text(canvas, picture.caption, (_GAP, 18), _TEXT)
    top = _HEADER
    if strip:
        state = picture.state or "no controller"
        colour = _FINE if picture.state and picture.is_fine else _POOR
        _write_text(canvas, _shortened(state, width - 2 * _GAP), (_GAP, 18 + _LINE), colour)
        top += _LINE
    if picture.paths and view is not None:
        seen = picture.camera if picture.main is None else picture.main
        plan = _draw_paths(seen, picture.paths, view)
    else:
        plan = _draw_actions(picture.actions, action)
    panels = {"camera": _enlarge(picture.camera), "goal": _enlarge(picture.goal), "plan": plan}
    for i, (title, panel) in enumerate(panels.items()):
        left = _GAP + i * (PANEL + _GAP)
        _write_text(canvas, title, (left, top - 8), _DIM)
        canvas[top : top + PANEL, left : left + PANEL] = panel
    if strip:
        _draw_strip(canvas[top + PANEL :], picture.imagined)
    return canvas


def _draw_strip(canvas: np.ndarray, images: Sequence[np.ndarray]) -> None:
    """The imagined images side by side, the first of the present, each with its model step."""
    title = "imagined, step by step" if images else "nothing imagined: no plan at present"
    _write_text(canvas, title, (_GAP, 16), _DIM)
    if not images:
        return
    room = (_WIDTH - _GAP) // len(images) - _GAP
    height, width = images[0].shape[:2]
    scale = min(room / width, _STRIP / height)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    for i, image in enumerate(images):
        left = _GAP + i * (shape[0] + _GAP)
        shown = cv2.resize(image, shape, interpolation=cv2.INTER_NEAREST)
        canvas[_TITLE : _TITLE + shape[1], left : left + shape[0]] = shown
        label = f"+{i}" if i else "now"
        for colour, thickness in (((0, 0, 0), 3), (_TEXT, 1)):
            at = (left + 4, _TITLE + shape[1] - 6)
            cv2.putText(canvas, label, at, _FONT, 0.4, colour, thickness, cv2.LINE_AA)


def split_strip(strip: np.ndarray, aspect: float) -> list[np.ndarray]:
    """Split images that stand side by side.

    Args:
        strip: uint8 (height, n * width, 3).
        aspect: Width of one image divided by its height.
    """
    count = max(1, round(strip.shape[1] / (strip.shape[0] * aspect)))
    return [np.ascontiguousarray(part) for part in np.array_split(strip, count, axis=1)]


def _shortened(text: str, width: int) -> str:
    """A text that fits: OpenCV writes beyond the picture without a word. Its letters are ASCII."""
    text = text.encode("ascii", "replace").decode()
    if _width(text) <= width:
        return text
    while text and _width(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, 0.45, 1)[0][0])


def _write_text(
    canvas: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    cv2.putText(canvas, text, at, _FONT, 0.45, colour, 1, cv2.LINE_AA)


def _enlarge(rgb: np.ndarray) -> np.ndarray:
    height, width = rgb.shape[:2]
    longest = max(height, width)
    shape = max(1, round(PANEL * width / longest)), max(1, round(PANEL * height / longest))
    panel = np.full((PANEL, PANEL, 3), _BACKGROUND, np.uint8)
    top, left = (PANEL - shape[1]) // 2, (PANEL - shape[0]) // 2
    panel[top : top + shape[1], left : left + shape[0]] = cv2.resize(
        rgb, shape, interpolation=cv2.INTER_NEAREST
    )
    return panel


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
