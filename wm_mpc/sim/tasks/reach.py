"""Manipulation without contact: a Panda arm brings its tip to a place in space, seen from the side.

After `FetchReach` (Plappert et al. 2018, arXiv 1802.09464), with the place shown by a picture. What
is measured are joint velocities, so the arm itself is part of the scene that the camera sees, and
its depth must be read from perspective and posture. The world frame is the arm's base frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim.panda import JOINTS, PandaStick
from wm_mpc.sim.planar import fixed_box
from wm_mpc.sim.task import CameraView, Explorer
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

LOW = np.array([0.35, -0.25, 0.06])  # m, the tip stays between these corners
HIGH = np.array([0.58, 0.25, 0.38])
MAX_SPEED = 0.25  # m/s per axis
TOLERANCE = 0.04  # m
_DRIVE_EVERY = 6  # physics steps between two updates of the joint speeds


class Reach:
    """See `wm_mpc.sim.task.Task`. Simulator state: joint positions (7) and velocities (7); no
    layout."""

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
    view = CameraView(
        position=(1.05, -0.85, 0.75), target=(0.36, 0.02, 0.36), up=(0.0, 0.0, 1.0),
        field_of_view=48.0,
    )  # fmt: skip
    physics_rate = 240.0
    pose_names: tuple[str, ...] = ("tip_x", "tip_y", "tip_z")
    scene_pose_names: tuple[str, ...] = ()
    goal_kinds: tuple[str, ...] = ("random",)
    tolerances: Mapping[str, float] = MappingProxyType({"distance": TOLERANCE})

    def __init__(self) -> None:
        self._client: Any = None
        self._arm: Any = None
        self._steps = 0  # physics steps since the state was set

    def build(self, client: Any) -> None:
        self._client = client
        client.setPhysicsEngineParameter(deterministicOverlappingPairs=1)
        fixed_box(client, (0.8, 0.8, 0.02), (0.4, 0.0, -0.02), (0.8, 0.8, 0.78, 1.0))
        self._arm = PandaStick(client, ball=True)

    def sample_layout(self, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(0)

    def set_layout(self, layout: np.ndarray) -> None:
        return

    def _at_rest(self, place: np.ndarray) -> np.ndarray:
        x, y, z = place.tolist()
        return np.concatenate([self._arm.posture_at(x, y, z), np.zeros(len(JOINTS))])

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        return self._at_rest(rng.uniform(LOW, HIGH))

    def sample_goal(self, rng: np.random.Generator, start: np.ndarray, kind: str) -> np.ndarray:
        self.set_state(start)
        tip = self.pose()
        while True:
            place = rng.uniform(LOW, HIGH)
            if np.linalg.norm(place - tip) > 2 * TOLERANCE:
                return self._at_rest(place)

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        place = np.array([x, y, (LOW[2] + HIGH[2]) / 2])
        if not ((place >= LOW) & (place <= HIGH)).all():  # true for NaN, too
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m is out of reach (accepted: x from {LOW[0]} to {HIGH[0]}"
                f", y from {LOW[1]} to {HIGH[1]}; the height is {place[2]:.2f})"
            )
        present = self.get_state()
        goal = self._at_rest(place)
        self.set_state(present)
        return goal

    def get_state(self) -> np.ndarray:
        return np.concatenate(self._arm.positions())

    def set_state(self, state: np.ndarray) -> None:
        self._arm.reset(state[:7], state[7:14])
        self._steps = 0

    def command(self, action: np.ndarray) -> None:
        if self._steps % _DRIVE_EVERY == 0:
            # Nearer to a limit than one control period, the tip slows down.
            tip, period = self._arm.tip(), self.spec.control_period
            velocity = np.clip(action, (LOW - tip) / period, (HIGH - tip) / period)
            self._arm.drive(velocity)
        self._steps += 1

    def measure(self) -> np.ndarray:
        velocities: np.ndarray = self._arm.positions()[1]
        return velocities

    def joints(self) -> dict[str, tuple[float, float]]:
        positions, velocities = self._arm.positions()
        rows = zip(JOINTS, positions.tolist(), velocities.tolist(), strict=True)
        return {name: (position, velocity) for name, position, velocity in rows}

    def pose(self) -> np.ndarray:
        tip: np.ndarray = self._arm.tip()
        return tip

    def errors(self, goal: np.ndarray) -> dict[str, float]:
        present = self.get_state()
        steps = self._steps
        self._arm.reset(goal[:7], goal[7:14])
        place = self.pose()
        self._arm.reset(present[:7], present[7:14])
        self._steps = steps
        return {"distance": float(np.linalg.norm(self.pose() - place))}

    def is_success(self, goal: np.ndarray) -> bool:
        return self.errors(goal)["distance"] < self.tolerances["distance"]

    def explorer(self, rng: np.random.Generator) -> Explorer:
        return _Wanderer(self, rng)


class _Wanderer:
    """Moves to random places, or in a random direction for a while, with noise on every step."""

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
