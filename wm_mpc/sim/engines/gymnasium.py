"""The engine Gymnasium: worlds that somebody else wrote, as their tasks describe them.

It needs no display. What an environment cannot do (no picture, discrete actions, numbers that are
not finite, an exception) is refused with the reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from wm_mpc.sim.engine import EngineError, Goal, GoalKeeper, Observation, goal_kind_of
from wm_mpc.sim.engines import gymnasium_checks as checks
from wm_mpc.sim.gymnasium_task import GymnasiumTask, World
from wm_mpc.sim.task import Explorer, check_explorer

_DRAWS = 100  # ways of the explorer that may be too short for a goal
_SEEDS = 2**31 - 1
_SAME = 1e-6  # largest difference of measurements after the same reset


class GymnasiumSimulation(GoalKeeper):
    """A task in a Gymnasium environment; see `wm_mpc.sim.engine.Simulation`.

    Args:
        task: The task.
        gui: Must be False: there is no window.
        goals: How to draw goals, one of `task.goal_kinds`; by default the first.

    Attributes:
        task: The task.
        world: The environment, and what it said last.

    Raises:
        EngineError: The environment cannot be used; the text says why.
    """

    view = None
    views = ()

    def __init__(self, task: GymnasiumTask, *, gui: bool = False, goals: str | None = None) -> None:
        name = task.spec.task
        if gui:
            raise EngineError(f"gui: task {name!r} is simulated by Gymnasium, without a window")
        if task.spec.image.cameras:
            raise EngineError(
                f"task {name!r} has {len(task.spec.images)} cameras; an environment renders one"
            )
        self.task = task
        self.goal_kind = goal_kind_of(task, goals)
        self.is_restorable = checks.is_restorable(task)
        checks.check_goals(task, self.goal_kind, self.is_restorable)
        checks.check_hold(task)
        _need_no_display()
        with checks.raising(name, "make"):
            self.world = World(task.make())
        checks.check_actions(task, self.world.env)
        self.layout = np.zeros(0)
        self.is_over = False
        self._was_reset = False

    @property
    def can_step(self) -> bool:
        """Whether the world can go on from here."""
        return self.task.goes_on or not self.is_over

    # ------------------------------------------------------------------------------- episodes

    def reset(self, rng: np.random.Generator, *, goal: bool = True) -> Observation:
        """See `Simulation.reset`.

        With a goal of `goal_steps`, start and goal lie on one way of the explorer: anywhere on it
        in a restorable world, from its beginning in others.
        """
        for _ in range(_DRAWS):
            seed, options = int(rng.integers(_SEEDS)), self.task.reset_options(rng)
            self._reset(seed, options)
            if not goal:
                return self.observe()
            if self.goal_kind not in self.task.goal_steps:
                self.new_goal(rng)
                return self.observe()
            if self.is_restorable:
                found = self._goal_on_a_way(rng)
            else:
                found = self._goal_by_repetition(rng, seed, options)
            if found:
                return self.observe()
        raise EngineError(
            f"task {self.task.spec.task!r}: {_DRAWS} ways of the explorer ended before the "
            f"{self.task.goal_steps[self.goal_kind]} steps that a goal of kind "
            f"{self.goal_kind!r} is away"
        )

    def _reset(self, seed: int, options: dict[str, Any] | None) -> None:
        with self._raising("reset"):
            self._heard(*self.world.env.reset(seed=seed, options=options))
        self._was_reset = True

    def _goal_on_a_way(self, rng: np.random.Generator) -> bool:
        """Whether start and goal were found on a way of the explorer from here."""
        offset = self.task.goal_steps[self.goal_kind]
        states = [self.state(), *self._explore(rng, max(self.task.episode_steps, offset))]
        if len(states) <= offset:
            return False
        first = int(rng.integers(len(states) - offset))
        self.set_goal(states[first + offset])
        self.put(self.layout, states[first])
        return True

    def _goal_by_repetition(
        self, rng: np.random.Generator, seed: int, options: dict[str, Any] | None
    ) -> bool:
        """Whether a goal was found by exploring from a start that the same reset brings back."""
        before = self.observe()
        offset = self.task.goal_steps[self.goal_kind]
        if len(self._explore(rng, offset)) < offset:
            return False
        self.goal = Goal(self.observe(), np.zeros(0), self.pose())
        self._reset(seed, options)
        again = self.observe()
        if not np.array_equal(before.image, again.image) or not np.allclose(
            before.state, again.state, atol=_SAME
        ):
            raise EngineError(
                f"the environment of task {self.task.spec.task!r} starts elsewhere after the same "
                "reset(seed); goals need that, or a state that can be set"
            )
        return True

    def _explore(self, rng: np.random.Generator, steps: int) -> list[np.ndarray]:
        """States after each step of the explorer (empty ones where there is none to have); fewer if
        the world ends the episode."""
        explore, states = self.explorer(rng), []
        for _ in range(steps):
            self.advance(explore())
            states.append(self.state() if self.is_restorable else np.zeros(0))
            if self.is_over:
                break
        return states

    # ---------------------------------------------------------------------------------- goals

    def new_goal(self, rng: np.random.Generator) -> Goal:
        """See `Simulation.new_goal`."""
        present = self._saved("a new goal")
        if self.goal_kind in self.task.goal_steps:
            goal = self._explore(rng, self.task.goal_steps[self.goal_kind])[-1]
        else:
            with self._raising("sample_goal"):
                goal = self.task.sample_goal(self.world, rng, self.goal_kind)
        self._put(*present)
        return self.set_goal(goal)

    def set_goal(self, true_state: np.ndarray) -> Goal:
        """See `Simulation.set_goal`."""
        present = self._saved("a goal that is set")
        self.put(self.layout, true_state)
        self.goal = Goal(self.observe(), np.asarray(true_state, np.float64), self.pose())
        self._put(*present)
        return self.goal

    def goal_shown(self) -> float | None:
        """See `Simulation.goal_shown`. It is not known."""
        self._present_goal()
        return None

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        """See `Simulation.goal_at`."""
        self._saved("a goal by its pose")
        return self.task.goal_at(self.world, x, y, yaw)

    # --------------------------------------------------------------------------------- states

    def state(self) -> np.ndarray:
        """See `Simulation.state`."""
        return self._saved("a state")[0]

    def _saved(self, wanted: str) -> tuple[np.ndarray, bool]:
        """The state, and whether the episode is over."""
        if not self.is_restorable:
            raise EngineError(
                f"task {self.task.spec.task!r} cannot return to a state, which {wanted} needs: it "
                "has neither get_state nor set_state"
            )
        with self._raising("get_state"):
            state = np.array(self.task.get_state(self.world), np.float64)
        if state.ndim != 1 or not np.isfinite(state).all():
            raise EngineError(
                f"get_state of task {self.task.spec.task!r} gave {state}; a row of finite numbers "
                "is needed"
            )
        return state, self.is_over

    def put(self, layout: np.ndarray, state: np.ndarray) -> None:
        """See `Simulation.put`."""
        if self.is_restorable and not self._was_reset:  # environments want that before all else
            self._reset(0, self.task.reset_options(np.random.default_rng(0)))
        self._saved("a recorded state")
        self._put(np.asarray(state, np.float64), False)

    def _put(self, state: np.ndarray, is_over: bool) -> None:
        with self._raising("set_state"):
            self._heard(*self.task.set_state(self.world, state))
        self.is_over = is_over

    def restore(self, layout: np.ndarray, state: np.ndarray) -> Observation:
        """See `Simulation.restore`."""
        self.put(layout, state)
        return self.observe()

    # ---------------------------------------------------------------------------------- steps

    def observe(self) -> Observation:
        """See `Simulation.observe`."""
        with self._raising("picture"):
            rendered = self.task.picture(self.world)
        image = checks.picture(self.task.spec.task, rendered, self.task.spec.image)
        return Observation(image, self.measure().astype(np.float32))

    def advance(self, action: np.ndarray) -> None:
        """See `Simulation.advance`."""
        if not self.can_step:
            raise EngineError(
                f"the environment of task {self.task.spec.task!r} has ended its episode; it cannot "
                "be stepped until it is reset (goes_on = True in the task says that it can)"
            )
        inside = checks.action_of(self.task.spec, action)
        with self._raising("to_environment"):
            given = self.task.to_environment(self.world, inside)
        over = False
        for _ in range(self.task.hold):
            with self._raising("step"):
                observation, _, terminated, truncated, info = self.world.env.step(given)
            over = self.task.ends and bool(terminated or truncated)
            if over:
                break
        self._heard(observation, info)
        self.is_over = over
        self.measure()  # refuses numbers that are not finite before anything acts on them

    def _heard(self, observation: Any, info: Mapping[str, Any]) -> None:
        self.world.observation, self.world.info = observation, info
        self.is_over = False

    def step(self, action: np.ndarray) -> Observation:
        """See `Simulation.step`."""
        self.advance(action)
        return self.observe()

    def measure(self) -> np.ndarray:
        """See `Simulation.measure`."""
        with self._raising("measure"):
            measured = self.task.measure(self.world)
        spec = self.task.spec
        return checks.numbers(spec.task, "measured state", measured, spec.state.names)

    def joints(self) -> dict[str, tuple[float, float]]:
        """See `Simulation.joints`."""
        with self._raising("joints"):
            return self.task.joints(self.world)

    def pose(self) -> np.ndarray:
        """See `Simulation.pose`."""
        with self._raising("pose"):
            pose = self.task.pose(self.world)
        return checks.numbers(self.task.spec.task, "true pose", pose, self.task.pose_names)

    def errors(self) -> dict[str, float]:
        """See `Simulation.errors`."""
        goal = self._present_goal()
        with self._raising("errors"):
            return self.task.errors(self.pose(), goal.pose)

    def is_success(self) -> bool:
        """See `Simulation.is_success`."""
        goal = self._present_goal()
        with self._raising("is_success"):
            return bool(self.task.is_success(self.pose(), goal.pose))

    def explorer(self, rng: np.random.Generator, name: str = "") -> Explorer:
        """See `Simulation.explorer`."""
        check_explorer(self.task, name)
        with self._raising("explorer"):
            if name:
                return self.task.further_explorer(self.world, rng, name)
            return self.task.explorer(self.world, rng)

    def intrinsics(self, camera: int = 0) -> None:
        """See `Simulation.intrinsics`: nobody says where the camera of an environment stands."""
        return

    def bare_frames(self, rng: np.random.Generator, count: int) -> float:
        """See `Simulation.bare_frames`. A frame is a control step and one `render`."""
        self._reset(int(rng.integers(_SEEDS)), self.task.reset_options(rng))
        action = self.task.to_environment(self.world, np.asarray(self.explorer(rng)()))
        env = self.world.env
        started = time.perf_counter()
        with self._raising("step"):
            for _ in range(count):
                for _ in range(self.task.hold):
                    env.step(action)
                env.render()
        return time.perf_counter() - started

    def close(self) -> None:
        """See `Simulation.close`."""
        with self._raising("close"):
            self.world.env.close()

    def _raising(self, doing: str) -> Any:
        return checks.raising(self.task.spec.task, doing)

    def __enter__(self) -> GymnasiumSimulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _need_no_display() -> None:
    """Let the usual libraries of environments draw without a display."""
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("MUJOCO_GL", "egl")
