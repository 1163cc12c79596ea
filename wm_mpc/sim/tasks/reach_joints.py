"""Manipulation by joint positions: a Panda arm takes the posture that an image shows.

This is the usual interface of an arm. Actions are seven joint positions (rad), which must not jump;
the state consists of the seven joint positions. Success depends on the distance of the tip, as in
`reach`. The joint positions of the goal would reveal everything, so with `cost.state_weight` 0 a
planner uses the image alone.
"""

from __future__ import annotations

import numpy as np

from wm_mpc.sim.panda import JOINTS, MAX_SPEED
from wm_mpc.sim.reaching import HIGH, LOW, TOLERANCE, ReachingTask
from wm_mpc.sim.task import Explorer
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

MIDDLE = np.array([0.0, -0.15, 0.0, -2.0, 0.0, 1.85, 0.785])  # rad
REACH = np.array([0.5, 0.4, 0.3, 0.5, 0.3, 0.4, 0.4])  # rad; largest distance from MIDDLE
MARGIN = 0.05  # m; exploration aims so far outside the workspace
FARTHEST = 0.1  # m; exploration turns back so far outside the workspace
RATE_LIMIT = 0.6  # rad/s, for every joint; a higher rate is too fast for the weak wrist


class ReachJoints(ReachingTask):
    """See `wm_mpc.sim.task.BulletTask`.

    The simulator state is: joint positions (7), rad, and velocities (7), rad/s. There is no layout.
    """

    spec = RobotSpec(
        task="reach_joints",
        action=ActionSpec(
            names=JOINTS,
            kind="position",
            unit="rad",
            low=tuple((MIDDLE - REACH).round(6).tolist()),
            high=tuple((MIDDLE + REACH).round(6).tolist()),
            rate_limit=(RATE_LIMIT,) * len(JOINTS),
        ),
        state=StateSpec(names=JOINTS, unit=("rad",) * len(JOINTS), source="joint_states"),
        image=ImageSpec(64, 64),
        control_period=0.1,
        frame_skip=5,
    )

    floor = -0.15  # so low that no posture touches it

    def __init__(self) -> None:
        super().__init__()
        self._period_steps = round(self.spec.control_period * self.physics_rate)
        # positions (rad) and velocities (rad/s) of the joints when the control step began
        self._begin = np.zeros(len(JOINTS)), np.zeros(len(JOINTS))

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        return np.concatenate([self._posture(rng, 0.0), np.zeros(len(JOINTS))])

    def _posture(self, rng: np.random.Generator, margin: float) -> np.ndarray:
        """A random posture (7,) rad with the tip in the workspace, or at most `margin` (m) outside.

        Leaves the arm there.
        """
        while True:
            positions: np.ndarray = MIDDLE + REACH * rng.uniform(-1.0, 1.0, len(JOINTS))
            self._arm.reset(positions, np.zeros(len(JOINTS)))
            tip = self.pose()
            if ((tip > LOW - margin) & (tip < HIGH + margin)).all():
                return positions

    def outside(self, positions: np.ndarray) -> float:
        """Measure how far outside the workspace a posture brings the tip, along one axis. The arm
        stays.

        Args:
            positions: Joint positions, (7,) rad.

        Returns:
            Distance, m; 0 inside.
        """
        present = self._arm.positions()
        self._arm.reset(positions, np.zeros(len(JOINTS)))
        tip = self.pose()
        self._arm.reset(*present)
        return float(np.maximum(np.maximum(LOW - tip, tip - HIGH), 0.0).max())

    def random_posture(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a posture with the tip in or near the workspace. The arm stays.

        Args:
            rng: Source of random numbers.

        Returns:
            Joint positions, (7,) rad.
        """
        positions, velocities = self._arm.positions()
        target = self._posture(rng, MARGIN)
        self._arm.reset(positions, velocities)
        return target

    def sample_goal(self, rng: np.random.Generator, start: np.ndarray, kind: str) -> np.ndarray:
        self.set_state(start)
        tip = self.pose()
        while True:
            goal = self.sample_state(rng)
            if np.linalg.norm(self.pose() - tip) > 2 * TOLERANCE:
                return goal

    def _at_rest(self, place: np.ndarray) -> np.ndarray:
        state = super()._at_rest(place)
        # Clipping the last joint does not move the tip, because it turns the stick about itself.
        return np.concatenate([np.clip(state[:7], MIDDLE - REACH, MIDDLE + REACH), state[7:]])

    def command(self, action: np.ndarray) -> None:
        """See `Task.command`.

        From their present motion, the joints move smoothly (along a cubic in time), and arrive at
        the end of the control step.
        """
        number = self._steps % self._period_steps
        if number == 0:
            self._begin = self._arm.positions()
        position, velocity = self._begin
        period, share = self.spec.control_period, (number + 1) / self._period_steps
        way = np.clip(action - position, -MAX_SPEED * period, MAX_SPEED * period)
        coasted = period * velocity * share * (1.0 - share) ** 2
        self._arm.move(
            position + coasted + way * share**2 * (2.0 - share),
            velocity * (1.0 - share) * (1.0 - 3.0 * share)
            + way / period * share * (4.0 - 3.0 * share),
        )
        self._steps += 1

    def measure(self) -> np.ndarray:
        positions: np.ndarray = self._arm.positions()[0]
        return positions

    def explorer(self, rng: np.random.Generator) -> Explorer:
        return _Wanderer(self, rng)


class _Wanderer:
    """Goes straight to random postures, or in a random direction for a while.

    The speed varies, each action has noise, and the rate limit holds. It turns back before its tip
    is far outside the workspace: the camera hardly sees the arm there, and no plan goes there.
    """

    def __init__(self, task: ReachJoints, rng: np.random.Generator) -> None:
        self._task, self._rng = task, rng
        action = task.spec.action
        self._low, self._high = np.array(action.low), np.array(action.high)
        self._change = np.array(action.rate_limit) * task.spec.control_period
        self._last: np.ndarray | None = None  # the last command
        self._outside = 0.0  # m; how far outside the workspace the last command was
        self._remaining = 0
        self._target: np.ndarray | None = None
        self._direction = np.zeros(len(JOINTS))
        self._speed = self._noise = 0.0

    def _choose(self, share_of_postures: float = 0.7) -> None:
        rng = self._rng
        self._remaining = int(rng.integers(3, 16))
        self._noise = float(rng.choice([0.03, 0.1, 0.4]))
        self._speed = rng.uniform(0.1, 1.4)
        goes_to_posture = rng.random() < share_of_postures
        self._target = self._task.random_posture(rng) if goes_to_posture else None
        self._direction = rng.uniform(-1.2, 1.2, len(JOINTS))

    def __call__(self) -> np.ndarray:
        if self._remaining == 0:
            self._choose()
        self._remaining -= 1
        last = self._task.measure() if self._last is None else self._last
        command = self._next(last)
        farther = self._task.outside(command)
        if farther > max(FARTHEST, self._outside):
            self._choose(share_of_postures=1.0)
            command = self._next(last)
            farther = self._task.outside(command)
        self._last, self._outside = command, farther
        return command

    def _next(self, last: np.ndarray) -> np.ndarray:
        """The command (7,) rad after `last`, on the present course."""
        step = self._direction
        if self._target is not None:
            offset = (self._target - last) / self._change
            step = self._speed * offset / max(float(np.abs(offset).max()), 1.0)
        step = np.clip(step + self._rng.normal(0, self._noise, len(JOINTS)), -1.0, 1.0)
        return np.clip(last + step * self._change, self._low, self._high)
