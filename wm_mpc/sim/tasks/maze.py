"""Navigation with inertia: a base that forces drive finds its way through the corridors of a maze.

After `PointMaze` (Fu et al. 2020, arXiv 2004.07219). The camera above is all the robot has: neither
place nor velocity is measured, so a planner must see from two pictures how fast the base moves. The
arena is [-1, 1] x [-1, 1] m, of 4 x 4 cells of half a metre.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pybullet

from wm_mpc.sim.planar import fixed_box, sliding_base
from wm_mpc.sim.task import CameraView, Explorer
from wm_mpc.sim.tasks.maze_explorer import MAX_FORCE, Traveller
from wm_mpc.sim.tasks.maze_plan import HALF_WIDTH, RADIUS, WALL_HALF_THICKNESS, WALLS, is_free
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

TOLERANCE = 0.1  # m, success radius
MASS = 2.0  # kg
DAMPING = 4.0  # kg/s; without a force, speed falls to a third in half a second
_HEIGHT = 0.1  # m, of walls and base


class Maze:
    """See `wm_mpc.sim.task.Task`. Simulator state: [x, y, vx, vy]; no layout."""

    spec = RobotSpec(
        task="maze",
        action=ActionSpec(
            names=("fx", "fy"),
            kind="effort",
            unit="N",
            low=(-MAX_FORCE, -MAX_FORCE),
            high=(MAX_FORCE, MAX_FORCE),
        ),
        state=StateSpec(names=(), unit=(), source="odom"),
        image=ImageSpec(64, 64),
        control_period=0.1,
        frame_skip=5,
        history=2,
    )
    view = CameraView(
        position=(0.0, 0.0, 3.0), target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), field_of_view=43.0
    )
    physics_rate = 120.0
    pose_names: tuple[str, ...] = ("x", "y")
    scene_pose_names: tuple[str, ...] = ()
    goal_kinds: tuple[str, ...] = ("random",)
    tolerances: Mapping[str, float] = MappingProxyType({"distance": TOLERANCE})

    def __init__(self) -> None:
        self._client: Any = None
        self._base = -1

    def build(self, client: Any) -> None:
        self._client = client
        light, dark = (0.85, 0.85, 0.82, 1.0), (0.25, 0.25, 0.28, 1.0)
        fixed_box(client, (1.3, 1.3, 0.05), (0, 0, -0.05), light, collides=False)
        for side in (-1, 1):
            offset = side * (HALF_WIDTH + 0.05)
            fixed_box(client, (0.05, HALF_WIDTH + 0.1, _HEIGHT), (offset, 0, _HEIGHT), dark)
            fixed_box(client, (HALF_WIDTH + 0.1, 0.05, _HEIGHT), (0, offset, _HEIGHT), dark)
        for start, end in WALLS:
            half = np.abs(end - start) / 2 + WALL_HALF_THICKNESS
            centre = (start + end) / 2
            fixed_box(client, (*half.tolist(), _HEIGHT), (*centre.tolist(), _HEIGHT), dark)
        self._base = sliding_base(client, RADIUS, _HEIGHT, MASS)
        # Motors that hold joints still are PyBullet's default.
        client.setJointMotorControlArray(
            self._base, [0, 1], pybullet.VELOCITY_CONTROL, forces=[0.0, 0.0]
        )

    def sample_layout(self, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(0)

    def set_layout(self, layout: np.ndarray) -> None:
        return

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        while True:
            position = rng.uniform(-HALF_WIDTH, HALF_WIDTH, size=2)
            if is_free(position):
                return np.concatenate([position, np.zeros(2)])

    def sample_goal(self, rng: np.random.Generator, start: np.ndarray, kind: str) -> np.ndarray:
        while True:
            goal = self.sample_state(rng)
            if np.linalg.norm(goal[:2] - start[:2]) > 2 * TOLERANCE:
                return goal

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        position = np.array([x, y])
        if not is_free(position):
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m is inside a wall or outside the arena "
                f"(accepted: free space within +-{HALF_WIDTH - RADIUS:.2f} m)"
            )
        return np.concatenate([position, np.zeros(2)])

    def get_state(self) -> np.ndarray:
        joints = self._client.getJointStates(self._base, [0, 1])
        return np.array([joints[0][0], joints[1][0], joints[0][1], joints[1][1]])

    def set_state(self, state: np.ndarray) -> None:
        for joint in (0, 1):
            self._client.resetJointState(self._base, joint, state[joint], state[2 + joint])

    def command(self, action: np.ndarray) -> None:
        self._client.setJointMotorControlArray(
            self._base,
            [0, 1],
            pybullet.TORQUE_CONTROL,
            forces=(action - DAMPING * self.get_state()[2:]).tolist(),
        )

    def measure(self) -> np.ndarray:
        return np.zeros(0)

    def joints(self) -> dict[str, tuple[float, float]]:
        return {}

    def pose(self) -> np.ndarray:
        return self.get_state()[:2]

    def errors(self, goal: np.ndarray) -> dict[str, float]:
        return {"distance": float(np.linalg.norm(self.pose() - goal[:2]))}

    def is_success(self, goal: np.ndarray) -> bool:
        return self.errors(goal)["distance"] < self.tolerances["distance"]

    def explorer(self, rng: np.random.Generator) -> Explorer:
        return Traveller(self, rng)
