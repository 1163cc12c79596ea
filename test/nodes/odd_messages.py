"""Random messages of any type: numbers that nothing can hold, lists of wrong lengths, odd texts,
pictures that are none. What rclpy itself refuses to hold cannot come, so it is left out.
"""

from __future__ import annotations

import array
import contextlib
import math
import random
from typing import Any

import cv2
import numpy as np

NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e39, -1e39, 1e200, 1e308, math.pi, 1e6,
    math.nan, math.inf, -math.inf,
)  # fmt: skip
TEXTS = (
    "", "rgb8", "bgr8", "mono8", "mono16", "16UC1", "32FC1", "bayer_rggb8", "yuv422_yuy2", "nv12",
    "vx", "vy", "x", "yaw", "odom", "jpeg", "png", "16UC1; png compressed",
    "16UC1; compressedDepth png", "rgb8; jpeg compressed bgr8", "\x01\x7f", "ü" * 300, "/", "a/b",
    "%s{0}\n", "~/x", "\U0001f916",
)  # fmt: skip
WHOLE = (
    0,
    1,
    2,
    3,
    16,
    64,
    192,
    255,
    999_999_999,
    1_000_000_000,
    2**31 - 1,
    2**32 - 1,
    -1,
    -(2**31),
)


def odd(kind: type, rng: random.Random, *, texts: tuple[str, ...] = ()) -> Any:
    """A message of a type with random content. texts: more of them, as names of joints."""
    return _fill(kind(), rng, (*TEXTS, *texts))


def _fill(message: Any, rng: random.Random, texts: tuple[str, ...]) -> Any:
    for field, kind in message.get_fields_and_field_types().items():
        with contextlib.suppress(AssertionError, OverflowError, UnicodeError):
            setattr(message, field, _value(getattr(message, field), kind, rng, texts))
    return message


def _value(present: Any, kind: str, rng: random.Random, texts: tuple[str, ...]) -> Any:
    if hasattr(present, "get_fields_and_field_types"):
        return _fill(present, rng, texts)
    if isinstance(present, str):
        return rng.choice(texts)
    if isinstance(present, bool):
        return rng.random() < 0.5
    if isinstance(present, float):
        return rng.choice(NUMBERS)
    if isinstance(present, int):
        return _whole(kind, rng)
    if isinstance(present, np.ndarray):
        return np.array([rng.choice(NUMBERS) for _ in present])
    count = rng.choice((0, 0, 1, 2, 2, 3, 7, 64, 1000))
    if "uint8" in kind:
        return array.array("B", picture_file(rng))
    if "double" in kind or "float" in kind:
        return array.array("d", [rng.choice(NUMBERS) for _ in range(count)])
    if "string" in kind:
        return [rng.choice(texts) for _ in range(count)]
    if "JointTrajectoryPoint" in kind:
        from trajectory_msgs.msg import JointTrajectoryPoint

        return [_fill(JointTrajectoryPoint(), rng, texts) for _ in range(min(count, 3))]
    return present


def _whole(kind: str, rng: random.Random) -> int:
    bits, is_signed = int("".join(filter(str.isdigit, kind))), kind.startswith("i")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    return max(low, min(high, rng.choice(WHOLE)))


def picture_file(rng: random.Random) -> bytes:
    """Bytes that are a picture, a damaged one, or none."""
    if rng.random() < 0.3:
        head = rng.choice(
            (b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP")
        )
        return head + rng.randbytes(rng.choice((0, 1, 2, 100, 12288)))
    size = rng.choice((1, 2, 63, 64, 65, 200)), rng.choice((1, 64, 65))
    kind = rng.choice((np.uint8, np.uint16))
    shape = size + rng.choice(((), (3,), (4,)))
    pixels = np.frombuffer(rng.randbytes(math.prod(shape) * kind(0).itemsize), kind).reshape(shape)
    suffix = rng.choice((".png", ".jpg", ".webp", ".bmp"))
    if suffix != ".png":
        pixels = pixels.astype(np.uint8)
    if suffix in (".jpg", ".webp") and pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[..., :3])
    data = bytearray(cv2.imencode(suffix, pixels)[1].tobytes())
    for _ in range(rng.choice((0, 0, 1, 3))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    cut = rng.choice((len(data), len(data), rng.randrange(len(data) + 1)))
    return bytes(data[:cut]) + rng.choice((b"", b"", b"\0" * 7, b"\xff\xd9"))


def whole_picture(message: Any, height: int, width: int, rng: random.Random) -> None:
    """Make an Image nearly right: one thing about it may still be wrong."""
    message.height, message.width = height, width
    message.encoding = rng.choice(("rgb8", "mono8", "rgba8", "16UC1", "mono16", "nv12", "uyvy"))
    bytes_of = {"rgb8": 3, "rgba8": 4, "16UC1": 2, "mono16": 2, "uyvy": 2}
    message.step = width * bytes_of.get(message.encoding, 1)
    rows = height * 3 // 2 if message.encoding == "nv12" else height
    count = message.step * rows
    wrong = rng.randrange(8)
    if wrong == 0:
        message.step = rng.choice((0, 1, message.step - 1, 2**32 - 1))
    message.data = array.array("B", rng.randbytes(max(0, count - (wrong == 1))))
