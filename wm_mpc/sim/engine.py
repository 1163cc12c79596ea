"""What a simulated world offers, whatever simulates it: the Protocol `Simulation`.

Data collection, synthesis, evaluation, the benchmark and the node `sim` use this Protocol only.
`wm_mpc.sim.engines` holds the engines, one file each. A task names its engine.

Not every world can return to a recorded state. Ask `is_restorable` before `state`, `put`,
`restore`, `set_goal` and `new_goal`.
"""

from __future__ import annotations

import dataclasses
from types import TracebackType
from typing import Protocol

import numpy as np

from wm_mpc.sim.task import CameraView, Explorer, Task

# Independent streams of random numbers. Evaluation never uses the seeds of training.
STREAMS = {"collect": 0, "evaluate": 1, "node": 2, "synthesis": 3}


class EngineError(ValueError):
    """A world cannot be simulated, or cannot do what was asked of it; the text says why."""


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
        image: uint8 (height, width, 3) rgb; of several cameras, the joined picture.
        state: float32 (state size,), each entry in its unit.
    """

    image: np.ndarray
    state: np.ndarray


@dataclasses.dataclass(frozen=True)
class Goal:
    """A goal, as a planner may see it and as it is.

    Attributes:
        observation: Observation at the goal, for the planner.
        true_state: Simulator state at the goal, for the success test only; empty in a world that
            is not restorable.
        pose: True pose at the goal, in the order of the task's `pose_names`.
    """

    observation: Observation
    true_state: np.ndarray
    pose: np.ndarray


def goal_kind_of(task: Task, wanted: str | None) -> str:
    """Return how a simulation draws its goals.

    Args:
        task: The task.
        wanted: One of `task.goal_kinds`; None: the first.

    Raises:
        EngineError: The task draws no such goals.
    """
    kind = task.goal_kinds[0] if wanted is None else wanted
    if kind not in task.goal_kinds:
        raise EngineError(
            f"task {task.spec.task!r} draws no goals of kind {wanted!r}; accepted: "
            f"{', '.join(task.goal_kinds)}"
        )
    return kind


class Simulation(Protocol):
    """A task in a world of its own. Not thread-safe: use one per process or thread.

    Attributes:
        goal_kind: How goals are drawn, one of `task.goal_kinds`.
        goal: The present goal; None before the first.
        layout: The part of the scene that stays within an episode; empty if nothing differs.
        view: Where the camera stands (of several, the first one); None if that is unknown.
        views: Where each camera stands, in the order of `task.spec.images`; empty if that is
            unknown.
        is_restorable: Whether the world can return to a state that `state` gave.
        is_over: Whether the world itself ended its episode with the last step.
        can_step: Whether the world can go on from here. Only false after its own end.
    """

    goal_kind: str
    goal: Goal | None
    layout: np.ndarray
    view: CameraView | None
    views: tuple[CameraView, ...]
    is_restorable: bool
    is_over: bool
    can_step: bool

    @property
    def task(self) -> Task:
        """The task."""

    def reset(self, rng: np.random.Generator, *, goal: bool = True) -> Observation:
        """Start an episode at a random start.

        Args:
            rng: Source of random numbers.
            goal: Whether to draw a goal, too.
        """

    def new_goal(self, rng: np.random.Generator) -> Goal:
        """Draw another goal. The present state stays.

        Args:
            rng: Source of random numbers.

        Raises:
            EngineError: The world is not restorable.
        """

    def set_goal(self, true_state: np.ndarray) -> Goal:
        """Set a goal, and render its observation. The present state stays.

        Args:
            true_state: Simulator state at the goal.

        Raises:
            EngineError: The world is not restorable.
        """

    def goal_shown(self) -> float | None:
        """Return how much of the things the picture of the goal shows, from 0 to 1.

        1: the robot hides nothing of them. None: it is not known, as in a world in which the robot
        cannot be moved out of the picture. The present state stays, but as after `set_goal`, its
        last digits may change: ask between two episodes.

        Raises:
            RuntimeError: There is no goal yet.
        """

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        """Return the goal that a person asks for by a pose in the world frame, for `set_goal`.

        Args:
            x: In m.
            y: In m.
            yaw: In rad.

        Raises:
            ValueError: The goal cannot be reached, or the task takes no such goals.
        """

    def state(self) -> np.ndarray:
        """Return the complete present state, float64, which `put` needs to go on from here.

        Raises:
            EngineError: The world is not restorable.
        """

    def put(self, layout: np.ndarray, state: np.ndarray) -> None:
        """Put the world into a recorded layout and state.

        Args:
            layout: From `layout`.
            state: From `state`.

        Raises:
            EngineError: The world is not restorable.
        """

    def restore(self, layout: np.ndarray, state: np.ndarray) -> Observation:
        """Call `put`, then `observe`.

        Args:
            layout: See `put`.
            state: See `put`.
        """

    def observe(self) -> Observation:
        """Return the present observation."""

    def advance(self, action: np.ndarray) -> None:
        """Apply one action for one control step.

        Args:
            action: (action size,), in the action's unit; clipped to its limits.

        Raises:
            EngineError: The world has ended, or failed.
        """

    def step(self, action: np.ndarray) -> Observation:
        """Call `advance`, then `observe`.

        Args:
            action: See `advance`.
        """

    def measure(self) -> np.ndarray:
        """Return the measured robot state, in the order of `spec.state.names`."""

    def joints(self) -> dict[str, tuple[float, float]]:
        """Return position and velocity of each joint by name; empty for a robot without joints."""

    def pose(self) -> np.ndarray:
        """Return the true pose, in the order of the task's `pose_names`. No planner may see it."""

    def errors(self) -> dict[str, float]:
        """Return the true distances to the goal by name, m or rad.

        Raises:
            RuntimeError: There is no goal yet.
        """

    def is_success(self) -> bool:
        """Whether the goal is reached.

        Raises:
            RuntimeError: There is no goal yet.
        """

    def explorer(self, rng: np.random.Generator, name: str = "") -> Explorer:
        """Return a new exploration policy for one episode of data collection.

        Args:
            rng: Source of random numbers.
            name: One of `further_explorers` of the task; empty: the usual one.

        Raises:
            ValueError: There is none of that name.
        """

    def intrinsics(self, camera: int = 0) -> tuple[float, ...] | None:
        """Return the 3x3 camera matrix row by row, in pixels; None if it is unknown.

        Args:
            camera: Which of `views`.
        """

    def bare_frames(self, rng: np.random.Generator, count: int) -> float:
        """Simulate and draw with the engine alone, for comparison with our own frames per second.

        A frame is one control step and one image of the robot in motion. Nothing is kept.

        Args:
            rng: Source of random numbers.
            count: Number of frames.

        Returns:
            Time taken, s.
        """

    def close(self) -> None:
        """Stop the world. May be called more than once."""

    def __enter__(self) -> Simulation: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class GoalKeeper:
    """The part of a simulation that every engine shares: asking for the goal.

    Attributes:
        goal: The present goal; None before the first.
    """

    goal: Goal | None = None

    def _present_goal(self) -> Goal:
        if self.goal is None:
            raise RuntimeError("the simulation has no goal yet; call reset() or set_goal() first")
        return self.goal
