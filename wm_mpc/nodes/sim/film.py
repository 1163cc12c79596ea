"""The film of the node `sim`: collects what a picture needs and hands it to the recorder."""

from __future__ import annotations

import numpy as np
from visualization_msgs.msg import Marker, MarkerArray

from wm_mpc.sim.engine import Observation, Simulation
from wm_mpc.sim.recorder import Path, Picture, Recorder

_FRAMES = ("world", "odom")


class Film:
    """Does nothing when `path` is empty. Raises RecorderError when it cannot be written."""

    def __init__(self, path: str, simulation: Simulation) -> None:
        task = simulation.task
        self._simulation = simulation
        self._paths: list[Path] = []
        self._recorder = (
            Recorder(path, simulation.view, task.spec.action, 1.0 / task.spec.control_period)
            if path
            else None
        )

    @property
    def is_on(self) -> bool:
        return self._recorder is not None

    def on_markers(self, message: MarkerArray) -> None:
        """Keep the lines of the newest `mpc/plan_markers`; called from the callbacks' thread."""
        self._paths = marker_paths(message)

    def add(
        self, observation: Observation, actions: np.ndarray | None, caption: str, *, wait: bool
    ) -> None:
        """One picture; wait: rather than leave it out when the encoder is behind."""
        goal = self._simulation.goal
        if self._recorder is None or goal is None:
            return
        if actions is None:
            actions = np.zeros((0, self._simulation.task.spec.action.size))
        paths = self._paths if len(actions) else []
        picture = Picture(observation.image, goal.observation.image, actions, paths, caption)
        self._recorder.add(picture, wait=wait)

    def close(self) -> str:
        """Finish the file; one line for people, or nothing."""
        return self._recorder.close() if self._recorder is not None else ""


def marker_paths(message: MarkerArray) -> list[Path]:
    """The lines in the world frame as (points (n, 3) in metres, rgb colour)."""
    paths: list[Path] = []
    for marker in message.markers:
        is_line = marker.type == Marker.LINE_STRIP and marker.action == Marker.ADD
        if not is_line or marker.header.frame_id not in _FRAMES or not marker.points:
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
