"""The ceiling: search with the true simulator as the model and the true pose as the cost.

This is not a planner, because it sees the true state, goal and dynamics. It shows which share of a
task a search of this size can solve at all, and so separates failures of a world model from those
of the task.
"""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import torch
from torch import Tensor

from wm_mpc.planning.cem import CrossEntropyPlanner
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.engine import EngineError, Simulation
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task

_ACTION_WEIGHT = 0.01  # prefers the calmer of two plans with the same end


@dataclasses.dataclass(frozen=True)
class SimulatorPlan:
    """A plan of the ceiling.

    Attributes:
        actions: float64 (n, action size), in the action's unit.
        plan_seconds: Wall time, s.
        encode_seconds: Always 0, because nothing is encoded.
    """

    actions: np.ndarray
    plan_seconds: float
    encode_seconds: float = 0.0


class TrueSimulator:
    """Plans like `RecedingHorizon`, in a copy of the simulation that starts at its true state.

    It draws random first plans and runs CEM around the best of them. An action is held for a model
    step.

    Args:
        simulation: The simulation that is controlled.
        seed: Seed of all random numbers.

    Raises:
        EngineError: The world is not restorable, so it cannot be searched.
    """

    def __init__(self, simulation: Simulation, seed: int = 0) -> None:
        if not simulation.is_restorable:
            raise EngineError(
                f"true_simulator returns to states, which task {simulation.task.spec.task!r} "
                "cannot; leave it out of --planners"
            )
        self._real = simulation
        self._copy = simulate(make_task(simulation.task.spec.task), goals=simulation.goal_kind)
        self._generator = torch.Generator().manual_seed(seed)
        self._last: np.ndarray | None = None  # normalised blocks of the last plan
        self._last_stamp = 0.0

    def restart(self, seed: int) -> None:
        """Begin an episode with its own random numbers.

        Args:
            seed: The seed.
        """
        self._generator.manual_seed(seed)
        self.forget()

    def think(self) -> None:
        """Do nothing between two plans."""

    def forget(self) -> None:
        """Forget the last plan."""
        self._last = None

    def set_goal(self, image: np.ndarray, state: np.ndarray | None) -> None:
        """Do nothing, because the simulation has the goal in its true state.

        Args:
            image: Ignored.
            state: Ignored.
        """

    def close(self) -> None:
        """Close the copy of the simulation."""
        self._copy.close()

    def plan(
        self,
        image: np.ndarray,
        state: np.ndarray,
        stamp: float,
        *,
        planner: PlannerConfig,
        objective: ObjectiveConfig,
        budget: float = math.inf,
    ) -> SimulatorPlan:
        """Search for a plan from the true state.

        Args:
            image: Ignored.
            state: Ignored.
            stamp: Time of the observation, s.
            planner: Horizon, samples (also the number of first plans), elites and iterations
                apply.
            objective: Its weights of the steps apply.
            budget: Ignored.
        """
        started = time.perf_counter()
        spec = self._real.task.spec
        truth = self._real.state()
        self._copy.goal = self._real.goal
        weights = objective.step_weights(planner.horizon).numpy()

        def cost(blocks: Tensor) -> Tensor:
            return torch.tensor([self._cost(truth, plan, weights) for plan in blocks.numpy()])

        first = self._first_plans(stamp, planner)
        best = first[cost(first).argmin()]
        search = CrossEntropyPlanner(
            planner.samples, planner.elites, planner.iterations, planner.noise or 0.5
        )
        result = search.plan(cost, best[None], budget=budget, generator=self._generator)
        self._last, self._last_stamp = result.actions.numpy(), stamp
        actions = spec.denormalise_action(np.repeat(self._last, spec.frame_skip, 0))
        return SimulatorPlan(actions, time.perf_counter() - started)

    def _first_plans(self, stamp: float, planner: PlannerConfig) -> Tensor:
        """(samples, horizon, action size): the shifted last plan, and plans that hold one
        direction and then another."""
        shape = (planner.samples, planner.horizon, self._real.task.spec.action.size)
        directions = torch.rand(2, shape[0], 1, shape[2], generator=self._generator) * 2.4 - 1.2
        turns = torch.randint(1, shape[1] + 1, (shape[0], 1, 1), generator=self._generator)
        later = torch.arange(shape[1])[None, :, None] >= turns
        plans = torch.where(later, directions[1], directions[0]).clamp(-1.0, 1.0)
        if self._last is not None:
            passed = round((stamp - self._last_stamp) / self._real.task.spec.model_period)
            rest = np.zeros((shape[1], shape[2]), np.float32)
            shifted = np.concatenate([self._last[passed:], rest])[: shape[1]]
            plans[0] = torch.from_numpy(shifted)
        return plans

    def _cost(self, truth: np.ndarray, blocks: np.ndarray, weights: np.ndarray) -> float:
        """Weighted true errors after each model step, in tolerances; zero after the goal is
        reached."""
        copy, spec = self._copy, self._real.task.spec
        copy.put(self._real.layout, truth)
        total = _ACTION_WEIGHT * float(np.square(blocks).mean())
        for weight, action in zip(weights, spec.denormalise_action(blocks), strict=True):
            for _ in range(spec.frame_skip):
                copy.advance(action)
                if copy.is_success():
                    return total
            total += float(weight) * _in_tolerances(copy)
        return total


def _in_tolerances(simulation: Simulation) -> float:
    """Sum of the true errors, each divided by its tolerance."""
    tolerances = simulation.task.tolerances
    return sum(error / tolerances[name] for name, error in simulation.errors().items())
