"""Messages as arrays, as the world model of one robot takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CompressedImage

from wm_mpc.messages.camera_pairs import Pictures
from wm_mpc.messages.errors import MessageError
from wm_mpc.nodes.mpc.goal_inputs import check_goal_state
from wm_mpc.ros.messages import (
    compressed_to_rgb,
    image_to_rgb,
    joint_states_to_state,
    odometry_to_state,
)
from wm_mpc.spec import CameraSpec, ImageSpec, RobotSpec


class Reader:
    """Reads the messages of one robot.

    Args:
        spec: The robot.

    Attributes:
        spec: The robot.
    """

    def __init__(self, spec: RobotSpec) -> None:
        self.spec = spec

    def image_array(self, message: Any) -> np.ndarray:
        """uint8 (height, width, 3) rgb of the model's size. message: an image, or the `Pictures` of
        several cameras. Raises MessageError."""
        image = self.spec.image
        if isinstance(message, Pictures):
            cameras = zip(self.spec.images, message.messages, strict=True)
            return image.joined([_of_camera(camera, one) for camera, one in cameras])
        if image.cameras:
            _check_joined(message, image)
        return _pixels(message, image)

    def state_array(self, message: Any) -> np.ndarray:
        """float32 (state size,), of one message that tells it whole. Raises MessageError."""
        if isinstance(message, Odometry):
            return odometry_to_state(message, self.spec.state)
        return joint_states_to_state(message, self.spec.state)

    def same_state(self, first: Any, second: Any) -> bool:
        """Whether two messages tell one and the same state, whatever their stamps."""
        try:
            return bool(np.array_equal(self.state_array(first), self.state_array(second)))
        except MessageError:
            return False

    def goal_arrays(self, image: Any, state: Any | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Of messages: goal image, and state (None when unknown). Raises MessageError."""
        try:
            return self.image_array(image), None if state is None else self._goal_state(state)
        except MessageError as error:
            raise MessageError(f"goal {error}") from None

    def check_goal(self, image: Any | None, state: Any | None) -> None:
        """Of messages, each None where there is none. Raises MessageError for what cannot be
        read."""
        try:
            if image is not None:
                self.image_array(image)
            if state is not None:
                self._goal_state(state)
        except MessageError as error:
            raise MessageError(f"goal {error}") from None

    def _goal_state(self, message: Any) -> np.ndarray:
        values = self.state_array(message)
        check_goal_state(values, self.spec.state.names)
        return values


def _pixels(message: Any, image: ImageSpec) -> np.ndarray:
    if isinstance(message, CompressedImage):
        return compressed_to_rgb(message, image)
    return image_to_rgb(message, image)


def _of_camera(camera: CameraSpec, message: Any) -> np.ndarray:
    try:
        return _pixels(message, camera.image)
    except MessageError as error:
        raise MessageError(f"camera {camera.name!r}: {error}") from None


def _check_joined(message: Any, image: ImageSpec) -> None:
    """Raises MessageError for a picture of another size: it may be that of one camera."""
    if (message.height, message.width) != (image.height, image.width):
        names = ", ".join(camera.name for camera in image.cameras)
        raise MessageError(
            f"image is {message.height}x{message.width}; a robot with several cameras ({names}) "
            f"takes their pictures side by side, {image.height}x{image.width} (take_picture "
            "--checkpoint makes them)"
        )
