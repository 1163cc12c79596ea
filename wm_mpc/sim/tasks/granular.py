"""Manipulation: a Panda arm sweeps small cubes into a shape with a puck.

A goal is a shape, whichever cube is where.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wm_mpc.sim.loose_things import LooseThings
from wm_mpc.sim.stick_table import CENTRE, RIM, stick_robot

CUBES = 20
HALF = 0.009  # m; half the side of a cube
PILE = 0.1  # m; radius of the area in which the cubes lie at the start
_MASS = 0.01  # kg
_FRICTION = 0.5  # friction coefficient of the cubes
_ARM = 14  # numbers of the arm in a state
_BODY = 13  # numbers of a cube: position, orientation, velocities
_FILTER = (1, -1)  # group and mask of what moves, as PyBullet sets them
_APART = 2.9 * HALF  # m; least distance of two cubes at the start


class Granular(LooseThings):
    """See `wm_mpc.sim.task.BulletTask`. `LooseThings` brings arm, table, camera and success.

    The simulator state is: joint positions (7) and velocities (7) of the arm; of each cube,
    position (3), orientation (4, x y z w), linear velocity (3) and angular velocity (3); and the
    places of all cubes, x and y. There is no layout.
    """

    spec = stick_robot("granular")
    pose_names: tuple[str, ...] = ("middle_x", "middle_y", "spread_x", "spread_y")
    scene_pose_names: tuple[str, ...] = pose_names
    count = CUBES
    size = HALF * math.sqrt(2.0)
    tip = "puck"

    def __init__(self) -> None:
        super().__init__()
        self._cubes: list[int] = []

    def build(self, client: Any) -> None:
        super().build(client)
        shape = client.createCollisionShape(client.GEOM_BOX, halfExtents=[HALF] * 3)
        visual = client.createVisualShape(
            client.GEOM_BOX, halfExtents=[HALF] * 3, rgbaColor=(0.85, 0.2, 0.1, 1.0)
        )
        for number in range(CUBES):
            cube = client.createMultiBody(_MASS, shape, visual, _far(number))
            client.changeDynamics(
                cube, -1, lateralFriction=_FRICTION, restitution=0.0, linearDamping=0.0,
                angularDamping=0.0,
            )  # fmt: skip
            self._cubes.append(cube)

    # ------------------------------------------------------------------------------ episodes

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        """See `Task.sample_state`. The cubes lie in a round area away from the rim."""
        return self._state(rng, CENTRE + rng.uniform(-0.09, 0.09, 2), rng.uniform(0.85, 1.0))

    def _state(self, rng: np.random.Generator, middle: np.ndarray, share: float) -> np.ndarray:
        """A state at rest with the cubes around a place, and the tip somewhere beside them."""
        places: list[np.ndarray] = []
        while len(places) < CUBES:
            angle, radius = rng.uniform(-math.pi, math.pi), PILE * share * math.sqrt(rng.random())
            place = middle + radius * np.array([math.cos(angle), math.sin(angle)])
            if all(np.linalg.norm(place - other) > _APART for other in places):
                places.append(place)
        halves = rng.uniform(-math.pi, math.pi, CUBES) / 2
        bodies = [
            [*place, HALF, 0.0, 0.0, math.sin(half), math.cos(half), *np.zeros(6)]
            for place, half in zip(places, halves, strict=True)
        ]
        things = np.array(places)
        return np.concatenate(
            [self._free_tip(rng, things), np.zeros(7), np.ravel(bodies), things.ravel()]
        )

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        """See `Task.goal_at`. The goal is a round area; its `yaw` does not matter."""
        offset = np.array([x, y]) - CENTRE
        accepted = RIM - PILE - 0.02
        if not np.abs(offset).max() <= accepted:
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m is too close to the rim or outside (accepted: within "
                f"{accepted:.2f} m of ({CENTRE[0]:.2f}, {CENTRE[1]:.2f}) along each axis)"
            )
        return self._state(np.random.default_rng(0), np.array([x, y]), 0.85)

    # --------------------------------------------------------------------------------- state

    def get_state(self) -> np.ndarray:
        if self._steps == 0:  # PyBullet normalises quaternions, which changes their last digit
            return self._given.copy()
        client = self._client
        bodies = []
        for cube in self._cubes:
            place, orientation = client.getBasePositionAndOrientation(cube)
            linear, angular = client.getBaseVelocity(cube)
            bodies += [*place, *orientation, *linear, *angular]
        return np.concatenate([*self._arm.positions(), bodies, self.things().ravel()])

    def set_state(self, state: np.ndarray) -> None:
        client = self._client
        # A filter, even the same one, makes PyBullet forget a body's contacts and put it behind the
        # others. Else the solver would go through contacts in an order that depends on the past.
        for joint in range(client.getNumJoints(self._arm.body)):
            client.setCollisionFilterGroupMask(self._arm.body, joint, *_FILTER)
        for cube in self._cubes:
            client.setCollisionFilterGroupMask(cube, -1, *_FILTER)
        self._arm.reset(state[:7], state[7:_ARM])
        bodies = state[_ARM : _ARM + _BODY * CUBES].reshape(CUBES, _BODY)
        for cube, body in zip(self._cubes, bodies, strict=True):
            client.resetBasePositionAndOrientation(cube, body[:3], body[3:7])
            client.resetBaseVelocity(cube, body[7:10], body[10:])
        self._given, self._steps = np.array(state, np.float64), 0

    def things(self) -> np.ndarray:
        """Return the places of the cubes, (cubes, 2) m."""
        bases = map(self._client.getBasePositionAndOrientation, self._cubes)
        return np.array([place[:2] for place, _ in bases])

    def pose(self) -> np.ndarray:
        things = self.things()
        return np.concatenate([things.mean(0), things.std(0)])


def _far(number: int) -> tuple[float, float, float]:
    """A place in the air where no other body is."""
    return (0.5, 0.0, 5.0 + 0.1 * number)
