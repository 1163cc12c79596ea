"""Frames and description of the simulated robot: /tf, /tf_static, `robot_description`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from std_msgs.msg import String

from wm_mpc.ros import qos
from wm_mpc.ros.images import quaternion
from wm_mpc.ros.timing import to_stamp
from wm_mpc.sim.engine import Simulation
from wm_mpc.sim.frames import Transform, description_of, frames_of


class FramesPublisher:
    """Publishes where the frames of the robot are, for RViz and other programs that use tf2.

    Without the package `tf2_msgs` it publishes the description only, and says so once.

    Args:
        node: Whose topics they are.
        simulation: The simulation.

    Attributes:
        root: Frame in which the robot is measured.
    """

    def __init__(self, node: Node, simulation: Simulation) -> None:
        self._simulation, self._frames = simulation, frames_of(simulation)
        self.root = self._frames.root
        if description := description_of(simulation.task):
            publisher = node.create_publisher(String, "robot_description", qos.LATCHED)
            publisher.publish(String(data=description))
        self._message = _message_type()
        if self._message is None:
            node.get_logger().info("tf2_msgs is not installed, so /tf and /tf_static are not sent")
            return
        # Absolute names, because that is where tf2 looks for them in any namespace.
        self._moving = node.create_publisher(self._message, "/tf", qos.TRANSFORMS)
        self._still = node.create_publisher(self._message, "/tf_static", qos.LATCHED)
        now = node.get_clock().now().nanoseconds
        self._still.publish(self._message_of(self._frames.still, now))

    def publish(self, now: int) -> None:
        """Send where the moving frames are.

        Args:
            now: Time of the simulation, ns.
        """
        if self._message is not None:
            self._moving.publish(self._message_of(self._frames.moving(self._simulation), now))

    def _message_of(self, transforms: Iterable[Transform], now: int) -> Any:
        assert self._message is not None
        return self._message(transforms=[to_message(each, now) for each in transforms])


def to_message(transform: Transform, now: int) -> TransformStamped:
    """Return a transform as a message.

    Args:
        transform: The transform.
        now: Its time, ns.
    """
    message = TransformStamped(child_frame_id=transform.child)
    message.header.stamp, message.header.frame_id = to_stamp(now), transform.parent
    place, turn = message.transform.translation, message.transform.rotation
    place.x, place.y, place.z = transform.position.tolist()
    turn.x, turn.y, turn.z, turn.w = quaternion(transform.axes)
    return message


def _message_type() -> Any:
    """`tf2_msgs/TFMessage`; None where that package is not installed, as with ROS 2 from PyPI."""
    try:
        return importlib.import_module("tf2_msgs.msg").TFMessage
    except ImportError:
        return None
