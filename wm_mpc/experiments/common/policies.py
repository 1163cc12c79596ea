"""Policies without a model, as the floor and the ceiling of an evaluation.

- `random` draws every action evenly from its limits. It is the floor.
- `expert` is the environment's own policy, if it has one; it sees the true state and the goal.
- `replay` repeats what was done in the recording between start and goal.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from wm_mpc.sim.engine import EngineError, Simulation

RANDOM, EXPERT, REPLAY = "random", "expert", "replay"
POLICIES = (RANDOM, EXPERT, REPLAY)
PRIVILEGED = (EXPERT, REPLAY)


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What a policy chose; it takes the place of a plan.

    Attributes:
        actions: float64 (n, action size), in the action's unit.
        plan_seconds: Always 0.
        encode_seconds: Always 0.
    """

    actions: np.ndarray
    plan_seconds: float = 0.0
    encode_seconds: float = 0.0


class Policy:
    """A policy in the place of a planner; see `wm_mpc.experiments.common.episodes.Controller`.

    Args:
        name: One of `POLICIES`.
        simulation: The simulation that is controlled.
        seed: Seed of its random numbers.
        recorded: (n, action size), what `replay` repeats, in the action's unit; then it rests.

    Raises:
        EngineError: The task has no expert, or there is nothing to replay.
    """

    def __init__(
        self, name: str, simulation: Simulation, seed: int, recorded: np.ndarray | None = None
    ) -> None:
        task = simulation.task
        self._rng = np.random.default_rng(seed)
        self._simulation, self._name, self._recorded = simulation, name, recorded
        self._expert: Any = None
        if name == EXPERT and not hasattr(task, "expert"):
            raise EngineError(
                f"task {task.spec.task!r} has no expert; accepted: random, replay and the planners"
            )
        if name == REPLAY and recorded is None:
            raise EngineError("replay repeats a recorded episode, which only --protocol swm has")

    def think(self) -> None:
        """Do nothing between two plans."""

    def forget(self) -> None:
        """Do nothing."""

    def set_goal(self, image: np.ndarray, state: np.ndarray | None) -> None:
        """Let the expert look at the simulation's true goal.

        Args:
            image: Ignored.
            state: Ignored.
        """
        if self._name == EXPERT:
            simulation: Any = self._simulation
            self._expert = simulation.task.expert(
                simulation.world, simulation.goal.true_state, self._rng
            )

    def plan(
        self,
        image: np.ndarray,
        state: np.ndarray,
        stamp: float,
        *,
        planner: Any,
        objective: Any,
        budget: float = math.inf,
    ) -> Chosen:
        """Choose the next action.

        Args:
            image: Ignored.
            state: Ignored.
            stamp: Time since the start, s.
            planner: Ignored.
            objective: Ignored.
            budget: Ignored.
        """
        spec = self._simulation.task.spec
        if self._name == RANDOM:
            action = self._rng.uniform(spec.action.low, spec.action.high)
        elif self._name == EXPERT:
            action = np.asarray(self._expert(), np.float64)
        else:
            assert self._recorded is not None
            step = round(stamp / spec.control_period)
            if step < len(self._recorded):
                action = np.asarray(self._recorded[step], np.float64)
            else:
                rest = spec.normalised_rest(self._simulation.measure())
                action = spec.denormalise_action(rest)
        return Chosen(action[None])
