"""A task: a base drives over an open field to a place shown in a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from wm_mpc.sim.planar import HALF_WIDTH, WALL_HEIGHT, PlanarTask, sliding_base
from wm_mpc.sim.task import Explorer
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

RADIUS = 0.1  # m


class Field(PlanarTask):
    """See `wm_mpc.sim.task.BulletTask`. `PlanarTask` brings the arena, the camera and the goals."""

    spec = RobotSpec(
        task="field",
        action=ActionSpec(("vx", "vy"), "velocity", "m/s", low=(-1.0, -1.0), high=(1.0, 1.0)),
        state=StateSpec(names=("vx", "vy"), unit=("m/s", "m/s"), source="odom"),
        image=ImageSpec(64, 64),
        control_period=0.1,
        frame_skip=5,
    )
    radius = RADIUS

    def build(self, client: Any) -> None:
        self._build_arena(client)
        self._base = sliding_base(client, RADIUS, WALL_HEIGHT, mass=10.0)

    def sample_layout(self, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(0)  # nothing differs from episode to episode

    def set_layout(self, layout: np.ndarray) -> None:
        pass

    def is_free(self, position: np.ndarray) -> bool:
        return bool(np.abs(position).max() <= HALF_WIDTH - RADIUS)

    def command(self, action: np.ndarray) -> None:
        self._client.setJointMotorControlArray(
            self._base,
            [0, 1],
            self._client.VELOCITY_CONTROL,
            targetVelocities=list(action),
            forces=[600.0, 600.0],
        )

    def measure(self) -> np.ndarray:
        return self.get_state()[2:]

    def explorer(self, rng: np.random.Generator) -> Explorer:
        return lambda: rng.uniform(-1.0, 1.0, 2)
