"""What the page asks of the running nodes. Each command waits for its answer, so it is called in a
thread of the page; it returns a sentence, or raises CommandError with one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from std_srvs.srv import Trigger

from wm_mpc.messages.reading import decoded
from wm_mpc.ros import qos
from wm_mpc.ros.client import Client
from wm_mpc.ros.client_errors import ClientError
from wm_mpc.ros.running import wait_until
from wm_mpc.view.drawing import side_by_side
from wm_mpc.view.model import ViewModel

_TIMEOUT = 4.0  # s


class CommandError(RuntimeError):
    """A command that was not carried out; the text says why."""


class Commands:
    """See the module.

    Args:
        node: Ours, which is spun elsewhere.
        model: Has the camera's picture and its place.
        mpc: Name of the controller's node.
    """

    def __init__(self, node: Node, model: ViewModel, mpc: str) -> None:
        self._node, self._model, self._mpc = node, model, mpc
        self._client = Client(mpc=mpc, node=node, timeout=_TIMEOUT)
        self._pose = node.create_publisher(PoseStamped, "goal_pose", qos.COMMAND)
        self._services: dict[str, Any] = {}

    def hold(self) -> str:
        self._do(self._client.hold)
        return "Held. The robot rests until you say go on."

    def resume(self) -> str:
        self._do(self._client.resume)
        return "Goes on."

    def skip(self) -> str:
        return "Skipped the goal." if self._do(self._client.skip_goal) else "There is no goal."

    def clear(self) -> str:
        self._do(self._client.clear_goals)
        return "Cleared all goals. The robot holds until another goal comes."

    def new_goal(self) -> str:
        """Have the simulation draw one."""
        return self._trigger("sim/new_goal", "only a simulation draws goals")

    def reset(self) -> str:
        """Have the simulation begin a new episode."""
        return self._trigger("sim/reset", "only a simulation begins episodes")

    def reload(self) -> str:
        return self._trigger(f"{self._mpc}/reload", "the controller does not run")

    def goal_from_camera(self) -> str:
        """What the camera, or all cameras, see now becomes the goal."""
        view = self._model.view()
        if view.camera is None:
            raise CommandError("There is no camera picture yet.")
        seen = view.camera.rgb
        if view.others is not None:
            seen = side_by_side([seen, view.others.rgb])
        report = self._do(lambda: self._client.set_goal(seen))
        return f"The present picture is goal {report.number}."

    def goal_from_file(self, name: str, content: bytes, *, append: bool = False) -> str:
        """A picture file becomes the goal."""
        found = decoded(content)
        if found is None:
            raise CommandError(f"{name} is no picture; accepted: PNG, JPEG and others.")
        rgb = np.ascontiguousarray(found[..., ::-1])
        send = self._client.append if append else self._client.set_goal
        report = self._do(lambda: send(rgb))
        return f"{name} is goal {report.number}."

    def goal_pose(self, x: float, y: float, yaw: float) -> str:
        """Ask the simulation for a goal at a place: m, rad."""
        if not self._pose.get_subscription_count():
            raise CommandError("Nothing takes goals as places: only a simulation does (goal_pose).")
        message = PoseStamped()
        message.header.frame_id = "odom"
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.pose.position.x, message.pose.position.y = x, y
        message.pose.orientation.z, message.pose.orientation.w = (
            math.sin(yaw / 2.0),
            math.cos(yaw / 2.0),
        )
        self._pose.publish(message)
        return f"Asked for a goal at x {x:.2f} m, y {y:.2f} m, heading {math.degrees(yaw):.0f}°."

    def click(self, column: float, row: float, height: float, yaw: float) -> str:
        """Ask the simulation for a goal where the picture was clicked: shares of it; m, rad."""
        projection = self._model.view().projection
        if projection is None:
            raise CommandError(
                "Where that is in the world is not known: "
                "camera/camera_info or camera/pose is missing."
            )
        place = projection.on_plane(column, row, height)
        if place is None:
            raise CommandError(f"That pixel shows no place at a height of {height:.2f} m.")
        return self.goal_pose(*place, yaw)

    def _do(self, work: Any) -> Any:
        try:
            return work()
        except ClientError as error:
            raise CommandError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None

    def _trigger(self, name: str, otherwise: str) -> str:
        if name not in self._services:
            self._services[name] = self._node.create_client(Trigger, name)
        client = self._services[name]
        if not wait_until(client.service_is_ready, 1.0, lambda: False):
            raise CommandError(f"There is no service {client.srv_name}: {otherwise}.")
        future = client.call_async(Trigger.Request())
        if not wait_until(future.done, _TIMEOUT, lambda: False):
            raise CommandError(f"{client.srv_name} does not answer.")
        answer = future.result()
        said = f"{answer.message[:1].upper()}{answer.message[1:]}"
        if not answer.success:
            raise CommandError(said or f"{client.srv_name} refused.")
        return said or "Done."
