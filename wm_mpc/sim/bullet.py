"""The simulation engine: any `Task` in PyBullet, with a camera, episodes and restorable states.

Data collection, evaluation and the ROS node all use this class. So a model runs on the same physics
that it was trained on.
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

# Independent streams of random numbers. Evaluation never uses the seeds of training.
STREAMS = {"collect": 0, "evaluate": 1, "node": 2, "synthesis": 3}


def episode_rng(seed: int, stream: str, index: int) -> np.random.Generator:
    """Return the random generator of one episode.

    Args:
        seed: Seed of all streams.
        stream: A key of `STREAMS`.
        index: Number of the episode.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, STREAMS[stream], index]))


@dataclasses.dataclass(frozen=True)
class Observation:
    """The image and the measured state at one moment.

    Attributes:
        image: uint8 (height, width, 3) rgb.
        state: float32 (state size,), each entry in its unit.
    """

    image: np.ndarray
    state: np.ndarray


@dataclasses.dataclass(frozen=True)
class Goal:
    """A goal, as a planner may see it and as it is.

    Attributes:
        observation: Observation at the goal, for the planner.
        true_state: Simulator state at the goal, for the success test only.
    """

    observation: Observation
    true_state: np.ndarray


def _flush_c() -> None:
    """Write out what C code has printed, before stdout is redirected."""
    ctypes.CDLL(None).fflush(None)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send PyBullet's greeting to stderr, because stdout is for the results of our commands."""
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
    """A task running in its own PyBullet instance.

    Not thread-safe: use one per process or thread.

    Args:
        task: The task.
        gui: Whether to open PyBullet's window.
        goals: How to draw goals, one of `task.goal_kinds`; by default the first.

    Attributes:
        task: The task.
        goal_kind: How goals are drawn.
        client: PyBullet client.
        physics_steps: Physics steps in a control step.
        camera: The camera.
        layout: The present layout.
        goal: The present goal; None before the first.

    Raises:
        ValueError: `goals` is not accepted, or the control period is not a whole number of physics
            steps.
    """

    def __init__(self, task: Task, *, gui: bool = False, goals: str | None = None) -> None:

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
        """Start an episode with a random layout and start.

        Args:
            rng: Source of random numbers.
            goal: Whether to draw a goal, too.
        """
        self.set_layout(self.task.sample_layout(rng))
        start = self.task.sample_state(rng)
        if goal:
            self.set_goal(self.task.sample_goal(rng, start, self.goal_kind))
        return self.restore(self.layout, start)

    def new_goal(self, rng: np.random.Generator) -> Goal:
        """Draw another goal in the present layout. The present state stays.

        Args:
            rng: Source of random numbers.
        """
        present = self.task.get_state()
        goal = self.task.sample_goal(rng, present, self.goal_kind)
        self.task.set_state(present)
        return self.set_goal(goal)

    def set_layout(self, layout: np.ndarray) -> None:
        """Build a layout from `Task.sample_layout`."""
        self.layout = np.asarray(layout, np.float64)
        self.task.set_layout(self.layout)

    def restore(self, layout: np.ndarray, state: np.ndarray) -> Observation:
        """Put the simulator into a recorded layout and state.

        Args:
            layout: From `Task.sample_layout`.
            state: From `Task.get_state`.
        """
        self.set_layout(layout)
        self.task.set_state(np.asarray(state, np.float64))
        return self.observe()

    def set_goal(self, true_state: np.ndarray) -> Goal:
        """Set a goal, and render its observation. The present state stays.

        Args:
            true_state: Simulator state of the goal.
        """
        present = self.task.get_state()
        self.task.set_state(true_state)
        self.goal = Goal(self.observe(), np.asarray(true_state, np.float64))
        self.task.set_state(present)
        return self.goal

    def observe(self) -> Observation:
        """Return the present observation."""
        return Observation(self.camera.render(), self.task.measure().astype(np.float32))

    def advance(self, action: np.ndarray) -> None:
        """Apply one action for one control step.

        Args:
            action: (action size,), in the action's unit; clipped to its limits.
        """
        limits = self.task.spec.action
        action = np.clip(np.asarray(action, np.float64), limits.low, limits.high)
        for _ in range(self.physics_steps):
            self.task.command(action)
            self.client.stepSimulation()

    def step(self, action: np.ndarray) -> Observation:
        """Call `advance`, then `observe`.

        Args:
            action: See `advance`.
        """
        self.advance(action)
        return self.observe()

    def errors(self) -> dict[str, float]:
        """Return the true distances to the goal by name, m or rad.

        Raises:
            RuntimeError: There is no goal yet.
        """
        return self.task.errors(self._goal().true_state)

    def is_success(self) -> bool:
        """Whether the goal is reached.

        Raises:
            RuntimeError: There is no goal yet.
        """
        return self.task.is_success(self._goal().true_state)

    def _goal(self) -> Goal:
        if self.goal is None:
            raise RuntimeError("the simulation has no goal yet; call reset() or set_goal() first")
        return self.goal

    def close(self) -> None:
        """Stop PyBullet. May be called more than once."""
        if self.client.isConnected():
            self.client.disconnect()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
