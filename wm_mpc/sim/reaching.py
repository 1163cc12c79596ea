"""Common parts of reaching tasks: a Panda arm whose tip goes to a place in space, seen from the
side.

A task adds its actions, how they drive the arm, its measurements, and its starting and goal
postures. The world frame is the arm's base frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim.panda import JOINTS, PandaStick, robot_description
from wm_mpc.sim.planar import fixed_box
from wm_mpc.sim.task import CameraView

LOW = np.array([0.35, -0.25, 0.06])  # m; the tip of starts and goals is between these corners
HIGH = np.array([0.58, 0.25, 0.38])
TOLERANCE = 0.04  # m


class ReachingTask:
    """See `wm_mpc.sim.task.BulletTask`.

    The simulator state is: joint positions (7) and velocities (7). There is no layout.

    Attributes:
        floor: Height of the table's top, m. The arm's base is at 0.
    """

    engine = "bullet"
    floor = 0.0
    view = CameraView(
        position=(1.05, -0.85, 0.75), target=(0.36, 0.02, 0.36), up=(0.0, 0.0, 1.0),
        field_of_view=48.0,
    )  # fmt: skip
    physics_rate = 240.0
    pose_names: tuple[str, ...] = ("tip_x", "tip_y", "tip_z")
    scene_pose_names: tuple[str, ...] = ()
    goal_kinds: tuple[str, ...] = ("random",)
    tolerances: Mapping[str, float] = MappingProxyType({"distance": TOLERANCE})

    def __init__(self) -> None:
        self._client: Any = None
        self._arm: Any = None
        self._steps = 0  # physics steps since the state was set

    def build(self, client: Any) -> None:
        self._client = client
        client.setPhysicsEngineParameter(deterministicOverlappingPairs=1)
        colour = (0.8, 0.8, 0.78, 1.0)
        fixed_box(client, (0.8, 0.8, 0.02), (0.4, 0.0, self.floor - 0.02), colour)
        if self.floor < 0.0:
            fixed_box(client, (0.1, 0.1, -self.floor / 2), (-0.02, 0.0, self.floor / 2), colour)
        self._arm = PandaStick(client, tip="ball")

    def sample_layout(self, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(0)

    def set_layout(self, layout: np.ndarray) -> None:
        return

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        """See `Task.sample_state`. Leaves the arm in that state."""
        raise NotImplementedError

    def sample_goal(self, rng: np.random.Generator, start: np.ndarray, kind: str) -> np.ndarray:
        """See `Task.sample_goal`. The tip is at least twice the tolerance away from the start."""
        raise NotImplementedError

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        place = np.array([x, y, (LOW[2] + HIGH[2]) / 2])
        if not ((place >= LOW) & (place <= HIGH)).all():  # true for NaN, too
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m is out of reach (accepted: x from {LOW[0]} to {HIGH[0]}"
                f", y from {LOW[1]} to {HIGH[1]}; the height is {place[2]:.2f})"
            )
        present = self.get_state()
        goal = self._at_rest(place)
        self.set_state(present)
        return goal

    def _at_rest(self, place: np.ndarray) -> np.ndarray:
        """The state at rest with the stick upright and its tip at a place (3,) m. Leaves the arm
        there."""
        x, y, z = place.tolist()
        return np.concatenate([self._arm.posture_at(x, y, z), np.zeros(len(JOINTS))])

    def get_state(self) -> np.ndarray:
        return np.concatenate(self._arm.positions())

    def set_state(self, state: np.ndarray) -> None:
        self._arm.reset(state[:7], state[7:14])
        self._steps = 0

    def robot_description(self) -> str:
        return robot_description("ball")

    def joints(self) -> dict[str, tuple[float, float]]:
        positions, velocities = self._arm.positions()
        rows = zip(JOINTS, positions.tolist(), velocities.tolist(), strict=True)
        return {name: (position, velocity) for name, position, velocity in rows}

    def pose(self) -> np.ndarray:
        tip: np.ndarray = self._arm.tip()
        return tip

    def errors(self, goal: np.ndarray) -> dict[str, float]:
        present = self.get_state()
        self._arm.reset(goal[:7], goal[7:14])
        place = self.pose()
        self._arm.reset(present[:7], present[7:14])
        return {"distance": float(np.linalg.norm(self.pose() - place))}

    def is_success(self, goal: np.ndarray) -> bool:
        return self.errors(goal)["distance"] < self.tolerances["distance"]
