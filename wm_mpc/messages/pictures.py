"""Convert raw images (`sensor_msgs/Image`) of common encodings to the format of the model.

Part of `wm_mpc.messages.reading`. Eight bits of colour or grey stay unchanged. More bits are never
cut silently: the range from black to white is stated (`ImageSpec.value_range`), or follows from
the encoding.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from wm_mpc.messages.errors import MessageError
from wm_mpc.spec import ImageSpec

# Bytes per pixel and the conversion to rgb, if any. 8UC3 and 8UC4 do not name their colours; they
# come from OpenCV, whose order is bgr.
_PLAIN: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "8UC4": (4, cv2.COLOR_BGRA2RGB),
}
# Two bytes per pixel; two neighbours share their colour.
_PAIRS = {
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
# Brightness, then colour in half as many rows.
_PLANES = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
# OpenCV names a pattern after the second and third pixel of its second row.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
# More than 8 bits: type, channels, conversion after the range is applied, and whether the encoding
# implies that all values are used.
_DEEP: dict[str, tuple[str, int, int | None, bool]] = {
    "mono16": ("u2", 1, cv2.COLOR_GRAY2RGB, True),
    "rgb16": ("u2", 3, None, True),
    "bgr16": ("u2", 3, cv2.COLOR_BGR2RGB, True),
    "rgba16": ("u2", 4, cv2.COLOR_RGBA2RGB, True),
    "bgra16": ("u2", 4, cv2.COLOR_BGRA2RGB, True),
    "16UC1": ("u2", 1, cv2.COLOR_GRAY2RGB, False),
    "16SC1": ("i2", 1, cv2.COLOR_GRAY2RGB, False),
    "32FC1": ("f4", 1, cv2.COLOR_GRAY2RGB, False),
    "64FC1": ("f8", 1, cv2.COLOR_GRAY2RGB, False),
    **{f"bayer_{name}16": ("u2", 1, code, True) for name, code in _BAYER.items()},
}
ENCODINGS = (*_PLAIN, *_PAIRS, *_PLANES, *(f"bayer_{name}8" for name in _BAYER), *_DEEP)
FULL_RANGE = (0.0, 65535.0)
# Assumptions about ambiguous encodings; each reader of a stream reports them once.
ASSUMED = {
    "8UC3": "8UC3 does not state its order of colours; bgr is assumed",
    "8UC4": "8UC4 does not state its order of colours; bgra is assumed",
}


def image_to_rgb(message: Any, spec: ImageSpec | None) -> np.ndarray:
    """Convert an image to the format of the model.

    Larger images are scaled down by area averaging. Values of more than 8 bits become black at the
    lower end of `spec.value_range` and white at the upper end. Without a range, mono16, rgb16,
    bgr16 and bayer_*16 use all of their 16 bits. 16UC1, 16SC1 and 32FC1 do not define their
    numbers, so they need a range.

    Args:
        message: An Image.
        spec: The image that the model expects; None: keep the size.

    Returns:
        uint8 (spec.height, spec.width, 3), RGB.

    Raises:
        MessageError: The encoding is not one of `ENCODINGS`, the data do not match the size, a
            range is missing, or the image is smaller than the model's.
    """
    height, width = message.height, message.width
    what = f"image is {height}x{width} {message.encoding or '(no encoding)'}"
    plain = _PLAIN.get(message.encoding)
    if plain is None:
        return _other(message, spec, what)
    channels, conversion = plain
    check_size(what, height, width, spec)
    rows = _rows(message, what, width * channels, height)
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    return to_model(pixels, conversion, spec)


def _rows(message: Any, what: str, needed: int, rows: int) -> np.ndarray:
    """The bytes, uint8 (rows, step); `needed` is the number of bytes in a row."""
    step = message.step
    if step < needed:
        raise MessageError(f"{what} with step {step}; at least {needed} is needed")
    if len(message.data) != rows * step:
        problem = "is truncated" if len(message.data) < rows * step else "has too much data"
        raise MessageError(
            f"{what} {problem}: {len(message.data)} bytes, "
            f"{'height' if rows == message.height else 'rows'} {rows} x step {step} "
            f"makes {rows * step}"
        )
    return np.frombuffer(message.data, np.uint8).reshape(rows, step)


def _other(message: Any, spec: ImageSpec | None, what: str) -> np.ndarray:
    """Images that are converted before they are scaled."""
    height, width, encoding = message.height, message.width, message.encoding
    if encoding.lower() in {*_PAIRS, *_PLANES} - {encoding}:  # as video4linux writes them
        return image_to_rgb(_Renamed(message, encoding.lower()), spec)
    if encoding not in ENCODINGS:
        raise MessageError(f"{what}; accepted encodings: {', '.join(ENCODINGS)}")
    check_size(what, height, width, spec)
    if encoding in _DEEP:
        return _deep(message, spec, what)
    if encoding in _PAIRS:
        _check_even(what, width, 2)
        pixels = _rows(message, what, 2 * width, height)[:, : 2 * width]
        return to_model(_converted(pixels.reshape(height, width, 2), _PAIRS[encoding]), None, spec)
    if encoding in _PLANES:
        _check_even(what, width, height)
        pixels = _rows(message, what, width, height * 3 // 2)[:, :width]
        return to_model(_converted(pixels, _PLANES[encoding]), None, spec)
    pixels = _rows(message, what, width, height)[:, :width]
    return to_model(_converted(pixels, _BAYER[encoding[6:10]]), None, spec)


class _Renamed:
    """An Image under another name of its encoding."""

    def __init__(self, message: Any, encoding: str) -> None:
        self.encoding = encoding
        self.height, self.width, self.step = message.height, message.width, message.step
        self.data, self.is_bigendian = message.data, message.is_bigendian


def _deep(message: Any, spec: ImageSpec | None, what: str) -> np.ndarray:
    kind, channels, conversion, full = _DEEP[message.encoding]
    size = np.dtype(kind).itemsize * channels * message.width
    rows = np.ascontiguousarray(_rows(message, what, size, message.height)[:, :size])
    numbers = rows.view(np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<"))
    shape = (message.height, message.width) + ((channels,) if channels > 1 else ())
    pixels = in_range(numbers.reshape(shape), spec, FULL_RANGE if full else None, what)
    if message.encoding.startswith("bayer"):
        return to_model(_converted(pixels, conversion), None, spec)
    return to_model(pixels, conversion, spec)


def largest_value(message: Any) -> int | None:
    """Return the largest number in an image of an encoding that uses all of its 16 bits.

    Args:
        message: An Image.

    Returns:
        0 to 65535; None for other encodings, and for data that do not match their size.
    """
    kind, _, _, full = _DEEP.get(message.encoding, ("u1", 1, None, False))
    if not full or len(message.data) % 2 or not len(message.data):
        return None
    order = ">" if message.is_bigendian else "<"
    return int(np.frombuffer(message.data, np.dtype(order + kind)).max())


def in_range(
    values: np.ndarray, spec: ImageSpec | None, own: tuple[float, float] | None, what: str
) -> np.ndarray:
    """Scale numbers from a range to 0 to 255 and clip the rest; NaN, such as an unmeasured depth,
    becomes 0.

    Args:
        values: Numbers of any type and shape.
        spec: Its range wins.
        own: The range that the encoding implies, if any.
        what: Name of the image in errors.

    Returns:
        uint8 of the same shape.

    Raises:
        MessageError: There is no range.
    """
    stated = own if spec is None or spec.value_range is None else spec.value_range
    if stated is None:
        raise MessageError(
            f"{what}, which 8 bits cannot hold: state the range of values that becomes black to "
            "white (image.value_range, --image-range LOW,HIGH of import_bag)"
        )
    low, high = stated
    numbers = np.nan_to_num(values.astype(np.float32), nan=low, posinf=high, neginf=low)
    return np.clip(np.rint((numbers - low) * (255.0 / (high - low))), 0, 255).astype(np.uint8)


def demosaiced(pixels: np.ndarray, encoding: str) -> np.ndarray | None:
    """Return the colours of a picture that still is the pattern of its sensor.

    Args:
        pixels: (height, width), of 8 bits.
        encoding: Of the picture before it was compressed.

    Returns:
        uint8 (height, width, 3), RGB; None for encodings that are no such pattern.
    """
    if encoding[:6] != "bayer_" or encoding not in ENCODINGS:
        return None
    return _converted(pixels, _BAYER[encoding[6:10]])


def _check_even(what: str, width: int, height: int) -> None:
    if width % 2 or height % 2:
        raise MessageError(f"{what}, whose colours are shared by two pixels; even sizes are needed")


def _converted(pixels: np.ndarray, conversion: int | None) -> np.ndarray:
    assert conversion is not None
    return cv2.cvtColor(np.ascontiguousarray(pixels), conversion)


def check_size(what: str, height: int, width: int, spec: ImageSpec | None) -> None:
    """Check the size of an image.

    Args:
        what: Name of the image in errors.
        height: Rows, pixels.
        width: Columns, pixels.
        spec: The image that the model expects, if any.

    Raises:
        MessageError: The image has no pixels, or is smaller than the model's.
    """
    if spec is not None and (height < spec.height or width < spec.width):
        raise MessageError(f"{what}; the model wants {spec.height}x{spec.width} or larger")
    if not height or not width:
        raise MessageError(f"{what}, which is not an image; accepted: at least one pixel")


def to_model(pixels: np.ndarray, conversion: int | None, spec: ImageSpec | None) -> np.ndarray:
    """Scale an image to the model's size, then convert it to RGB.

    Args:
        pixels: uint8 (height, width) or (height, width, channels).
        conversion: A conversion code of OpenCV, or None.
        spec: The image that the model expects; None: keep the size.

    Returns:
        uint8 (height, width, 3), RGB, a copy.
    """
    if spec is not None and pixels.shape[:2] != (spec.height, spec.width):
        # Scaled before the conversion: fewer pixels to convert.
        pixels = cv2.resize(pixels, (spec.width, spec.height), interpolation=cv2.INTER_AREA)
    if conversion is not None:
        return cv2.cvtColor(pixels, conversion)
    return np.array(pixels)  # a copy, because the message owns its memory
