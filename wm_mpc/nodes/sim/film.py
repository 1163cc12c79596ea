"""The film of the node `sim`: collects what a picture needs and hands it to the recorder."""

from __future__ import annotations

from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from wm_mpc.codes import StatusCode
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.ros import qos
from wm_mpc.ros.messages import image_to_rgb
from wm_mpc.ros.status import TOPIC, mpc_statuses
from wm_mpc.sim.engine import Observation, Simulation
from wm_mpc.sim.film_picture import Path, Picture, main_picture, split_strip
from wm_mpc.sim.frames import frames_of, world_frames
from wm_mpc.sim.recorder import Recorder


class Film:
    """Does nothing when `path` is empty. Raises RecorderError when it cannot be written."""

    def __init__(self, path: str, simulation: Simulation) -> None:
        task = simulation.task
        self._simulation = simulation
        self._frames = world_frames(frames_of(simulation).root)
        self._paths: list[Path] = []
        self._imagined: list[np.ndarray] = []
        self._status: MpcStatus | None = None
        self._namespace = "/"
        self._logger: Any = None
        rate = 1.0 / task.spec.control_period
        self._recorder = (
            Recorder(path, simulation.view, task.spec.action, rate, strip=True) if path else None
        )

    @property
    def is_on(self) -> bool:
        return self._recorder is not None

    def subscribe(self, node: Node) -> None:
        """Listen to what the controller thinks, if there is a film at all."""
        if self._recorder is None:
            return
        self._namespace, self._logger = node.get_namespace(), node.get_logger()
        if self._recorder.made_folder:
            folder = self._recorder.path.parent.absolute()
            self._logger.info(f"record: made the folder {folder}, which was not there")
        node.create_subscription(MarkerArray, "mpc/plan_markers", self._on_markers, qos.STATUS)
        node.create_subscription(
            Image, "mpc/imagined/image_raw", self._on_imagined, qos.SENSOR_DATA
        )
        node.create_subscription(DiagnosticArray, TOPIC, self._on_diagnostics, qos.STATUS)

    # Callbacks have a thread of their own; each replaces one attribute at once.

    def _on_markers(self, message: MarkerArray) -> None:
        self._paths = marker_paths(message, self._frames)

    def _on_imagined(self, message: Image) -> None:
        image = self._simulation.task.spec.image
        try:
            strip = image_to_rgb(message, None)
        except MessageError as error:
            self._logger.warning(f"film: mpc/imagined: {error}", throttle_duration_sec=10.0)
        else:
            self._imagined = split_strip(strip, image.width / image.height)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in mpc_statuses(message, self._namespace):
            self._status = status

    def add(
        self, observation: Observation, actions: np.ndarray | None, caption: str, *, wait: bool
    ) -> None:
        """One picture.

        Args:
            observation: What the camera sees.
            actions: The rest of the plan; None at the end of an episode.
            caption: One line of text.
            wait: Rather than leave it out when the encoder is behind.
        """
        if self._recorder is None:
            return
        goal = self._simulation.goal
        wanted = np.zeros_like(observation.image) if goal is None else goal.observation.image
        has_plan = actions is not None and len(actions) > 0
        if actions is None:
            actions = np.zeros((0, self._simulation.task.spec.action.size))
        status = self._status
        self._recorder.add(
            Picture(
                observation.image,
                wanted,
                actions,
                self._paths if has_plan else [],
                caption,
                state=status.sentence if status is not None else "",
                is_fine=status is not None and status.code == StatusCode.PLANNING,
                imagined=self._imagined if has_plan else [],
                main=main_picture(observation.image, self._simulation.task.spec.image),
            ),
            wait=wait,
        )

    def close(self) -> str:
        """Finish the file; one line for people, or nothing."""
        return self._recorder.close() if self._recorder is not None else ""


def marker_paths(message: MarkerArray, frames: tuple[str, ...]) -> list[Path]:
    """The lines in the world frame as (points (n, 3) in metres, rgb colour). frames: names of that
    frame."""
    paths: list[Path] = []
    for marker in message.markers:
        is_line = marker.type == Marker.LINE_STRIP and marker.action == Marker.ADD
        if not is_line or marker.header.frame_id not in frames or not marker.points:
            continue
        origin = marker.pose.position
        points = np.array([(p.x + origin.x, p.y + origin.y, p.z + origin.z) for p in marker.points])
        colour = marker.color
        paths.append(
            (
                points,
                (int(255 * colour.r), int(255 * colour.g), int(255 * colour.b)),
            )
        )
    return paths
