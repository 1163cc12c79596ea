"""The node `camera_player`: a camera and a robot that send recorded observations, again and again.

`benchmark` lets it stand in for a camera of any resolution: whatever `mpc` plans, the pictures stay
the same. It ends with the process that started it.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from wm_mpc.model.checkpoint import read_metadata
from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image, state_to_joint_states, state_to_odometry
from wm_mpc.ros.parameters import declare
from wm_mpc.ros.running import Stopped, run
from wm_mpc.ros.timing import to_stamp
from wm_mpc.settings.fields import check, setting
from wm_mpc.spec import RobotSpec


@dataclasses.dataclass(frozen=True)
class PlayerSettings:
    """Of the node `camera_player`, which are its parameters."""

    recording: str = setting(
        "",
        "File .npz with images (n, height, width, 3) and states (n, state size), goal_image and "
        "goal_state",
        read_only=True,
    )
    checkpoint: str = setting("", "World model whose robot this is", read_only=True)
    height: int = setting(96, "Rows of the pictures", "pixels", 16, 4096, read_only=True)
    width: int = setting(96, "Columns of the pictures", "pixels", 16, 4096, read_only=True)
    rate: float = setting(10.0, "Pictures per second", "Hz", 0.1, 200.0, read_only=True)

    def __post_init__(self) -> None:
        check(self)


class CameraPlayer(Node):
    """See the module. `options` go to `rclpy.node.Node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("camera_player", **options)
        settings = declare(self, PlayerSettings).values()
        self.period = 1.0 / settings.rate
        self._size = settings.width, settings.height
        self._spec = RobotSpec.from_dict(read_metadata(settings.checkpoint))
        with np.load(settings.recording) as recording:
            self._images = [self._resized(image) for image in recording["images"]]
            self._states = recording["states"]
            goal = self._resized(recording["goal_image"]), recording["goal_state"]
        state_type = Odometry if self._spec.state.source == "odom" else JointState
        create = self.create_publisher
        self._image = create(Image, "camera/image_raw", qos.SENSOR_DATA)
        self._state = create(state_type, self._spec.state.source, qos.ROBOT_STATE)
        self._goal_image = create(Image, "goal/image", qos.LATCHED)
        self._goal_state = create(state_type, "goal/state", qos.LATCHED)
        stamp = self.get_clock().now().to_msg()
        self._goal_image.publish(rgb_to_image(goal[0], stamp))
        self._goal_state.publish(self._state_message(goal[1], stamp))

    def _resized(self, image: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def _state_message(self, state: np.ndarray, stamp: Any) -> Any:
        if self._spec.state.source == "odom":
            named = dict(zip(self._spec.state.names, state.tolist(), strict=True))
            return state_to_odometry(named, stamp)
        return state_to_joint_states(state, self._spec.state, stamp)

    def send(self, number: int) -> None:
        """Observation `number`, counted round and round; the state first, as a robot that is
        measured before the exposure has ended."""
        index = number % len(self._images)
        stamp = to_stamp(self.get_clock().now().nanoseconds)
        image = rgb_to_image(self._images[index], stamp)
        self._state.publish(self._state_message(self._states[index], stamp))
        self._image.publish(image)


def _work(node: CameraPlayer, stopped: Stopped) -> None:
    audience, number, due = os.getppid(), 0, time.monotonic()
    while not stopped() and os.getppid() == audience:
        node.send(number)
        number, due = number + 1, max(due + node.period, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `python -m wm_mpc.nodes.tools.camera_player`; returns the exit code."""
    return run(CameraPlayer, _work, args)


if __name__ == "__main__":
    sys.exit(main())
