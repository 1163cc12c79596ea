"""Manipulation: a Panda arm pushes a T-shaped block over a table with a stick.

After `Push-T` (Florence et al. 2021, arXiv 2109.00137; Chi et al. 2023, arXiv 2303.04137), with a
real arm instead of a free disc. Joint velocity control follows the commanded velocity of the tip,
inside a square workspace. A rim keeps the block on the table. The world frame is the arm's base
frame: x forward, y to the left, z up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim.panda import STICK_RADIUS
from wm_mpc.sim.stick_table import CENTRE, REACH, RIM, StickTable, stick_robot
from wm_mpc.sim.task import Explorer
from wm_mpc.sim.tasks.push_t_explorer import (
    BAR,
    BAR_OFFSET,
    STEM,
    STEM_OFFSET,
    Pusher,
    distance_to_block,
)

POSITION_TOLERANCE = 0.025  # m
ANGLE_TOLERANCE = math.radians(20.0)
_BLOCK_HEIGHT = 0.04  # m
_BLOCK_MASS = 0.3  # kg
_FRICTION = 0.5  # friction coefficient of the block


class PushT(StickTable):
    """See `wm_mpc.sim.task.BulletTask`. `StickTable` brings arm, table and camera.

    The simulator state is: joint positions (7) and velocities (7), and the block's position (3),
    orientation (4, x y z w), linear velocity (3) and angular velocity (3). There is no layout.
    """

    spec = stick_robot("push_t")
    pose_names: tuple[str, ...] = ("block_x", "block_y", "block_cos", "block_sin")
    scene_pose_names: tuple[str, ...] = pose_names
    tolerances: Mapping[str, float] = MappingProxyType(
        {"distance": POSITION_TOLERANCE, "angle": ANGLE_TOLERANCE}
    )

    def __init__(self) -> None:
        super().__init__()
        self._block = -1

    def build(self, client: Any) -> None:
        super().build(client)
        self._block = self._build_block()

    def _build_block(self) -> int:
        client = self._client
        halves = [(*BAR, _BLOCK_HEIGHT / 2), (*STEM, _BLOCK_HEIGHT / 2)]
        centres = [(0.0, BAR_OFFSET, 0.0), (0.0, STEM_OFFSET, 0.0)]
        kinds = [client.GEOM_BOX] * 2
        shape = client.createCollisionShapeArray(
            shapeTypes=kinds, halfExtents=halves, collisionFramePositions=centres
        )
        visual = client.createVisualShapeArray(
            shapeTypes=kinds, halfExtents=halves, visualFramePositions=centres,
            rgbaColors=[(0.85, 0.2, 0.1, 1.0), (0.85, 0.2, 0.1, 1.0)],
        )  # fmt: skip
        block: int = client.createMultiBody(_BLOCK_MASS, shape, visual, (0.5, 0.0, 0.02))
        client.changeDynamics(
            block, -1, lateralFriction=_FRICTION, restitution=0.0, linearDamping=0.0,
            angularDamping=0.0,
        )  # fmt: skip
        return block

    # ------------------------------------------------------------------------------ episodes

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        return self._state(rng, self._random_block_pose(rng))

    def _random_block_pose(self, rng: np.random.Generator) -> np.ndarray:
        """A random pose of the block away from the rim: x, y (m) and yaw (rad)."""
        return np.array([*(CENTRE + rng.uniform(-0.13, 0.13, 2)), rng.uniform(-math.pi, math.pi)])

    def _state(self, rng: np.random.Generator, block: np.ndarray) -> np.ndarray:
        """A state at rest with the block at a pose, and the tip somewhere next to it."""
        while True:
            tip = CENTRE + rng.uniform(-REACH, REACH, 2)
            if distance_to_block(block, tip) > STICK_RADIUS + 0.005:
                break
        half = block[2] / 2
        return np.array(
            [
                *self._arm.posture_at(*tip), *np.zeros(7),
                block[0], block[1], _BLOCK_HEIGHT / 2, 0.0, 0.0, math.sin(half), math.cos(half),
                *np.zeros(6),
            ]
        )  # fmt: skip

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        offset = np.array([x, y]) - CENTRE
        if not np.abs(offset).max() <= RIM - 0.08:
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m is too close to the rim or outside (accepted: within "
                f"{RIM - 0.08:.2f} m of ({CENTRE[0]:.2f}, {CENTRE[1]:.2f}) along each axis)"
            )
        present = self.get_state()
        goal = self._state(np.random.default_rng(0), np.array([x, y, yaw]))
        self.set_state(present)
        return goal

    # --------------------------------------------------------------------------------- state

    def get_state(self) -> np.ndarray:
        if self._steps == 0:  # PyBullet normalises quaternions, which changes their last digit
            return self._given.copy()
        positions, velocities = self._arm.positions()
        position, orientation = self._client.getBasePositionAndOrientation(self._block)
        linear, angular = self._client.getBaseVelocity(self._block)
        return np.array([*positions, *velocities, *position, *orientation, *linear, *angular])

    def set_state(self, state: np.ndarray) -> None:
        # Move the block far away for a moment, so that PyBullet forgets earlier contacts.
        self._client.resetBasePositionAndOrientation(self._block, (0.5, 0.0, 5.0), (0, 0, 0, 1))
        self._client.performCollisionDetection()
        self._arm.reset(state[:7], state[7:14])
        self._client.resetBasePositionAndOrientation(self._block, state[14:17], state[17:21])
        self._client.resetBaseVelocity(self._block, state[21:24], state[24:27])
        self._given, self._steps = np.array(state, np.float64), 0

    def pose(self) -> np.ndarray:
        x, y, yaw = self.block_pose()
        return np.array([x, y, math.cos(yaw), math.sin(yaw)])

    def block_pose(self) -> np.ndarray:
        """Return the block's x, y (m) and yaw (rad)."""
        position, orientation = self._client.getBasePositionAndOrientation(self._block)
        return np.array([position[0], position[1], _yaw(orientation)])

    def errors(self, goal: np.ndarray) -> dict[str, float]:
        x, y, yaw = self.block_pose()
        turn = abs(math.remainder(yaw - _yaw(goal[17:21]), 2 * math.pi))
        return {"distance": float(math.hypot(x - goal[14], y - goal[15])), "angle": turn}

    def is_success(self, goal: np.ndarray) -> bool:
        return all(error < self.tolerances[name] for name, error in self.errors(goal).items())

    def explorer(self, rng: np.random.Generator) -> Explorer:
        return Pusher(self, rng)


def _yaw(quaternion: Any) -> float:
    x, y, z, w = quaternion
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
