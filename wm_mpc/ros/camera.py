"""One picture from the robot's camera, or one of each of its cameras."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from wm_mpc.messages.camera_pairs import CameraPairs, Frame, Pictures
from wm_mpc.messages.errors import MessageError
from wm_mpc.ros import qos
from wm_mpc.ros.client_errors import ClientError
from wm_mpc.ros.messages import compressed_to_rgb, image_to_rgb
from wm_mpc.ros.running import Stopped, wait_until
from wm_mpc.ros.timing import to_nanoseconds
from wm_mpc.ros.topics import image_topic
from wm_mpc.spec import ImageSpec, RobotSpec, SpecError


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
            raise ClientError(
                f"no picture came on {self.topic}; does the camera, or the simulation, run?"
            )
        message = self._message
        try:
            read = image_to_rgb if isinstance(message, Image) else compressed_to_rgb
            picture = read(message, None)
            ImageSpec(*picture.shape[:2])  # too small for any model?
            return picture
        except (MessageError, SpecError, cv2.error) as error:
            raise ClientError(f"{self.topic}: {error}") from None


class JoinedCameras:
    """Listens to several cameras. Use as a context manager.

    Args:
        node: A node that is spun elsewhere.
        robot: The robot, as its checkpoint describes it.
        compressed: Listen to the compressed topics.
        name: Gives a topic's name, from the one in the checkpoint.

    Attributes:
        topic: The full names of the topics.
    """

    def __init__(
        self,
        node: Any,
        robot: RobotSpec,
        *,
        compressed: bool,
        name: Callable[[str], str] = lambda name: name,
    ) -> None:
        self._node, self._robot, self._lock = node, robot, threading.Lock()
        self._pictures: Pictures | None = None
        kind, ending = (CompressedImage, "/compressed") if compressed else (Image, "")
        self._subscriptions = [
            node.create_subscription(
                kind, image_topic(node, name(camera.topic) + ending),
                functools.partial(self._keep, number), qos.SENSOR_DATA,
            )
            for number, camera in enumerate(robot.images)
        ]  # fmt: skip
        topics = [str(subscription.topic_name) for subscription in self._subscriptions]
        self.topic = ", ".join(topics)
        self._pairs = CameraPairs(len(topics), robot.control_period)

    def __enter__(self) -> JoinedCameras:
        return self

    def __exit__(self, *_: object) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _keep(self, number: int, message: Any) -> None:
        with self._lock:
            now = int(self._node.get_clock().now().nanoseconds)
            stamp = to_nanoseconds(message.header.stamp) or now
            whole = self._pairs.add(number, Frame(message, stamp, time.monotonic()))
            if whole is not None:
                self._pictures = whole[0]

    def picture(self, timeout: float, stopped: Stopped) -> np.ndarray:
        """uint8 (height, width, 3) rgb, of the model's size: all cameras side by side, as in goals.
        timeout: s. Raises ClientError."""
        if not wait_until(lambda: self._pictures is not None, timeout, stopped):
            raise ClientError(self._why_none())
        assert self._pictures is not None
        parts = []
        for camera, message in zip(self._robot.images, self._pictures.messages, strict=True):
            read = image_to_rgb if isinstance(message, Image) else compressed_to_rgb
            try:
                parts.append(read(message, camera.image))
            except (MessageError, cv2.error) as error:
                raise ClientError(f"camera {camera.name!r}: {error}") from None
        return self._robot.image.joined(parts)

    def _why_none(self) -> str:
        with self._lock:
            silent = [
                f"camera {camera.name!r} on {subscription.topic_name}"
                for number, (camera, subscription) in enumerate(
                    zip(self._robot.images, self._subscriptions, strict=True)
                )
                if self._pairs.newest(number) is None
            ]
        if silent:
            return f"no picture came from {' and '.join(silent)}"
        return f"the pictures of {self.topic} are of different moments"


def camera_of(
    node: Any,
    robot: RobotSpec | None,
    *,
    compressed: bool,
    name: Callable[[str], str] = lambda name: name,
) -> Camera | JoinedCameras:
    """The cameras of a robot; of a robot that is not known, its only one. The other arguments are
    those of `JoinedCameras`."""
    if robot is None or not robot.image.cameras:
        return Camera(node, compressed=compressed, name=name)
    return JoinedCameras(node, robot, compressed=compressed, name=name)
