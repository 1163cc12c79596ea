"""Navigation with inertia: forces drive a base through the corridors of a maze.

After `PointMaze` (Fu et al. 2020, arXiv 2004.07219). The robot has only the camera above. It
measures neither position nor velocity, so a planner must read the speed of the base from two
images. The arena is [-1, 1] x [-1, 1] m, with 4 x 4 cells of 0.5 m.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wm_mpc.sim.planar import (
    WALL_COLOUR,
    WALL_HEIGHT,
    PlanarTask,
    fixed_box,
    sliding_base,
)
from wm_mpc.sim.task import Explorer
from wm_mpc.sim.tasks.maze_explorer import MAX_FORCE, Traveller
from wm_mpc.sim.tasks.maze_plan import RADIUS, WALL_HALF_THICKNESS, WALLS, is_free
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

MASS = 2.0  # kg
DAMPING = 4.0  # kg/s; without a force, the speed falls to a third in half a second


class Maze(PlanarTask):
    """See `wm_mpc.sim.task.BulletTask`.

    The simulator state is [x, y, vx, vy], m and m/s. There is no layout.

    Attributes:
        friction_factor: See `wm_mpc.sim.disturbance`.
    """

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
    radius = RADIUS
    friction_factor = 1.0

    def is_free(self, position: np.ndarray) -> bool:
        return is_free(position)

    def build(self, client: Any) -> None:
        self._build_arena(client)
        for start, end in WALLS:
            half = np.abs(end - start) / 2 + WALL_HALF_THICKNESS
            centre = (start + end) / 2
            fixed_box(
                client, (*half.tolist(), WALL_HEIGHT), (*centre.tolist(), WALL_HEIGHT), WALL_COLOUR
            )
        self._base = sliding_base(client, RADIUS, WALL_HEIGHT, MASS)
        # By default, PyBullet's motors hold joints still. Switch them off.
        client.setJointMotorControlArray(
            self._base, [0, 1], client.VELOCITY_CONTROL, forces=[0.0, 0.0]
        )

    def sample_layout(self, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(0)

    def set_layout(self, layout: np.ndarray) -> None:
        return

    def command(self, action: np.ndarray) -> None:
        drag = self.friction_factor * DAMPING * self.get_state()[2:]
        self._client.setJointMotorControlArray(
            self._base, [0, 1], self._client.TORQUE_CONTROL, forces=(action - drag).tolist()
        )

    def measure(self) -> np.ndarray:
        return np.zeros(0)

    def explorer(self, rng: np.random.Generator) -> Explorer:
        return Traveller(self, rng)
