"""The node `episode_log`: hears `sim` and `mpc`, and writes a line of JSON for each episode.

It is how `evaluate --through-ros` and `benchmark` learn of what nodes do; it takes part in nothing.
Lines on stdout: `{"ready": true}` once it listens, `{"episode": ...}` for each episode, and
`{"plan_ms": ...}` for each report of the planner.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.messages.progress_statuses import EpisodeStatus
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.ros import qos
from wm_mpc.ros.running import Stopped, run
from wm_mpc.ros.status import TOPIC, from_diagnostics, mpc_statuses
from wm_mpc.ros.timing import STAGES, to_nanoseconds

_WAITING = 10  # observations without a plan that are remembered


class EpisodeLog(Node):
    """See the module. `options` go to `rclpy.node.Node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("episode_log", **options)
        self._finished = 0
        # When the newest observations came, by stamp; topics overtake each other a little.
        self._came: dict[int, float] = {}
        self._trips: list[float] = []  # ms
        # Published with every image, and much smaller.
        self.create_subscription(
            CameraInfo, "camera/camera_info", self._on_camera_info, qos.SENSOR_DATA
        )
        self.create_subscription(
            JointTrajectory, "planned_actions", self._on_plan, qos.PLANNED_ACTIONS
        )
        self.create_subscription(DiagnosticStatus, "sim/result", self._on_result, qos.RESULTS)
        self.create_subscription(DiagnosticArray, TOPIC, self._on_diagnostics, qos.STATUS)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._came[to_nanoseconds(message.header.stamp)] = time.perf_counter()
        while len(self._came) > _WAITING:
            del self._came[next(iter(self._came))]

    def _on_plan(self, message: JointTrajectory) -> None:
        came = self._came.pop(to_nanoseconds(message.header.stamp), None)
        if message.points and came is not None:
            self._trips.append(round(1e3 * (time.perf_counter() - came), 3))

    def _on_result(self, message: DiagnosticStatus) -> None:
        episode = from_diagnostics(message, EpisodeStatus)
        if episode.finished <= self._finished:
            return
        self._finished = episode.finished
        trips, self._trips = self._trips, []
        _write(
            {
                "episode": episode.episode,
                "success": episode.success,
                "steps": episode.steps,
                "errors": dict(episode.errors),
                "round_trip_ms": trips,
            }
        )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in mpc_statuses(message, self.get_namespace()):
            if status.plans:
                times = [status.plan_ms("p50"), status.plan_ms("p99")]
                counts = {
                    "plans": status.plans, "holds": status.holds, "overruns": status.overruns
                }  # fmt: skip
                _write({"plan_ms": times, **counts, "stage_ms": _stages(status)})


def _stages(status: MpcStatus) -> dict[str, list[float]]:
    """p50 and p99 (ms) of every stage from image to plan; of none whose time is not known."""
    stages = {}
    for name in (*STAGES, "overhead", "image to plan"):
        times = [status.number(f"{name} {share} (ms)") for share in ("p50", "p99")]
        if not any(math.isnan(time) for time in times):
            stages[name] = times
    return stages


def _write(entry: dict[str, Any]) -> None:
    print(json.dumps(entry), flush=True)


def until_orphaned(node: Node, stopped: Stopped) -> None:
    """Say that the node listens, and wait for its end or for that of the process that started it.

    Args:
        node: Which is spun elsewhere.
        stopped: Whether it shall end.
    """
    _write({"ready": True})
    listener = os.getppid()
    while not stopped() and os.getppid() == listener:  # nobody listens to an orphan
        time.sleep(0.02)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `python -m wm_mpc.nodes.tools.episode_log`; returns the exit code."""
    return run(EpisodeLog, until_orphaned, args)


if __name__ == "__main__":
    sys.exit(main())
