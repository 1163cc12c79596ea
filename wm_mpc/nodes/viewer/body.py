"""What the scene of three dimensions needs: the robot's description, its joints, its place."""

from __future__ import annotations

import math
import threading
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from wm_mpc.nodes.viewer.robot import Robot
from wm_mpc.ros import qos
from wm_mpc.view.model import ViewModel
from wm_mpc.view.visuals import VisualsError


class Body:
    """Subscribes only while a browser shows the scene.

    Args:
        node: Whose subscriptions they are.
        model: Takes all in.
    """

    def __init__(self, node: Node, model: ViewModel) -> None:
        self._node, self._model = node, model
        self._subscriptions: list[Any] = []
        self._description = ""

    def watch(self, wanted: bool) -> None:
        """Whether a browser shows the scene."""
        if wanted == bool(self._subscriptions):
            return
        if wanted:
            subscribe = self._node.create_subscription
            self._subscriptions = [
                subscribe(String, "robot_description", self._on_description, qos.LATCHED),
                subscribe(JointState, "joint_states", self._on_joints, qos.SENSOR_DATA),
                subscribe(Odometry, "odom", self._on_odometry, qos.SENSOR_DATA),
            ]
        else:
            for subscription in self._subscriptions:
                self._node.destroy_subscription(subscription)
            self._subscriptions = []

    def _on_description(self, message: String) -> None:
        if message.data != self._description:
            self._description = message.data
            # Meshes take a while to load; other topics do not wait for them.
            threading.Thread(target=self._load, args=(message.data,), daemon=True).start()

    def _load(self, description: str) -> None:
        try:
            robot = Robot(description)
        except VisualsError as error:
            self._node.get_logger().warning(f"robot_description: {error}; no robot is drawn")
            return
        for complaint in robot.complaints:
            self._node.get_logger().warning(f"robot_description: {complaint}")
        self._model.on_robot(robot)

    def _on_joints(self, message: JointState) -> None:
        found = dict(zip(message.name, message.position, strict=False))
        self._model.on_joints({n: p for n, p in found.items() if math.isfinite(p)})

    def _on_odometry(self, message: Odometry) -> None:
        pose = message.pose.pose
        q = pose.orientation
        yaw = math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
        self._model.on_base(pose.position.x, pose.position.y, yaw)
