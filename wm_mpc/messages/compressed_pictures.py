"""Read images as `image_transport` compresses them: JPEG, PNG, and other formats of OpenCV.

Nothing is repaired: a truncated or damaged image is an error. Bytes after its end do not matter.
Images with more than 8 bits become 8 bits only by a stated range of values.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import cv2
import numpy as np

from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.jpeg import START, whole_jpeg
from wm_mpc.messages.pictures import FULL_RANGE, check_size, demosaiced, in_range, to_model
from wm_mpc.spec import ImageSpec

_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 200_000_000
_DEPTH_HEADER = 12  # bytes in front of a compressedDepth picture: its format, and two numbers
_FULL = ("mono16", "rgb16", "bgr16", "rgba16", "bgra16")  # encodings that use all of their bits
_GREY_SAVING = (cv2.COLOR_GRAY2RGB, None, cv2.COLOR_BGR2RGB, cv2.COLOR_BGRA2RGB)


def compressed_to_rgb(message: Any, spec: ImageSpec | None) -> np.ndarray:
    """Read a JPEG, PNG or WebP image (a compressed topic of `image_transport`).

    Args:
        message: A CompressedImage.
        spec: The image that the model expects; None: keep the size. Images with 16 bits need
            `spec.value_range`, unless the format implies that all bits are used (mono16, rgb16,
            bgr16).

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        MessageError: The image is damaged, truncated or smaller than the model's, or it has more
            than 8 bits and no range was stated.
    """
    data = bytes(message.data)
    what = f"compressed image ({message.format or 'no format'}, {len(data)} bytes)"
    encoding = message.format.split(";")[0].strip()
    if data.startswith(START):
        data = whole_jpeg(data, what)
        _check_header(data, what)
        is_pattern = encoding.startswith("bayer_")  # then grey must stay grey
        pixels = _read(data, cv2.IMREAD_UNCHANGED) if is_pattern else decoded(data)
    else:
        pixels = _decoded_as_it_is(data, message.format, what)
    if pixels is None:
        raise MessageError(f"{what} cannot be decoded; accepted: jpeg, png and webp")
    height, width = pixels.shape[:2]
    check_size(f"{what} is {height}x{width}", height, width, spec)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if pixels.dtype != np.uint8:
        own = FULL_RANGE if encoding in _FULL or encoding.startswith("bayer_") else None
        pixels = in_range(pixels, spec, own, f"{what} has {pixels.dtype} values")
    if channels == 1 and (colours := demosaiced(pixels, encoding)) is not None:
        return to_model(colours, None, spec)
    return to_model(pixels, _GREY_SAVING[channels - 1], spec)


def decoded(data: bytes) -> np.ndarray | None:
    """Decode an image file with OpenCV.

    Args:
        data: Bytes of the file.

    Returns:
        uint8 (height, width, 3), BGR; None if OpenCV cannot read it.
    """
    return _read(data, cv2.IMREAD_COLOR)


def _decoded_as_it_is(data: bytes, name: str, what: str) -> np.ndarray | None:
    """The image with its own channels and number type."""
    if "compressedDepth" in name and data[_DEPTH_HEADER:].startswith(_PNG):
        if name.startswith("32FC1"):
            return _inverse_depth(data, what)
        if not name.startswith("16UC1"):
            raise MessageError(f"{what}: accepted of compressedDepth: 16UC1 and 32FC1 as png")
        data = data[_DEPTH_HEADER:]
    if data.startswith(_PNG):
        data = _whole_png(data, what)
        _check_header(data, what)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        size = 8 + struct.unpack_from("<I", data, 4)[0]
        if len(data) < size:
            raise MessageError(f"{what} is truncated: {size} bytes are needed")
        data = data[:size]
    pixels = _read(data, cv2.IMREAD_UNCHANGED)
    if pixels is not None and pixels.ndim == 3 and pixels.shape[2] == 2:  # grey and alpha
        pixels = np.ascontiguousarray(pixels[..., 0])
    return pixels


def _inverse_depth(data: bytes, what: str) -> np.ndarray:
    """Depths, float32 (height, width), m, from a PNG of inverse depths; NaN: not measured."""
    scale, shift = struct.unpack_from("<ff", data, 4)
    if not (0 < scale < math.inf and math.isfinite(shift)):
        raise MessageError(
            f"{what} has a header with scale {scale:g} and shift {shift:g}; accepted of "
            "compressedDepth: 16UC1 as png, or 32FC1 with a scale above 0"
        )
    file = _whole_png(data[_DEPTH_HEADER:], what)
    _check_header(file, what)
    steps = _read(file, cv2.IMREAD_UNCHANGED)
    if steps is None or steps.dtype != np.uint16 or steps.ndim != 2:
        raise MessageError(f"{what} cannot be decoded; accepted: a png of 16 bits")
    inverse = steps.astype(np.float32) - np.float32(shift)
    is_measured = (steps > 0) & (inverse > 0)
    depth = np.full(steps.shape, np.nan, np.float32)
    depth[is_measured] = np.float32(scale) / inverse[is_measured]
    return depth


def _check_header(data: bytes, what: str) -> None:
    """Raises MessageError before memory is allocated for an impossibly large image."""
    height, width = size_of_file(data)
    if height * width > _MOST_PIXELS:
        raise MessageError(
            f"{what} is {height}x{width}; accepted: up to {_MOST_PIXELS // 1_000_000} megapixels"
        )


def _whole_png(data: bytes, what: str) -> bytes:
    """The image without the bytes after its end. Raises MessageError if it is truncated or a
    checksum is wrong."""
    at = len(_PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise MessageError(f"{what} is damaged: a checksum is wrong")
        if kind == b"IEND":
            return data[:end]
        at = end
    raise MessageError(f"{what} is truncated: it has no end")


def size_of_file(data: Any) -> tuple[int, int]:
    """Read the size from the header of a JPEG or PNG file.

    Args:
        data: Bytes of the file.

    Returns:
        Height and width, pixels; zeros if they are not found.
    """
    view = memoryview(data)
    if bytes(view[:4]) == _PNG[:4] and len(view) >= 24:
        width, height = struct.unpack_from(">II", view, 16)
        return height, width
    at = 2
    while bytes(view[:2]) == b"\xff\xd8" and at + 9 <= len(view) and view[at] == 0xFF:
        if view[at + 1] in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack_from(">HH", view, at + 5)
            return height, width
        at += 2 + struct.unpack_from(">H", view, at + 2)[0]
    return 0, 0


def _read(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        return None
