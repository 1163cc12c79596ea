"""The engine PyBullet: any `BulletTask`, with a camera, episodes and restorable states.

Nothing else in this package imports PyBullet. Tasks get its constants from their client.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pybullet
import pybullet_data
from pybullet_utils.bullet_client import BulletClient

from wm_mpc.sim.engine import EngineError, Goal, GoalKeeper, Observation, goal_kind_of
from wm_mpc.sim.engines.bullet_camera import Camera
from wm_mpc.sim.task import BulletTask, CameraView, Explorer, check_explorer


def data_folder() -> str:
    """Return the folder of the robots that PyBullet ships."""
    return str(pybullet_data.getDataPath())


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


class _Client(BulletClient):
    """A client that does nothing while Python ends: pybullet's names are gone by then, and each
    client that is still open would print an error."""

    def __del__(self, is_ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_ending():
            super().__del__()


class BulletSimulation(GoalKeeper):
    """A task in its own PyBullet instance; see `wm_mpc.sim.engine.Simulation`.

    Args:
        task: The task.
        gui: Whether to open PyBullet's window.
        goals: How to draw goals, one of `task.goal_kinds`; by default the first.

    Attributes:
        task: The task.
        client: PyBullet client.
        physics_steps: Physics steps in a control step.
        camera: The camera; of several, the first one.
        cameras: All cameras.

    Raises:
        EngineError: `goals` is not accepted, the control period is not a whole number of physics
            steps, or a camera has no place.
    """

    is_restorable = True
    is_over = False
    can_step = True

    def __init__(self, task: BulletTask, *, gui: bool = False, goals: str | None = None) -> None:
        self.task = task
        self.goal_kind = goal_kind_of(task, goals)
        with _stdout_to_stderr():
            self.client = _Client(pybullet.GUI if gui else pybullet.DIRECT)
        self.physics_steps = round(task.spec.control_period * task.physics_rate)
        if self.physics_steps < 1 or not np.isclose(
            self.physics_steps / task.physics_rate, task.spec.control_period
        ):
            raise EngineError(
                f"control period {task.spec.control_period} s is not a whole number of physics "
                f"steps at {task.physics_rate} Hz"
            )
        self.client.setTimeStep(1.0 / task.physics_rate)
        self.client.setGravity(0.0, 0.0, -9.81)
        task.build(self.client)
        images, views = [each.image for each in task.spec.images], self.views
        if len(views) != len(images):
            raise EngineError(
                f"task {task.spec.task!r} has {len(images)} cameras, but view and further_views "
                f"say where {len(views)} stand"
            )
        self.cameras = [
            Camera(view, image, self.client) for view, image in zip(views, images, strict=True)
        ]
        self.camera = self.cameras[0]
        self.layout = np.zeros(0)

    def reset(self, rng: np.random.Generator, *, goal: bool = True) -> Observation:
        """See `Simulation.reset`. The layout is random, too."""
        self.set_layout(self.task.sample_layout(rng))
        start = self.task.sample_state(rng)
        if goal:
            self.set_goal(self.task.sample_goal(rng, start, self.goal_kind))
        return self.restore(self.layout, start)

    def new_goal(self, rng: np.random.Generator) -> Goal:
        """See `Simulation.new_goal`. The layout stays."""
        present = self.task.get_state()
        goal = self.task.sample_goal(rng, present, self.goal_kind)
        self.task.set_state(present)
        return self.set_goal(goal)

    def set_layout(self, layout: np.ndarray) -> None:
        """Build a layout from `Task.sample_layout`."""
        self.layout = np.asarray(layout, np.float64)
        self.task.set_layout(self.layout)

    def state(self) -> np.ndarray:
        """See `Simulation.state`."""
        return self.task.get_state()

    def put(self, layout: np.ndarray, state: np.ndarray) -> None:
        """See `Simulation.put`."""
        self.set_layout(layout)
        self.task.set_state(np.asarray(state, np.float64))

    def restore(self, layout: np.ndarray, state: np.ndarray) -> Observation:
        """See `Simulation.restore`."""
        self.put(layout, state)
        return self.observe()

    def set_goal(self, true_state: np.ndarray) -> Goal:
        """See `Simulation.set_goal`."""
        present = self.task.get_state()
        self.task.set_state(true_state)
        self.goal = Goal(self.observe(), np.asarray(true_state, np.float64), self.task.pose())
        self.task.set_state(present)
        return self.goal

    def goal_shown(self) -> float | None:
        """See `Simulation.goal_shown`. None for a task without `park`, and of several cameras."""
        goal, park = self._present_goal(), getattr(self.task, "park", None)
        if park is None or len(self.cameras) > 1:
            return None
        present = self.task.get_state()
        self.task.set_state(goal.true_state)
        seen = self.camera.bodies()
        robot = park()
        alone = self.camera.bodies()
        self.task.set_state(present)
        numbers = [self.client.getBodyUniqueId(k) for k in range(self.client.getNumBodies())]
        things = [
            body for body in numbers
            if body != robot and self.client.getDynamicsInfo(body, -1)[0] > 0.0
        ]  # fmt: skip
        wanted = np.isin(alone, things)
        return float((seen[wanted] == alone[wanted]).mean()) if wanted.any() else None

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        """See `Simulation.goal_at`."""
        return self.task.goal_at(x, y, yaw)

    def observe(self) -> Observation:
        """See `Simulation.observe`."""
        picture = self.task.spec.image.joined([camera.render() for camera in self.cameras])
        return Observation(picture, self.task.measure().astype(np.float32))

    def advance(self, action: np.ndarray) -> None:
        """See `Simulation.advance`."""
        limits = self.task.spec.action
        action = np.clip(np.asarray(action, np.float64), limits.low, limits.high)
        for _ in range(self.physics_steps):
            self.task.command(action)
            self.client.stepSimulation()

    def step(self, action: np.ndarray) -> Observation:
        """See `Simulation.step`."""
        self.advance(action)
        return self.observe()

    def measure(self) -> np.ndarray:
        """See `Simulation.measure`."""
        return self.task.measure()

    def joints(self) -> dict[str, tuple[float, float]]:
        """See `Simulation.joints`."""
        return self.task.joints()

    def pose(self) -> np.ndarray:
        """See `Simulation.pose`."""
        return self.task.pose()

    def errors(self) -> dict[str, float]:
        """See `Simulation.errors`."""
        return self.task.errors(self._present_goal().true_state)

    def is_success(self) -> bool:
        """See `Simulation.is_success`."""
        return self.task.is_success(self._present_goal().true_state)

    def explorer(self, rng: np.random.Generator, name: str = "") -> Explorer:
        """See `Simulation.explorer`."""
        check_explorer(self.task, name)
        if name:
            explorer: Explorer = self.task.further_explorer(rng, name)  # type: ignore[attr-defined]
            return explorer
        return self.task.explorer(rng)

    @property
    def view(self) -> CameraView:
        """Where the camera stands; of several, the first one."""
        return self.task.view

    @property
    def views(self) -> tuple[CameraView, ...]:
        """Where each camera stands."""
        return (self.task.view, *getattr(self.task, "further_views", ()))

    def intrinsics(self, camera: int = 0) -> tuple[float, ...]:
        """See `Simulation.intrinsics`."""
        return self.cameras[camera].intrinsics()

    def bare_frames(self, rng: np.random.Generator, count: int) -> float:
        """See `Simulation.bare_frames`. A frame is `stepSimulation` for one control step, and one
        `getCameraImage` with each of the task's cameras."""
        self.set_layout(self.task.sample_layout(rng))
        self.task.set_state(self.task.sample_state(rng))
        self.advance(self.task.explorer(rng)())
        client: int = self.client._client
        steps, cameras = range(self.physics_steps), [each.settings for each in self.cameras]
        started = time.perf_counter()
        for _ in range(count):
            for _ in steps:
                pybullet.stepSimulation(physicsClientId=client)
            for camera in cameras:
                pybullet.getCameraImage(**camera, physicsClientId=client)
        return time.perf_counter() - started

    def close(self) -> None:
        """Stop PyBullet. May be called more than once."""
        if self.client.isConnected():
            self.client.disconnect()

    def __enter__(self) -> BulletSimulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
