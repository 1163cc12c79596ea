"""Bodies of navigation tasks: boxes that stand still, and a round base that slides in the plane."""

from __future__ import annotations

from typing import Any

import pybullet

Colour = tuple[float, float, float, float]


def fixed_box(
    client: Any,
    half_extents: tuple[float, float, float],
    position: tuple[float, float, float],
    colour: Colour,
    collides: bool = True,
) -> int:
    """An immovable box without friction (m); the number of its body."""
    visual = client.createVisualShape(pybullet.GEOM_BOX, halfExtents=half_extents, rgbaColor=colour)
    shape = (
        client.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half_extents) if collides else -1
    )
    body: int = client.createMultiBody(0.0, shape, visual, position)
    client.changeDynamics(body, -1, lateralFriction=0.0, restitution=0.0)
    return body


def sliding_base(client: Any, radius: float, height: float, mass: float) -> int:
    """A cylinder (m, kg) on two crossed prismatic joints, 0 along x and 1 along y, both within
    2 m; the number of its body."""
    shape = client.createCollisionShape(pybullet.GEOM_CYLINDER, radius=radius, height=2 * height)
    visual = client.createVisualShape(
        pybullet.GEOM_CYLINDER, radius=radius, length=2 * height, rgbaColor=(0.9, 0.25, 0.1, 1)
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
        linkJointTypes=[pybullet.JOINT_PRISMATIC, pybullet.JOINT_PRISMATIC],
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
