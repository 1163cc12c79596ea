"""Manipulation: a Panda arm lays a rope into a shape with a stick.

The rope is a chain of capsules with hinges, free to lie anywhere on the table. Its two ends have
marks of different colours. A goal is a shape, whichever end is where.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wm_mpc.sim.loose_things import LooseThings
from wm_mpc.sim.stick_table import CENTRE, RIM, stick_robot

LINKS = 12
LINK = 0.026  # m; length of a link, from hinge to hinge
RADIUS = 0.01  # m
_LINK_MASS = 0.02  # kg
_FRICTION = 0.5  # friction coefficient of the rope
_STIFFNESS = 0.002  # N m; the torque that a hinge holds
_BEND = 0.5  # rad; spread of the angle between two links at the start
_HIGHEST = 1.3  # rad; largest angle between two links
_ARM = 14  # numbers of the arm in a state
_BODY = 13  # numbers of the first link: position, orientation, velocities


class Rope(LooseThings):
    """See `wm_mpc.sim.task.BulletTask`. `LooseThings` brings arm, table, camera and success.

    The simulator state is: joint positions (7) and velocities (7) of the arm; of the first link,
    position (3), orientation (4, x y z w), linear velocity (3) and angular velocity (3); angles
    and angular velocities of the hinges; and the places of all links, x and y. There is no layout.
    """

    spec = stick_robot("rope")
    pose_names: tuple[str, ...] = ("red_x", "red_y", "middle_x", "middle_y", "yellow_x", "yellow_y")
    scene_pose_names: tuple[str, ...] = pose_names
    count = LINKS
    size = LINK / 2 + RADIUS

    def __init__(self) -> None:
        super().__init__()
        self._rope = -1
        self._hinges = list(range(LINKS - 1))

    def build(self, client: Any) -> None:
        super().build(client)
        self._rope = self._build_rope()

    def _build_rope(self) -> int:
        client = self._client
        lying = client.getQuaternionFromEuler((0.0, math.pi / 2, 0.0))
        size = {"radius": RADIUS, "collisionFrameOrientation": lying}
        first = client.createCollisionShape(client.GEOM_CAPSULE, height=LINK, **size)
        half = (LINK / 2, 0.0, 0.0)
        other = client.createCollisionShape(
            client.GEOM_CAPSULE, height=LINK, collisionFramePosition=half, **size
        )

        def seen(number: int, at: tuple[float, ...]) -> int:
            colour = (0.15, 0.55, 0.3, 1.0)
            if number < 2:
                colour = (0.85, 0.15, 0.1, 1.0)
            elif number >= LINKS - 2:
                colour = (0.95, 0.75, 0.05, 1.0)
            visual: int = client.createVisualShape(
                client.GEOM_CAPSULE, radius=RADIUS, length=LINK, rgbaColor=colour,
                visualFramePosition=at, visualFrameOrientation=lying,
            )  # fmt: skip
            return visual

        others, still = LINKS - 1, (0.0, 0.0, 0.0, 1.0)
        body: int = client.createMultiBody(
            baseMass=_LINK_MASS,
            baseCollisionShapeIndex=first,
            baseVisualShapeIndex=seen(0, (0.0, 0.0, 0.0)),
            basePosition=(CENTRE[0], 0.0, RADIUS),
            linkMasses=[_LINK_MASS] * others,
            linkCollisionShapeIndices=[other] * others,
            linkVisualShapeIndices=[seen(number, half) for number in range(1, LINKS)],
            linkPositions=[half] + [(LINK, 0.0, 0.0)] * (others - 1),
            linkOrientations=[still] * others,
            linkInertialFramePositions=[half] * others,
            linkInertialFrameOrientations=[still] * others,
            linkParentIndices=list(range(others)),
            linkJointTypes=[client.JOINT_REVOLUTE] * others,
            linkJointAxis=[(0, 0, 1)] * others,
            flags=client.URDF_USE_SELF_COLLISION,
        )
        for link in range(-1, others):
            client.changeDynamics(
                body, link, lateralFriction=_FRICTION, restitution=0.0, linearDamping=0.0,
                angularDamping=0.0, jointLowerLimit=-_HIGHEST, jointUpperLimit=_HIGHEST,
            )  # fmt: skip
            for near in range(link + 1, min(link + 3, others)):  # neighbours overlap when bent
                client.setCollisionFilterPair(body, body, link, near, 0)
        client.setJointMotorControlArray(
            body, list(range(others)), client.VELOCITY_CONTROL, targetVelocities=[0.0] * others,
            forces=[_STIFFNESS] * others,
        )  # fmt: skip
        return body

    # ------------------------------------------------------------------------------ episodes

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        """See `Task.sample_state`. The rope lies in a random curve away from the rim."""
        while True:
            bends = np.clip(rng.normal(0.0, _BEND, LINKS - 1), -_HIGHEST, _HIGHEST)
            heading, middle = rng.uniform(-math.pi, math.pi), CENTRE + rng.uniform(-0.1, 0.1, 2)
            headings = heading + np.concatenate([[0.0], np.cumsum(bends)])
            steps = LINK * np.column_stack([np.cos(headings), np.sin(headings)])
            ends = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)])
            links = (ends[:-1] + ends[1:]) / 2
            links += middle - links.mean(0)
            apart = np.linalg.norm(links[:, None] - links[None], axis=-1)
            apart += 10.0 * (np.abs(np.subtract.outer(range(LINKS), range(LINKS))) <= 2)
            if np.abs(links - CENTRE).max() < RIM - 0.06 and apart.min() > 3 * RADIUS:
                return self._state(rng, links, heading, bends)

    def _state(
        self, rng: np.random.Generator, links: np.ndarray, heading: float, bends: np.ndarray
    ) -> np.ndarray:
        """A state at rest with the rope in a shape, and the tip somewhere beside it."""
        return np.concatenate(
            [
                self._free_tip(rng, links), np.zeros(7),
                [*links[0], RADIUS, 0.0, 0.0, math.sin(heading / 2), math.cos(heading / 2)],
                np.zeros(6), bends, np.zeros(LINKS - 1), links.ravel(),
            ]
        )  # fmt: skip

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        """See `Task.goal_at`. The goal is the straight rope with its middle at the pose."""
        along = np.array([math.cos(yaw), math.sin(yaw)])
        offsets = LINK * (np.arange(LINKS) - (LINKS - 1) / 2)
        links = np.array([x, y]) + offsets[:, None] * along
        if not np.abs(links - CENTRE).max() <= RIM - 0.02:
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m, {yaw:.2f} rad lies on the rim or outside (accepted: "
                f"a rope {LINKS * LINK:.2f} m long within {RIM - 0.02:.2f} m of "
                f"({CENTRE[0]:.2f}, {CENTRE[1]:.2f}) along each axis)"
            )
        return self._state(np.random.default_rng(0), links, yaw, np.zeros(LINKS - 1))

    # --------------------------------------------------------------------------------- state

    def get_state(self) -> np.ndarray:
        if self._steps == 0:  # PyBullet normalises quaternions, which changes their last digit
            return self._given.copy()
        positions, velocities = self._arm.positions()
        place, orientation = self._client.getBasePositionAndOrientation(self._rope)
        linear, angular = self._client.getBaseVelocity(self._rope)
        hinges = self._client.getJointStates(self._rope, self._hinges)
        return np.concatenate(
            [
                positions, velocities, place, orientation, linear, angular,
                [row[0] for row in hinges], [row[1] for row in hinges], self.things().ravel(),
            ]
        )  # fmt: skip

    def set_state(self, state: np.ndarray) -> None:
        client, rope = self._client, self._rope
        # Move the rope far away for a moment, so that PyBullet forgets earlier contacts.
        client.resetBasePositionAndOrientation(rope, (0.5, 0.0, 5.0), (0, 0, 0, 1))
        client.performCollisionDetection()
        self._arm.reset(state[:7], state[7:_ARM])
        body = state[_ARM : _ARM + _BODY]
        bends, turning = np.split(state[_ARM + _BODY : _ARM + _BODY + 2 * (LINKS - 1)], 2)
        for hinge, bend, speed in zip(self._hinges, bends, turning, strict=True):
            client.resetJointState(rope, hinge, bend, speed)
        client.resetBasePositionAndOrientation(rope, body[:3], body[3:7])
        client.resetBaseVelocity(rope, body[7:10], body[10:])
        self._given, self._steps = np.array(state, np.float64), 0

    def things(self) -> np.ndarray:
        """Return the middles of all links, (links, 2) m."""
        first, _ = self._client.getBasePositionAndOrientation(self._rope)
        others = self._client.getLinkStates(self._rope, self._hinges, computeForwardKinematics=True)
        return np.array([first[:2], *(state[0][:2] for state in others)])

    def pose(self) -> np.ndarray:
        links = self.things()
        return np.concatenate([links[0], links[LINKS // 2 - 1 : LINKS // 2 + 1].mean(0), links[-1]])
