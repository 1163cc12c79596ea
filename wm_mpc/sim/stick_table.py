"""Common parts of tasks in which a Panda arm pushes things over a table with a stick.

A rim keeps things on the table. The tip of the stick moves in a plane, inside a square workspace.
Joint velocity control follows its commanded velocity. The world frame is the arm's base frame: x
forward, y to the left, z up.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wm_mpc.sim.panda import JOINTS, PandaStick, robot_description
from wm_mpc.sim.task import CameraView, Explorer
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

CENTRE = np.array([0.51, 0.0])  # m; centre of the workspace
REACH = 0.22  # m; half side of the square around the centre in which the tip stays
RIM = 0.25  # m; inner half width of the rim
MAX_SPEED = 0.25  # m/s per axis
GOAL_STEPS = 25  # control steps from a start to its `near` goal
_TIP_HEIGHT = 0.015  # m
_FRICTION = 0.5  # friction coefficient of the table
_PARKED = (0.30, 0.21)  # m; place of the tip where the arm hides nothing on the table
_DRIVE_EVERY = 6  # physics steps between two updates of the joint speeds


def stick_robot(task: str) -> RobotSpec:
    """Describe the arm as the robot of a task.

    Args:
        task: Name of the task.
    """
    return RobotSpec(
        task=task,
        action=ActionSpec(
            names=("vx", "vy"),
            kind="velocity",
            unit="m/s",
            low=(-MAX_SPEED, -MAX_SPEED),
            high=(MAX_SPEED, MAX_SPEED),
        ),
        state=StateSpec(names=("tool_x", "tool_y"), unit=("m", "m"), source="joint_states"),
        image=ImageSpec(64, 64),
        control_period=0.1,
        frame_skip=5,
    )


class StickTable:
    """The common part of pushing tasks; see `wm_mpc.sim.task.BulletTask`.

    There is no layout: episodes differ only in the arm and the things on the table. A task adds the
    things. Its `set_state` calls `_begin` and its `get_state` asks `_given`.

    Attributes:
        explorations: How often a near goal is drawn from the start itself; see `sample_goal`.
        tip: What is at the tip of the stick; see `PandaStick`.
    """

    engine = "bullet"
    tip = "bare"
    explorations: float = math.inf
    spec: RobotSpec
    view = CameraView(
        position=(1.19, 0.0, 1.2), target=(0.5, 0.0, 0.02), up=(-1.0, 0.0, 0.0),
        field_of_view=24.0,
    )  # fmt: skip
    physics_rate = 240.0
    goal_kinds: tuple[str, ...] = ("near", "random")

    def __init__(self) -> None:
        self._client: Any = None
        self._arm: Any = None
        self._steps = 0  # physics steps since the state was set
        self._period_steps = round(self.spec.control_period * self.physics_rate)
        self._given = np.zeros(0)  # the state that was set

    def build(self, client: Any) -> None:
        """See `Task.build`. A task adds its things after this."""
        self._client = client
        client.setPhysicsEngineParameter(deterministicOverlappingPairs=1)
        table = (0.8, 0.8, 0.78, 1.0)
        self._box((0.45, 0.45, 0.02), (CENTRE[0], 0.0, -0.02), table, _FRICTION)
        rim = (0.35, 0.36, 0.4, 1.0)
        for side in (-1, 1):
            offset = side * (RIM + 0.01)
            self._box((0.01, RIM + 0.02, 0.015), (CENTRE[0] + offset, 0.0, 0.015), rim, 0.2)
            self._box((RIM + 0.02, 0.01, 0.015), (CENTRE[0], offset, 0.015), rim, 0.2)
        self._arm = PandaStick(client, _TIP_HEIGHT, tip=self.tip)
        client.changeDynamics(self._arm.body, self._arm.stick, lateralFriction=0.3)

    def _box(self, half: tuple[float, ...], position: Any, colour: Any, friction: float) -> None:
        client = self._client
        body = client.createMultiBody(
            0.0,
            client.createCollisionShape(client.GEOM_BOX, halfExtents=half),
            client.createVisualShape(client.GEOM_BOX, halfExtents=half, rgbaColor=colour),
            position,
        )
        client.changeDynamics(body, -1, lateralFriction=friction, restitution=0.0)

    def sample_layout(self, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(0)

    def set_layout(self, layout: np.ndarray) -> None:
        """Do nothing: episodes differ only in the arm and the things on the table."""

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError

    def sample_goal(self, rng: np.random.Generator, start: np.ndarray, kind: str) -> np.ndarray:
        """See `Task.sample_goal`.

        A `near` goal is where the exploration policy is after `GOAL_STEPS`; a
        `random` goal is another start. If the start is at all of the first `explorations` near
        goals, the last exploration goes on.
        """
        goal, count = start, 0
        while True:
            begin = start if count < self.explorations else goal
            goal = self.sample_state(rng) if kind == "random" else self._explored(rng, begin)
            count += 1
            self.set_state(start)
            if not self.is_success(goal):
                return goal

    def _explored(self, rng: np.random.Generator, start: np.ndarray) -> np.ndarray:
        self.set_state(start)
        explore = self.explorer(rng)
        for _ in range(GOAL_STEPS):
            action = np.clip(explore(), self.spec.action.low, self.spec.action.high)
            for _ in range(self._period_steps):
                self.command(action)
                self._client.stepSimulation()
        return self.get_state()

    def is_success(self, goal: np.ndarray) -> bool:
        raise NotImplementedError

    def explorer(self, rng: np.random.Generator) -> Explorer:
        raise NotImplementedError

    def get_state(self) -> np.ndarray:
        raise NotImplementedError

    def set_state(self, state: np.ndarray) -> None:
        raise NotImplementedError

    def command(self, action: np.ndarray) -> None:
        if self._steps == self._period_steps:
            # Find contacts again in every control step, so that a restored state continues exactly
            # as the recorded one did.
            self.set_state(self.get_state())
        if self._steps % _DRIVE_EVERY == 0:
            # Slow the tip down if it would reach the limit within one control step.
            room = REACH - (self._arm.tip()[:2] - CENTRE) * np.array([[1], [-1]])
            velocity = np.minimum(action, room[0] / self.spec.control_period)
            velocity = np.maximum(velocity, -room[1] / self.spec.control_period)
            self._arm.drive(velocity)
        self._steps += 1

    def measure(self) -> np.ndarray:
        tip: np.ndarray = self._arm.tip()[:2]
        return tip

    def park(self) -> int:
        """Put the arm where it hides nothing on the table, and return the number of its body."""
        self._arm.reset(self._arm.posture_at(*_PARKED), np.zeros(len(JOINTS)))
        body: int = self._arm.body
        return body

    def robot_description(self) -> str:
        return robot_description(self.tip)

    def joints(self) -> dict[str, tuple[float, float]]:
        positions, velocities = self._arm.positions()
        rows = zip(JOINTS, positions.tolist(), velocities.tolist(), strict=True)
        return {name: (position, velocity) for name, position, velocity in rows}
