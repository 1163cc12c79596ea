"""Navigation: an omnidirectional base must pass through the door in a wall; each seed moves the
door.

The arena is [-1, 1] x [-1, 1] m with border walls, seen by a camera from above. The dividing wall
stands at x = 0. After the `wall` environment of arXiv 2411.04983 (DINO-WM), with real rigid-body
physics: the base has mass, a limited drive force, and pushes against walls.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wm_mpc.sim.planar import (
    HALF_WIDTH,
    WALL_COLOUR,
    WALL_HEIGHT,
    PlanarTask,
    fixed_box,
    sliding_base,
)
from wm_mpc.sim.task import Explorer
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

RADIUS = 0.1  # m; radius of the base
WALL_HALF_THICKNESS = 0.05  # m
DOOR_HALF_WIDTH = 0.24  # m
MAX_SPEED = 1.0  # m/s per axis
MAX_FORCE = 600.0  # N per axis; enough to reach any speed within one control step


class Wall(PlanarTask):
    """See `wm_mpc.sim.task.BulletTask`.

    The simulator state is [x, y, vx, vy], m and m/s. The layout is [y of the door's centre], m.
    """

    spec = RobotSpec(
        task="wall",
        action=ActionSpec(
            names=("vx", "vy"),
            kind="velocity",
            unit="m/s",
            low=(-MAX_SPEED, -MAX_SPEED),
            high=(MAX_SPEED, MAX_SPEED),
        ),
        state=StateSpec(names=("vx", "vy"), unit=("m/s", "m/s"), source="odom"),
        image=ImageSpec(64, 64),
        control_period=0.1,
        frame_skip=5,
    )
    radius = RADIUS

    def __init__(self) -> None:
        super().__init__()
        self._wings: tuple[int, int] = (-1, -1)
        self._door = 0.0

    def build(self, client: Any) -> None:
        self._build_arena(client)
        wing = (WALL_HALF_THICKNESS, HALF_WIDTH, WALL_HEIGHT)
        self._wings = (
            fixed_box(client, wing, (0, -2, WALL_HEIGHT), WALL_COLOUR),
            fixed_box(client, wing, (0, 2, 0), WALL_COLOUR),
        )
        self._base = sliding_base(client, RADIUS, WALL_HEIGHT, mass=10.0)

    def sample_layout(self, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(-0.65, 0.65, size=1)

    def set_layout(self, layout: np.ndarray) -> None:
        self._door = float(layout[0])
        for side, wing in zip((-1, 1), self._wings, strict=True):
            centre = self._door + side * (DOOR_HALF_WIDTH + HALF_WIDTH)
            self._client.resetBasePositionAndOrientation(
                wing, (0, centre, WALL_HEIGHT), (0, 0, 0, 1)
            )

    def is_free(self, position: np.ndarray) -> bool:
        margin = RADIUS + 0.02
        if not np.abs(position).max() <= HALF_WIDTH - margin:  # true for NaN, too
            return False
        beside_wall = abs(position[0]) > WALL_HALF_THICKNESS + margin
        in_door = abs(position[1] - self._door) < DOOR_HALF_WIDTH - margin
        return bool(beside_wall or in_door)

    def command(self, action: np.ndarray) -> None:
        self._client.setJointMotorControlArray(
            self._base,
            [0, 1],
            self._client.VELOCITY_CONTROL,
            targetVelocities=list(action),
            forces=[MAX_FORCE, MAX_FORCE],
        )

    def measure(self) -> np.ndarray:
        return self.get_state()[2:]

    def explorer(self, rng: np.random.Generator) -> Explorer:
        return _Wanderer(self, rng)


class _Wanderer:
    """Drives to random points (often through the door), or in a random direction for a while.

    Each action has noise of varying size, so the data contain both constant and jittery action
    blocks.
    """

    def __init__(self, task: Wall, rng: np.random.Generator) -> None:
        self._task, self._rng = task, rng
        self._remaining = 0
        self._target: np.ndarray | None = None
        self._velocity = np.zeros(2)
        self._noise = 0.0

    def __call__(self) -> np.ndarray:
        rng = self._rng
        if self._remaining == 0:
            self._remaining = int(rng.integers(3, 16))
            self._noise = rng.choice([0.05, 0.3, 0.8])
            choice = rng.random()
            if choice < 0.35:
                self._target = self._task.sample_state(rng)[:2]
            elif choice < 0.6:
                self._target = np.array([rng.uniform(-0.2, 0.2), self._task._door])
            else:
                self._target = None
                self._velocity = rng.uniform(-MAX_SPEED, MAX_SPEED, size=2)
            self._speed = rng.uniform(0.3, 1.4) * MAX_SPEED
        self._remaining -= 1
        velocity = self._velocity
        if self._target is not None:
            offset = self._target - self._task.pose()
            velocity = offset / max(float(np.linalg.norm(offset)), 0.1) * self._speed
        return np.clip(velocity + rng.normal(0, self._noise, 2), -MAX_SPEED, MAX_SPEED)
