"""Closed-loop episodes in one process, in lockstep: deterministic, and as fast as it computes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from wm_mpc.planning.objective import ObjectiveConfig
from wm_mpc.planning.receding_horizon import RecedingHorizon
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.bullet import Simulation


@dataclasses.dataclass(frozen=True)
class EpisodeResult:
    """steps: low-level steps until success, or the budget. plan_seconds: wall time of each plan.
    errors: true distances at the end."""

    success: bool
    steps: int
    plan_seconds: list[float]
    errors: dict[str, float]


def run_episode(
    simulation: Simulation,
    controller: RecedingHorizon,
    rng: np.random.Generator,
    *,
    planner: PlannerConfig,
    objective: ObjectiveConfig,
    steps: int = 100,
    replan: int = 1,
    budget: float = math.inf,
) -> EpisodeResult:
    """Reset the simulation from `rng` and control it until success or for `steps` low-level steps.

    replan: low-level steps executed of each plan. budget: seconds for each search. The controller
    sees observations only; success is judged by the true state.
    """
    observation = simulation.reset(rng)
    assert simulation.goal is not None
    goal = simulation.goal.observation
    controller.forget()
    controller.set_goal(goal.image, goal.state)
    period = simulation.task.spec.control_period
    seconds: list[float] = []
    queue: list[np.ndarray] = []
    for step in range(steps):
        if not queue:
            plan = controller.plan(
                observation.image, observation.state, step * period,
                planner=planner, objective=objective, budget=budget,
            )  # fmt: skip
            seconds.append(plan.plan_seconds)
            queue = list(plan.actions[:replan])
        observation = simulation.step(queue.pop(0))
        if simulation.is_success():
            return EpisodeResult(True, step + 1, seconds, simulation.errors())
    return EpisodeResult(False, steps, seconds, simulation.errors())
