"""Pictures for the page: the stage with the camera and the plan on it, goals, imagined frames."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wm_mpc.view.headline import Tone, duration
from wm_mpc.view.model import Path, View
from wm_mpc.view.stage import Stage

Colour = tuple[int, int, int]
TONES: dict[Tone, Colour] = {
    Tone.GOOD: (62, 189, 147),
    Tone.WARN: (240, 180, 41),
    Tone.BAD: (239, 83, 80),
    Tone.IDLE: (130, 143, 155),
}
_PLAN, _CANDIDATE, _THING = (57, 217, 138), (120, 170, 255), (255, 214, 92)
_CLICK = (255, 92, 141)
_DARK, _LIGHT = (20, 20, 20), (255, 255, 255)  # as viser's canvas
_TEXT = {True: (232, 236, 240), False: (32, 38, 45)}
_FAINT = {True: (150, 160, 170), False: (96, 106, 116)}
_SHIFT = 4  # binary digits behind the point, in which OpenCV takes places of lines


def stage_picture(
    view: View,
    stage: Stage,
    *,
    dark: bool,
    click: tuple[float, float] | None = None,
) -> np.ndarray:
    """The stage: the camera's picture, large, with the plan on it and the state above it.

    Args:
        view: What there is to see.
        stage: Where the picture goes.
        dark: Dark instead of light.
        click: Column and row, as shares of the picture, of the place that was just clicked.

    Returns:
        uint8 (height, width, 3) rgb.
    """
    canvas = np.full((stage.height, stage.width, 3), _DARK if dark else _LIGHT, np.uint8)
    box = canvas[stage.top : stage.bottom, stage.left : stage.right]
    if view.camera is None:
        box[:] = 38 if dark else 224
    else:
        shown = enlarged(view.camera.rgb, (box.shape[1], box.shape[0]))
        if view.is_camera_stale:
            shown = (shown * 0.35).astype(np.uint8)
        box[:] = shown
        if not view.is_camera_stale:
            _draw_paths(box, view)
    if click is not None:
        _draw_click(box, click)
    colour = TONES[view.headline.tone]
    corners = (stage.left - 2, stage.top - 2), (stage.right + 1, stage.bottom + 1)
    cv2.rectangle(canvas, *corners, colour, 2, cv2.LINE_AA)
    _write_captions(canvas, view, stage, dark=dark)
    return canvas


def enlarged(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture in another size. size: width and height."""
    larger = size[0] > rgb.shape[1]
    return cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC if larger else cv2.INTER_AREA)


def split_strip(strip: np.ndarray, aspect: float) -> list[np.ndarray]:
    """The frames of a strip in which they stand side by side.

    Args:
        strip: uint8 (height, frames * width, 3).
        aspect: Width of the camera's picture over its height. A strip that frames of this shape do
            not fill evenly has square ones; one that those do not fill either is a single frame.
    """
    height, width = strip.shape[:2]
    for shape in (aspect, 1.0):
        each = round(height * shape)
        if each and width % each == 0:
            return np.split(strip, width // each, axis=1)
    return [strip]


def filmstrip(frames: list[np.ndarray], columns: int, side: int, *, dark: bool) -> np.ndarray:
    """Frames in rows, each with its number, from 1 for one model step ahead.

    Args:
        frames: uint8 (height, width, 3) each, all of one size.
        columns: How many stand in a row.
        side: Width of a frame, pixels.
        dark: Dark instead of light.

    Returns:
        uint8 (height, width, 3) rgb.
    """
    high, gap = round(side * frames[0].shape[0] / frames[0].shape[1]), 4
    rows = -(-len(frames) // columns)
    shape = rows * (high + gap) - gap, columns * (side + gap) - gap, 3
    canvas = np.full(shape, (36, 36, 36) if dark else (255, 255, 255), np.uint8)
    for number, frame in enumerate(frames):
        row, column = divmod(number, columns)
        top, left = row * (high + gap), column * (side + gap)
        canvas[top : top + high, left : left + side] = enlarged(frame, (side, high))
        label = _text(f"+{number + 1}", round(side / 6))
        ground = canvas[top : top + label.shape[0] + 2, left : left + label.shape[1] + 6]
        ground[:] = _DARK
        _blend(canvas, label, (left + 3, top + 1), (255, 255, 255))
    return canvas


def _draw_paths(box: np.ndarray, view: View) -> None:
    if view.projection is None:
        return
    scale = box.shape[1] / 640
    faint = box.copy()
    for path in view.paths:
        if path.is_candidate:
            _line(faint, view, path, _CANDIDATE, 1)
    cv2.addWeighted(faint, 0.6, box, 0.4, 0.0, dst=box)
    for path in view.paths:
        if not path.is_candidate:
            colour = _PLAN if path.name in ("robot", "tip_") else _THING
            _line(box, view, path, (0, 0, 0), max(3, round(6 * scale)))
            end = _line(box, view, path, colour, max(2, round(3 * scale)))
            if end is not None:
                cv2.circle(box, end, max(3, round(6 * scale)), colour, -1, cv2.LINE_AA)


def _line(
    box: np.ndarray, view: View, path: Path, colour: Colour, width: int
) -> tuple[int, int] | None:
    """Draws a path; gives its last pixel, if it is in sight."""
    assert view.projection is not None
    shares = view.projection.pixels(path.points)
    shares = shares[np.isfinite(shares).all(1) & (np.abs(shares) < 4).all(1)]
    if len(shares) < 2:
        return None
    points = shares * np.array([box.shape[1], box.shape[0]])
    fixed = np.round(points * 2**_SHIFT).astype(np.int32)
    cv2.polylines(box, [fixed], False, colour, width, cv2.LINE_AA, _SHIFT)
    column, row = np.round(points[-1]).astype(int).tolist()
    return column, row


def _draw_click(box: np.ndarray, click: tuple[float, float]) -> None:
    place = round(click[0] * box.shape[1]), round(click[1] * box.shape[0])
    cv2.drawMarker(box, place, (0, 0, 0), cv2.MARKER_CROSS, 30, 5, cv2.LINE_AA)
    cv2.drawMarker(box, place, _CLICK, cv2.MARKER_CROSS, 28, 2, cv2.LINE_AA)
    cv2.circle(box, place, 14, _CLICK, 2, cv2.LINE_AA)


def _write_captions(canvas: np.ndarray, view: View, stage: Stage, *, dark: bool) -> None:
    headline = view.headline
    large, small = 22, 15
    middle, radius = stage.top // 2, 8
    left = 4 + radius
    cv2.circle(canvas, (left, middle), radius, TONES[headline.tone], -1, cv2.LINE_AA)
    left += radius + 8
    word = _text(headline.word, large)
    _blend(canvas, word, (left, middle - word.shape[0] // 2), _TEXT[dark])
    left += word.shape[1] + 10
    if headline.code:
        since = _text(f"for {duration(headline.seconds)}", small)
        _blend(canvas, since, (left, middle - since.shape[0] // 2 + 2), _FAINT[dark])
        left += since.shape[1] + 10
    if view.episode is not None:
        caption = (
            f"{view.episode.task}   episode {view.episode.episode}   step {view.episode.steps}"
        )
        right = _text(caption, small)
        place = stage.width - 4 - right.shape[1], middle - right.shape[0] // 2 + 2
        if place[0] > left:
            _blend(canvas, right, place, _FAINT[dark])
    trouble = ""
    if view.camera is None:
        trouble = "No camera picture yet"
    elif view.is_camera_stale:
        trouble = f"No camera picture for {duration(view.now - view.camera.came)}"
    if trouble:
        label = _text(trouble, large)
        across = (stage.left + stage.right - label.shape[1]) // 2
        down = (stage.top + stage.bottom - label.shape[0]) // 2
        light = view.camera is not None or dark
        _blend(canvas, label, (across, down), _TEXT[light])


@functools.lru_cache(maxsize=256)
def _text(text: str, size: int) -> np.ndarray:
    """How much of each pixel a text covers: float32 (height, width), 0 to 1."""
    font = ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text or " ")
    ascent = ImageFont.load_default(size).getbbox("Hgpl")
    image = Image.new("L", (max(1, int(right - left) + 2), int(ascent[3] - ascent[1]) + 2))
    ImageDraw.Draw(image).text((-left + 1, -ascent[1] + 1), text, fill=255, font=font)
    return np.asarray(image, np.float32) / 255.0


def _blend(canvas: np.ndarray, mask: np.ndarray, place: tuple[int, int], colour: Colour) -> None:
    """Paint through a mask, as far as it is on the canvas."""
    left, top = max(0, place[0]), max(0, place[1])
    part = canvas[top : max(0, place[1] + mask.shape[0]), left : max(0, place[0] + mask.shape[1])]
    mask = mask[top - place[1] :, left - place[0] :][: part.shape[0], : part.shape[1], None]
    part[:] = (part * (1 - mask) + np.array(colour, np.float32) * mask).astype(np.uint8)


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures from left to right, all as high as the first one.

    Args:
        pictures: uint8 (height, width, 3) each.

    Returns:
        uint8 (height, width, 3).
    """
    height = pictures[0].shape[0]
    sizes = [(max(1, round(p.shape[1] * height / p.shape[0])), height) for p in pictures]
    return np.concatenate([enlarged(p, size) for p, size in zip(pictures, sizes, strict=True)], 1)
