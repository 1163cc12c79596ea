"""What `sim` publishes of one of its cameras."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from wm_mpc.ros import qos
from wm_mpc.ros.messages import camera_info, pose_message, rgb_to_image
from wm_mpc.sim.engine import Simulation
from wm_mpc.sim.frames import CAMERA


class CameraTopics:
    """The publishers of one camera: images, intrinsics, and where it stands.

    Args:
        node: Whose topics they are.
        simulation: The simulation.
        number: Which of the robot's cameras, from 0 on.
        has_info: Whether to publish the intrinsics.
    """

    def __init__(
        self, node: Node, simulation: Simulation, number: int, *, has_info: bool = True
    ) -> None:
        spec = simulation.task.spec
        camera = spec.images[number]
        self._tile, self._size = spec.image.tiles[number], camera.image
        # The first camera has the name of the only one.
        self._frame = camera.name if number else CAMERA
        space = camera.topic.rpartition("/")[0]
        self._image = node.create_publisher(Image, camera.topic, qos.SENSOR_DATA)
        # Of a world whose camera is unknown there is nothing to publish.
        self._intrinsics = simulation.intrinsics(number) if has_info else None
        self._info = (
            node.create_publisher(CameraInfo, f"{space}/camera_info", qos.SENSOR_DATA)
            if self._intrinsics is not None
            else None
        )
        if simulation.views:
            view = simulation.views[number]
            # Where the camera stands, for pictures of plans; it never moves.
            self._pose = node.create_publisher(PoseStamped, f"{space}/pose", qos.LATCHED)
            self._pose.publish(
                pose_message(view.position, view.axes(), node.get_clock().now().to_msg())
            )

    def publish(self, image: np.ndarray, stamp: Time) -> None:
        """Publish what the camera sees.

        Args:
            image: uint8 (height, width, 3) rgb, the joined picture of all cameras.
            stamp: When it was taken.
        """
        if self._info is not None and self._intrinsics is not None:
            self._info.publish(camera_info(self._intrinsics, self._size, stamp, self._frame))
        picture = np.ascontiguousarray(self._tile.of(image))
        self._image.publish(rgb_to_image(picture, stamp, self._frame))
