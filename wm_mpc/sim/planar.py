"""Common parts of navigation tasks: a walled arena seen from above, and a round sliding base.

A task adds its own walls, says which places are free, and drives the base.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim.task import CameraView

Colour = tuple[float, float, float, float]
HALF_WIDTH = 1.0  # m; the arena reaches from -1 to 1
TOLERANCE = 0.1  # m; distance to the goal that counts as success
WALL_HEIGHT = 0.1  # m; half the height of walls and base
WALL_COLOUR: Colour = (0.25, 0.25, 0.28, 1.0)
_FLOOR_COLOUR: Colour = (0.85, 0.85, 0.82, 1.0)


def fixed_box(
    client: Any,
    half_extents: tuple[float, float, float],
    position: tuple[float, float, float],
    colour: Colour,
    collides: bool = True,
) -> int:
    """Create an immovable box without friction.

    Args:
        client: PyBullet client.
        half_extents: Half sizes, m.
        position: Centre, m.
        colour: Red, green, blue and opacity, 0 to 1.
        collides: Whether other bodies collide with it.

    Returns:
        Number of the body.
    """
    visual = client.createVisualShape(client.GEOM_BOX, halfExtents=half_extents, rgbaColor=colour)
    shape = (
        client.createCollisionShape(client.GEOM_BOX, halfExtents=half_extents) if collides else -1
    )
    body: int = client.createMultiBody(0.0, shape, visual, position)
    client.changeDynamics(body, -1, lateralFriction=0.0, restitution=0.0)
    return body


def sliding_base(client: Any, radius: float, height: float, mass: float) -> int:
    """Create a cylinder on two crossed prismatic joints: 0 along x and 1 along y, both within 2 m.

    Args:
        client: PyBullet client.
        radius: In m.
        height: Half the height, m.
        mass: In kg.

    Returns:
        Number of the body.
    """
    shape = client.createCollisionShape(client.GEOM_CYLINDER, radius=radius, height=2 * height)
    visual = client.createVisualShape(
        client.GEOM_CYLINDER, radius=radius, length=2 * height, rgbaColor=(0.9, 0.25, 0.1, 1)
    )
    identity = (0, 0, 0, 1)
    body: int = client.createMultiBody(
        baseMass=0.0,
        basePosition=(0, 0, height),
        linkMasses=[0.1, mass],
        linkCollisionShapeIndices=[-1, shape],
        linkVisualShapeIndices=[-1, visual],
        linkPositions=[(0, 0, 0), (0, 0, 0)],
        linkOrientations=[identity, identity],
        linkInertialFramePositions=[(0, 0, 0), (0, 0, 0)],
        linkInertialFrameOrientations=[identity, identity],
        linkParentIndices=[0, 1],
        linkJointTypes=[client.JOINT_PRISMATIC, client.JOINT_PRISMATIC],
        linkJointAxis=[(1, 0, 0), (0, 1, 0)],
    )
    for link in (0, 1):
        client.changeDynamics(
            body,
            link,
            lateralFriction=0.0,
            restitution=0.0,
            linearDamping=0.0,
            jointLowerLimit=-2.0,
            jointUpperLimit=2.0,
        )
    return body


class PlanarTask:
    """The common part of navigation tasks; see `wm_mpc.sim.task.BulletTask`.

    The simulator state is [x, y, vx, vy], m and m/s.

    Attributes:
        radius: Radius of the base, m.
    """

    engine = "bullet"
    radius: float
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

    def is_free(self, position: np.ndarray) -> bool:
        """Whether the base may stand at a place in the present layout.

        Args:
            position: (2,) m.
        """
        raise NotImplementedError

    def _build_arena(self, client: Any) -> None:
        """Build floor and border walls."""
        self._client = client
        fixed_box(client, (1.3, 1.3, 0.05), (0, 0, -0.05), _FLOOR_COLOUR, collides=False)
        for side in (-1, 1):
            offset = side * (HALF_WIDTH + 0.05)
            upright = (0.05, HALF_WIDTH + 0.1, WALL_HEIGHT)
            fixed_box(client, upright, (offset, 0, WALL_HEIGHT), WALL_COLOUR)
            across = (HALF_WIDTH + 0.1, 0.05, WALL_HEIGHT)
            fixed_box(client, across, (0, offset, WALL_HEIGHT), WALL_COLOUR)

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        while True:
            position = rng.uniform(-HALF_WIDTH, HALF_WIDTH, size=2)
            if self.is_free(position):
                return np.concatenate([position, np.zeros(2)])

    def sample_goal(self, rng: np.random.Generator, start: np.ndarray, kind: str) -> np.ndarray:
        while True:
            goal = self.sample_state(rng)
            if np.linalg.norm(goal[:2] - start[:2]) > 2 * TOLERANCE:
                return goal

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        position = np.array([x, y])
        if not self.is_free(position):
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m is inside a wall or outside the arena "
                f"(accepted: free space within +-{HALF_WIDTH - self.radius:.2f} m)"
            )
        return np.concatenate([position, np.zeros(2)])

    def get_state(self) -> np.ndarray:
        joints = self._client.getJointStates(self._base, [0, 1])
        return np.array([joints[0][0], joints[1][0], joints[0][1], joints[1][1]])

    def set_state(self, state: np.ndarray) -> None:
        for joint in (0, 1):
            self._client.resetJointState(self._base, joint, state[joint], state[2 + joint])

    def joints(self) -> dict[str, tuple[float, float]]:
        return {}

    def pose(self) -> np.ndarray:
        return self.get_state()[:2]

    def errors(self, goal: np.ndarray) -> dict[str, float]:
        return {"distance": float(np.linalg.norm(self.pose() - goal[:2]))}

    def is_success(self, goal: np.ndarray) -> bool:
        return self.errors(goal)["distance"] < self.tolerances["distance"]
