"""Run one episode in one process, in lockstep: deterministic, and as fast as it computes.

In closed loop, the controller replans every few control steps. In open loop, it makes one plan at
the start and executes it to the end. The controller sees only observations; success depends on the
true state.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from wm_mpc.control.receding_horizon import PlanningError
from wm_mpc.control.wide_search import Thought
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.engine import Observation, Simulation

_DRAWS = 1000


@dataclasses.dataclass(frozen=True)
class EpisodeResult:
    """The result of an episode.

    Attributes:
        success: Whether the goal was reached at any step.
        steps: Control steps until then, or all executed steps.
        success_at_end: Whether the goal was also reached after the last step.
        plan_seconds: Wall time of each plan, from the observation to the actions, s.
        errors: True distances at the end, by name.
        holds: Number of failed plans, after which the robot stood still.
        between_seconds: Wall time of each search between two plans, s.
    """

    success: bool
    steps: int
    success_at_end: bool
    plan_seconds: list[float]
    errors: dict[str, float]
    holds: int = 0
    between_seconds: list[float] = dataclasses.field(default_factory=list)


class Controller(Protocol):
    """The methods of `RecedingHorizon` that an episode uses.

    A plan has `actions` (n, action size) in the action's unit, `encode_seconds` and
    `plan_seconds`.
    """

    def forget(self) -> None:
        """Forget the last plan."""

    def set_goal(self, image: np.ndarray, state: np.ndarray | None) -> None:
        """Set the goal.

        Args:
            image: uint8 (height, width, 3), RGB.
            state: float32 (state size,), or None.
        """

    def plan(
        self,
        image: np.ndarray,
        state: np.ndarray,
        stamp: float,
        *,
        planner: PlannerConfig,
        objective: ObjectiveConfig,
        budget: float = math.inf,
    ) -> Any:
        """Plan from an observation.

        Args:
            image: uint8 (height, width, 3), RGB.
            state: float32 (state size,), in the units of the spec.
            stamp: Time of the observation, s.
            planner: Settings of the planner.
            objective: Settings of the cost.
            budget: Time for the search, s.
        """

    def think(self) -> Thought | None:
        """Use the time between two plans; see `RecedingHorizon.think`."""


# Called with step, observation, current plan (None: none), and the rest of its actions.
Watcher = Callable[[int, Observation, Any, np.ndarray], None]


def draw_episode(simulation: Simulation, rng: np.random.Generator) -> Observation:
    """Reset the simulation to a random start away from its goal.

    Args:
        simulation: The simulation.
        rng: Random numbers.

    Returns:
        The first observation.

    Raises:
        RuntimeError: The task draws only starts at their goals.
    """
    for _ in range(_DRAWS):
        observation = simulation.reset(rng)
        if not simulation.is_success():
            return observation
    raise RuntimeError(
        f"task {simulation.task.spec.task!r} drew {_DRAWS} goals of kind "
        f"{simulation.goal_kind!r}, and every start was already at its goal"
    )


def run_episode(
    simulation: Simulation,
    controller: Controller,
    rng: np.random.Generator,
    *,
    planner: PlannerConfig,
    objective: ObjectiveConfig,
    steps: int = 100,
    replan: int | None = 1,
    budget: float = math.inf,
    watch: Watcher | None = None,
    begin: Callable[[], Observation] | None = None,
) -> EpisodeResult:
    """Reset the simulation and control it until success, or for `steps` control steps.

    Args:
        simulation: The simulation.
        controller: The controller.
        rng: Random numbers of the episode.
        planner: Settings of the planner.
        objective: Settings of the cost.
        steps: Largest number of control steps.
        replan: Control steps executed of each plan. None: open loop, which executes the first plan
            to its end (or for `steps`), also after a success.
        budget: Time for each search, s.
        watch: Called before each step and once at the end.
        begin: Puts the simulation to a start, sets the goal and returns the first observation;
            None: both are drawn.
    """
    observation = draw_episode(simulation, rng) if begin is None else begin()
    assert simulation.goal is not None
    goal = simulation.goal.observation
    controller.forget()
    controller.set_goal(goal.image, goal.state)
    period = simulation.task.spec.control_period
    seconds: list[float] = []
    between: list[float] = []
    queue = left = np.zeros((0, simulation.task.spec.action.size))
    plan: Any = None
    holds = executed = 0
    reached: int | None = None
    while executed < steps:
        if len(queue) == 0:
            try:
                plan = controller.plan(
                    observation.image, observation.state, executed * period,
                    planner=planner, objective=objective, budget=budget,
                )  # fmt: skip
                seconds.append(plan.encode_seconds + plan.plan_seconds)
                left, queue = plan.actions, plan.actions[:replan]
                thought = controller.think() if replan is not None else None
                between += [] if thought is None else [thought.seconds]
            except PlanningError:  # stand still and try again, like the node
                plan, holds = None, holds + 1
                left = queue = _hold(simulation)
        if watch is not None:
            watch(executed, observation, plan, left)
        observation = simulation.step(queue[0])
        executed, queue, left = executed + 1, queue[1:], left[1:]
        if reached is None and simulation.is_success():
            reached = executed
        if (reached is not None and replan is not None) or (replan is None and len(queue) == 0):
            break
        if not simulation.can_step:
            break
    if watch is not None:
        watch(executed, observation, None, left[:0])
    return EpisodeResult(
        success=reached is not None,
        steps=executed if reached is None else reached,
        success_at_end=simulation.is_success(),
        plan_seconds=seconds,
        errors=simulation.errors(),
        holds=holds,
        between_seconds=between,
    )


def _hold(simulation: Simulation) -> np.ndarray:
    """One action (1, action size) that stands still: zero, or the measured positions."""
    spec = simulation.task.spec
    rest = spec.normalised_rest(simulation.measure())
    return spec.denormalise_action(rest)[None]
