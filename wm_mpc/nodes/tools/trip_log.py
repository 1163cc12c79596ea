"""The node `trip_log`: writes a line of JSON for each plan, with the time from its image on.

`wm_mpc.experiments.speed.viewer_cost` starts it. Times are those at which `sim` and `mpc` handed
their messages to the middleware, so it does not matter when this node gets to run. Lines on stdout:
`{"ready": true}` once it listens, then `{"image_to_plan_ms": ...}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.nodes.tools.episode_log import until_orphaned
from wm_mpc.ros import qos
from wm_mpc.ros.running import run
from wm_mpc.ros.timing import to_nanoseconds

_WAITING = 50  # observations without a plan that are remembered


class TripLog(Node):
    """See the module. `options` go to `rclpy.node.Node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("trip_log", **options)
        self._sent: dict[int, int] = {}  # ns, by stamp
        # Published with every image, and much smaller.
        subscribe: Any = self.create_subscription  # its types know no callbacks of two arguments
        subscribe(CameraInfo, "camera/camera_info", self._on_camera_info, qos.SENSOR_DATA)
        subscribe(JointTrajectory, "planned_actions", self._on_plan, qos.PLANNED_ACTIONS)

    def _on_camera_info(self, message: CameraInfo, info: dict[str, int]) -> None:
        self._sent[to_nanoseconds(message.header.stamp)] = info["source_timestamp"]
        while len(self._sent) > _WAITING:
            del self._sent[next(iter(self._sent))]

    def _on_plan(self, message: JointTrajectory, info: dict[str, int]) -> None:
        sent = self._sent.pop(to_nanoseconds(message.header.stamp), None)
        if message.points and sent is not None:
            milliseconds = round((info["source_timestamp"] - sent) / 1e6, 3)
            print(json.dumps({"image_to_plan_ms": milliseconds}), flush=True)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `python -m wm_mpc.nodes.tools.trip_log`; returns the exit code."""
    return run(TripLog, until_orphaned, args)


if __name__ == "__main__":
    sys.exit(main())
