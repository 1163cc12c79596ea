"""Manipulation without contact: a Panda arm brings its tip to a place in space, seen from the side.

After `FetchReach` (Plappert et al. 2018, arXiv 1802.09464), but an image shows the place. The robot
measures joint velocities. So the arm is part of the scene that the camera sees, and a planner must
read its depth from perspective and posture.
"""

from __future__ import annotations

import numpy as np

from wm_mpc.sim.panda import JOINTS
from wm_mpc.sim.reaching import HIGH, LOW, TOLERANCE, ReachingTask
from wm_mpc.sim.task import Explorer
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

MAX_SPEED = 0.25  # m/s per axis
_DRIVE_EVERY = 6  # physics steps between two updates of the joint speeds


class Reach(ReachingTask):
    """See `wm_mpc.sim.task.BulletTask`.

    The simulator state is: joint positions (7), rad, and velocities (7), rad/s. There is no layout.
    """

    spec = RobotSpec(
        task="reach",
        action=ActionSpec(
            names=("vx", "vy", "vz"),
            kind="velocity",
            unit="m/s",
            low=(-MAX_SPEED,) * 3,
            high=(MAX_SPEED,) * 3,
        ),
        state=StateSpec(
            names=tuple(f"{joint}/velocity" for joint in JOINTS),
            unit=("rad/s",) * len(JOINTS),
            source="joint_states",
        ),
        image=ImageSpec(64, 64),
        control_period=0.1,
        frame_skip=5,
    )

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        return self._at_rest(rng.uniform(LOW, HIGH))

    def sample_goal(self, rng: np.random.Generator, start: np.ndarray, kind: str) -> np.ndarray:
        self.set_state(start)
        tip = self.pose()
        while True:
            place = rng.uniform(LOW, HIGH)
            if np.linalg.norm(place - tip) > 2 * TOLERANCE:
                return self._at_rest(place)

    def command(self, action: np.ndarray) -> None:
        if self._steps % _DRIVE_EVERY == 0:
            # Slow the tip down if it would reach a limit within one control step.
            tip, period = self._arm.tip(), self.spec.control_period
            velocity = np.clip(action, (LOW - tip) / period, (HIGH - tip) / period)
            self._arm.drive(velocity)
        self._steps += 1

    def measure(self) -> np.ndarray:
        velocities: np.ndarray = self._arm.positions()[1]
        return velocities

    def explorer(self, rng: np.random.Generator) -> Explorer:
        return _Wanderer(self, rng)


class _Wanderer:
    """Moves to random places, or in a random direction for a while. Each action has noise."""

    def __init__(self, task: Reach, rng: np.random.Generator) -> None:
        self._task, self._rng = task, rng
        self._remaining = 0
        self._target: np.ndarray | None = None
        self._velocity = np.zeros(3)
        self._speed = self._noise = 0.0

    def __call__(self) -> np.ndarray:
        rng = self._rng
        if self._remaining == 0:
            self._remaining = int(rng.integers(3, 16))
            self._noise = float(rng.choice([0.03, 0.2, 0.6])) * MAX_SPEED
            self._speed = rng.uniform(0.3, 1.4) * MAX_SPEED
            self._target = rng.uniform(LOW, HIGH) if rng.random() < 0.7 else None
            self._velocity = rng.uniform(-1.2, 1.2, size=3) * MAX_SPEED
        self._remaining -= 1
        velocity = self._velocity
        if self._target is not None:
            offset = self._target - self._task.pose()
            velocity = offset / max(float(np.linalg.norm(offset)), 0.05) * self._speed
        return np.clip(velocity + rng.normal(0, self._noise, 3), -MAX_SPEED, MAX_SPEED)
