"""The Protocol a simulated task implements; everything else about simulation is shared.

A task builds its bodies in a PyBullet client and answers questions about them. It knows nothing
of cameras, episodes, datasets, planners or ROS: `sim/bullet.py` does those for every task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from wm_mpc.spec import RobotSpec


@dataclasses.dataclass(frozen=True)
class CameraView:
    """A fixed pinhole camera: poses in metres in the world frame, vertical field of view in
    degrees."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float]
    field_of_view: float
    near: float = 0.1
    far: float = 10.0


class Explorer(Protocol):
    """An exploration policy: the next low-level action (action size,), in the action's unit."""

    def __call__(self) -> np.ndarray: ...


class Task(Protocol):
    """One robot in one scene. Vectors are float64.

    Attributes:
        spec: What the robot is: names, limits, rates, image.
        view: Where the camera stands.
        physics_rate: Physics steps per second; `spec.control_period` must hold a whole number of
            them.
        pose_names: Names of the numbers that `pose` returns.
        scene_pose_names: Those that are not of the robot itself, such as of the object it moves.
        goal_kinds: Ways to draw goals, the default first, such as ("near", "random").
        tolerances: What each of `errors` must be below for success, by name, in its unit.
    """

    spec: RobotSpec
    view: CameraView
    physics_rate: float
    pose_names: tuple[str, ...]
    scene_pose_names: tuple[str, ...]
    goal_kinds: tuple[str, ...]
    tolerances: Mapping[str, float]

    def build(self, client: Any) -> None:
        """Create all bodies in a fresh PyBullet client (`pybullet_utils.bullet_client`)."""

    def sample_layout(self, rng: np.random.Generator) -> np.ndarray:
        """What stays the same within an episode, e.g. where the door is."""

    def set_layout(self, layout: np.ndarray) -> None: ...

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        """A reachable simulator state at rest in the current layout (start of an episode)."""

    def sample_goal(self, rng: np.random.Generator, start: np.ndarray, kind: str) -> np.ndarray:
        """Draw a goal: a simulator state that is not yet reached at `start`. The simulator may be
        left in any state.

        Args:
            rng: Where random numbers come from.
            start: The simulator state at the start.
            kind: One of `goal_kinds`.
        """

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        """The goal that a person asks for by a pose in the world frame.

        Args:
            x: In m.
            y: In m.
            yaw: In rad.

        Raises:
            ValueError: The goal cannot be reached; the message says why.
        """

    def get_state(self) -> np.ndarray:
        """The full simulator state: everything `set_state` needs to continue from here."""

    def set_state(self, state: np.ndarray) -> None: ...

    def command(self, action: np.ndarray) -> None:
        """Apply a low-level action (in the action's unit); called before every physics step."""

    def measure(self) -> np.ndarray:
        """The measured robot state in the order of `spec.state.names`."""

    def joints(self) -> dict[str, tuple[float, float]]:
        """All joints of the robot by name: position and velocity (rad and rad/s, or m and m/s), for
        `joint_states`. Empty for a robot without any; a planner gets only what `measure` says."""

    def pose(self) -> np.ndarray:
        """True pose of what matters to the task; for success and diagnostics only, never for a
        planner."""

    def errors(self, goal: np.ndarray) -> dict[str, float]:
        """True distances to a goal state, by name, e.g. {"distance": 0.12} in metres."""

    def is_success(self, goal: np.ndarray) -> bool:
        """Whether the true state is within the task's tolerance of the goal state."""

    def explorer(self, rng: np.random.Generator) -> Explorer:
        """A new exploration policy for one episode of data collection."""
