"""Pictures as ROS messages, the camera's intrinsics, and where it stands.

Part of `wm_mpc.ros.messages`, which is where the rest of the package imports it from.
"""

from __future__ import annotations

import array
import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
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


def pose_message(
    position: Sequence[float], axes: np.ndarray, stamp: Time, frame_id: str = "odom"
) -> PoseStamped:
    """A pose.

    Args:
        position: (3,), m.
        axes: Its x, y and z axis in the frame, as columns (3, 3); a rotation.
        stamp: Of the message.
        frame_id: The frame.
    """
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = stamp, frame_id
    place, turn = message.pose.position, message.pose.orientation
    place.x, place.y, place.z = (float(value) for value in position)
    turn.x, turn.y, turn.z, turn.w = quaternion(axes)
    return message


def quaternion(axes: np.ndarray) -> tuple[float, float, float, float]:
    """The quaternion (x, y, z, w) of a rotation matrix (3, 3)."""
    m = np.asarray(axes, np.float64)
    # Four times the square of each of x, y, z, w; the largest gives the others without loss.
    squares = np.array(
        [
            1 + m[0, 0] - m[1, 1] - m[2, 2],
            1 - m[0, 0] + m[1, 1] - m[2, 2],
            1 - m[0, 0] - m[1, 1] + m[2, 2],
            1 + m[0, 0] + m[1, 1] + m[2, 2],
        ]
    )
    rows = (
        (squares[0], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]),
        (m[0, 1] + m[1, 0], squares[1], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]),
        (m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], squares[2], m[1, 0] - m[0, 1]),
        (m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], squares[3]),
    )
    largest = int(np.argmax(squares))
    x, y, z, w = (float(value) / (2 * math.sqrt(squares[largest])) for value in rows[largest])
    return x, y, z, w
