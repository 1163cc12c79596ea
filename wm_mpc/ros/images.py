"""Pictures as ROS messages, and the camera's intrinsics.

Part of `wm_mpc.ros.messages`, which is where the rest of the package imports it from.
"""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image

from wm_mpc.messages.errors import MessageError
from wm_mpc.spec import ImageSpec


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
