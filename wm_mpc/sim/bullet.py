"""The simulation engine: any `Task` in PyBullet, with a camera, episodes and restorable states.

Data collection, evaluation and the ROS bridge all step the robot through this one class, so the
physics a model is trained on is the physics it is run on.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import sys
from collections.abc import Iterator

import numpy as np
import pybullet
from pybullet_utils.bullet_client import BulletClient

from wm_mpc.sim.camera import Camera
from wm_mpc.sim.task import Task

# Independent streams of random numbers: evaluation never sees a seed used for training.
STREAMS = {"collect": 0, "evaluate": 1, "node": 2, "synthesis": 3}


def episode_rng(seed: int, stream: str, index: int) -> np.random.Generator:
    """The random generator of episode `index` of a stream (a key of `STREAMS`)."""
    return np.random.default_rng(np.random.SeedSequence([seed, STREAMS[stream], index]))


@dataclasses.dataclass(frozen=True)
class Observation:
    """What a robot sees and measures at one moment.

    Attributes:
        image: uint8 (height, width, 3) rgb.
        state: float32 (state size,), in the units of the state.
    """

    image: np.ndarray
    state: np.ndarray


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a planner may know of the goal (the observation there) and, apart, the true simulator
    state behind it (success test only)."""

    observation: Observation
    true_state: np.ndarray


def _flush_c() -> None:
    """What C code has printed goes out now, and not where stdout leads later."""
    ctypes.CDLL(None).fflush(None)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """PyBullet greets on stdout from C, where the results of our commands belong."""
    sys.stdout.flush()
    _flush_c()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        _flush_c()
        os.dup2(stdout, 1)
        os.close(stdout)


class Simulation:
    """A task running in its own PyBullet instance. Not thread-safe; one per process or thread."""

    def __init__(self, task: Task, *, gui: bool = False, goals: str | None = None) -> None:
        """goals: how goals are drawn, one of `task.goal_kinds` (default: the first). Raises
        ValueError for another, or a control period the physics rate does not fit into."""
        self.task = task
        self.goal_kind = task.goal_kinds[0] if goals is None else goals
        if self.goal_kind not in task.goal_kinds:
            raise ValueError(
                f"task {task.spec.task!r} draws no goals of kind {goals!r}; accepted: "
                f"{', '.join(task.goal_kinds)}"
            )
        with _stdout_to_stderr():
            self.client = BulletClient(pybullet.GUI if gui else pybullet.DIRECT)
        self.physics_steps = round(task.spec.control_period * task.physics_rate)
        if self.physics_steps < 1 or not np.isclose(
            self.physics_steps / task.physics_rate, task.spec.control_period
        ):
            raise ValueError(
                f"control period {task.spec.control_period} s is not a whole number of physics "
                f"steps at {task.physics_rate} Hz"
            )
        self.client.setTimeStep(1.0 / task.physics_rate)
        self.client.setGravity(0.0, 0.0, -9.81)
        task.build(self.client)
        self.camera = Camera(task.view, task.spec.image, self.client)
        self.layout = np.zeros(0)
        self.goal: Goal | None = None

    def reset(self, rng: np.random.Generator, *, goal: bool = True) -> Observation:
        """Start an episode: a random layout and start, and a goal unless told otherwise."""
        self.set_layout(self.task.sample_layout(rng))
        start = self.task.sample_state(rng)
        if goal:
            self.set_goal(self.task.sample_goal(rng, start, self.goal_kind))
        return self.restore(self.layout, start)

    def new_goal(self, rng: np.random.Generator) -> Goal:
        """Draw another goal in the present layout, from the present state."""
        present = self.task.get_state()
        goal = self.task.sample_goal(rng, present, self.goal_kind)
        self.task.set_state(present)
        return self.set_goal(goal)

    def set_layout(self, layout: np.ndarray) -> None:
        self.layout = np.asarray(layout, np.float64)
        self.task.set_layout(self.layout)

    def restore(self, layout: np.ndarray, state: np.ndarray) -> Observation:
        """Put the simulator into a recorded layout and state."""
        self.set_layout(layout)
        self.task.set_state(np.asarray(state, np.float64))
        return self.observe()

    def set_goal(self, true_state: np.ndarray) -> Goal:
        """Render the goal observation by putting the scene there for one picture."""
        present = self.task.get_state()
        self.task.set_state(true_state)
        self.goal = Goal(self.observe(), np.asarray(true_state, np.float64))
        self.task.set_state(present)
        return self.goal

    def observe(self) -> Observation:
        return Observation(self.camera.render(), self.task.measure().astype(np.float32))

    def advance(self, action: np.ndarray) -> None:
        """Apply one low-level action (clipped to its limits) for one control period."""
        limits = self.task.spec.action
        action = np.clip(np.asarray(action, np.float64), limits.low, limits.high)
        for _ in range(self.physics_steps):
            self.task.command(action)
            self.client.stepSimulation()

    def step(self, action: np.ndarray) -> Observation:
        """`advance`, then `observe`."""
        self.advance(action)
        return self.observe()

    def errors(self) -> dict[str, float]:
        """True distances to the goal. Raises RuntimeError before the first goal."""
        return self.task.errors(self._goal().true_state)

    def is_success(self) -> bool:
        return self.task.is_success(self._goal().true_state)

    def _goal(self) -> Goal:
        if self.goal is None:
            raise RuntimeError("the simulation has no goal yet; call reset() or set_goal() first")
        return self.goal

    def close(self) -> None:
        if self.client.isConnected():
            self.client.disconnect()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
