"""Pictures between ROS messages and arrays, and the camera's intrinsics.

Part of `wm_mpc.ros.messages`, which is where the rest of the package imports it from.
"""

from __future__ import annotations

import array
from collections.abc import Sequence

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from wm_mpc.ros.errors import MessageError
from wm_mpc.spec import ImageSpec

# Bytes per pixel and the conversion to rgb, if one is needed.
_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}


def image_to_rgb(message: Image, spec: ImageSpec) -> np.ndarray:
    """The picture as the model wants it: uint8 (spec.height, spec.width, 3), rgb.

    Larger pictures are scaled down by area averaging. Raises MessageError for an encoding other
    than rgb8, bgr8, rgba8, bgra8 or mono8, a message whose data do not match its size, and a
    picture smaller than the model's.
    """
    height, width, step = message.height, message.width, message.step
    what = f"image is {height}x{width} {message.encoding or '(no encoding)'}"
    if message.encoding not in _ENCODINGS:
        raise MessageError(f"{what}; accepted encodings: {', '.join(_ENCODINGS)}")
    channels, conversion = _ENCODINGS[message.encoding]
    _check_size(what, height, width, spec)
    if step < width * channels:
        raise MessageError(f"{what} with step {step}; at least {width * channels} is needed")
    if len(message.data) != height * step:
        problem = "is truncated" if len(message.data) < height * step else "has too much data"
        raise MessageError(
            f"{what} {problem}: {len(message.data)} bytes, height {height} x step {step} "
            f"makes {height * step}"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    return _to_model(pixels, conversion, spec)


def compressed_to_rgb(message: CompressedImage, spec: ImageSpec) -> np.ndarray:
    """Like `image_to_rgb` for a JPEG or PNG picture (`image_transport`'s compressed topics).

    Raises MessageError when it is damaged, cut short, or smaller than the model's.
    """
    data = bytes(message.data)
    what = f"compressed image ({message.format or 'no format'}, {len(data)} bytes)"
    # OpenCV fills a picture that was cut short with grey and calls it a success.
    jpeg_cut = data.startswith(b"\xff\xd8") and not data.rstrip(b"\0").endswith(b"\xff\xd9")
    png_cut = data.startswith(b"\x89PNG") and b"IEND" not in data[-16:]
    if jpeg_cut or png_cut:
        raise MessageError(f"{what} is truncated")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise MessageError(f"{what} cannot be decoded; accepted: 8 bit jpeg and png")
    height, width = pixels.shape[:2]
    _check_size(f"{what} is {height}x{width}", height, width, spec)
    return _to_model(pixels, cv2.COLOR_BGR2RGB, spec)


def _check_size(what: str, height: int, width: int, spec: ImageSpec) -> None:
    if height < spec.height or width < spec.width:
        raise MessageError(f"{what}; the model wants {spec.height}x{spec.width} or larger")


def _to_model(pixels: np.ndarray, conversion: int | None, spec: ImageSpec) -> np.ndarray:
    if pixels.shape[:2] != (spec.height, spec.width):
        # Scaled before the conversion: fewer pixels to convert.
        pixels = cv2.resize(pixels, (spec.width, spec.height), interpolation=cv2.INTER_AREA)
    if conversion is not None:
        return cv2.cvtColor(pixels, conversion)
    return np.array(pixels)  # a copy: the message's memory is not ours


def rgb_to_image(rgb: np.ndarray, stamp: Time, frame_id: str = "camera") -> Image:
    """An rgb8 message from uint8 (height, width, 3). Raises MessageError for other arrays."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise MessageError(
            f"picture is {rgb.dtype} {rgb.shape}; accepted: uint8 (height, width, 3)"
        )
    message = Image(height=rgb.shape[0], width=rgb.shape[1], encoding="rgb8", step=3 * rgb.shape[1])
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    # An array of bytes is taken as it is; anything else rclpy checks number by number.
    message.data = array.array("B", rgb.tobytes())
    return message


def camera_info(
    intrinsics: Sequence[float], image: ImageSpec, stamp: Time, frame_id: str = "camera"
) -> CameraInfo:
    """Intrinsics of an ideal camera. intrinsics: row-major 3x3 matrix K in pixels."""
    if len(intrinsics) != 9:
        raise MessageError(f"camera matrix has {len(intrinsics)} numbers; 9 are needed")
    k = [float(value) for value in intrinsics]
    message = CameraInfo(height=image.height, width=image.width, distortion_model="plumb_bob")
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    message.d = [0.0] * 5
    message.k = k
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [*k[0:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0]
    return message
