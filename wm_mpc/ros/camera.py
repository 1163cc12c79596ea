"""One picture from the robot's camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from wm_mpc.messages.errors import MessageError
from wm_mpc.ros import qos
from wm_mpc.ros.client_errors import ClientError
from wm_mpc.ros.messages import compressed_to_rgb, image_to_rgb
from wm_mpc.ros.running import Stopped, wait_until
from wm_mpc.ros.topics import image_topic
from wm_mpc.spec import ImageSpec, SpecError


class Camera:
    """Listens on `camera/image_raw`, or `camera/image_raw/compressed`. Use as a context manager.

    Args:
        node: A node that is spun elsewhere.
        compressed: Listen to the compressed topic.
        name: Gives the topic's name, from the one in the documentation.

    Attributes:
        topic: Its full name.
    """

    def __init__(
        self, node: Any, *, compressed: bool, name: Callable[[str], str] = lambda name: name
    ) -> None:
        self._node = node
        self._message: Any = None
        kind = CompressedImage if compressed else Image
        topic = name("camera/image_raw/compressed" if compressed else "camera/image_raw")
        self._subscription = node.create_subscription(
            kind, image_topic(node, topic), self._keep, qos.SENSOR_DATA
        )
        self.topic = str(self._subscription.topic_name)

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self._node.destroy_subscription(self._subscription)

    def _keep(self, message: Any) -> None:
        self._message = message

    def picture(self, timeout: float, stopped: Stopped) -> np.ndarray:
        """uint8 (height, width, 3) rgb, as large as it came. timeout: s. Raises ClientError."""
        if not wait_until(lambda: self._message is not None, timeout, stopped):
            raise ClientError(f"no picture came on {self.topic}")
        message = self._message
        try:
            read = image_to_rgb if isinstance(message, Image) else compressed_to_rgb
            picture = read(message, None)
            ImageSpec(*picture.shape[:2])  # too small for any model?
            return picture
        except (MessageError, SpecError, cv2.error) as error:
            raise ClientError(f"{self.topic}: {error}") from None
