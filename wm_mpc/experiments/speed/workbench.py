"""The parts that all sections of the benchmark share: tasks, world models, planners and problems.

Problems are first observations and goals of held-out episodes of the simulation. Models are the
shipped ones and, to measure growth, untrained ones of the same robot, because time depends only on
sizes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.control.receding_horizon import ControlPlan, RecedingHorizon
from wm_mpc.experiments.common.episodes import draw_episode
from wm_mpc.experiments.common.protocol import STREAM
from wm_mpc.experiments.common.settings import Settings, task_settings
from wm_mpc.experiments.common.variants import Checkpoint
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.model.dynamics import Carry
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import why_not_native
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.registry import BACKENDS, PLANNERS, PlannerConfig
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task

# Back ends that are measured side by side, the fastest first. Add a new one here after
# `PlannerConfig.backend` accepts it.
MEASURED_BACKENDS = BACKENDS
DEFAULT_PLANNER = "adam"  # of every shipped task
# Planners whose starts `planner.restarts` counts (others count samples), and those that descend.
WITH_RESTARTS = tuple(name for name, planner in PLANNERS.items() if planner.restarts)
BY_GRADIENT = tuple(name for name, planner in PLANNERS.items() if planner.gradient)
_PLANS_A_CASE = 5


@dataclasses.dataclass(frozen=True)
class Options:
    """Options that decide the outcome of a benchmark.

    Attributes:
        checkpoints: World models by task.
        seed: Seed of problems and planners.
        threads: Threads of the planner.
        backends: Back ends to measure.
        planners: Planners to measure.
        quick: Make fewer and shorter measurements in the same sections.
    """

    checkpoints: Mapping[str, Checkpoint]
    seed: int = 7
    threads: int = 1
    backends: tuple[str, ...] = MEASURED_BACKENDS
    planners: tuple[str, ...] = tuple(PLANNERS)
    quick: bool = False

    def identity(self) -> dict[str, Any]:
        """Return the values that two runs must share for their sections to belong together."""
        return {
            "checkpoints": {task: c.sha256 for task, c in self.checkpoints.items()},
            "seed": self.seed,
            "threads": self.threads,
            "backends": list(self.backends),
            "planners": list(self.planners),
            "quick": self.quick,
        }


@dataclasses.dataclass(frozen=True)
class Case:
    """One planning problem.

    Attributes:
        image: uint8 (height, width, 3), RGB.
        state: float32 (state size,), in the units of the spec.
        goal_image: uint8 (height, width, 3), RGB.
        goal_state: float32 (state size,), in the units of the spec.
    """

    image: np.ndarray
    state: np.ndarray
    goal_image: np.ndarray
    goal_state: np.ndarray


class Workbench:
    """Loads each object once, on first use.

    Args:
        options: Options of the benchmark.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._cases: dict[str, list[Case]] = {}
        self._models: dict[str, WorldModel] = {}

    @property
    def tasks(self) -> list[str]:
        """Names of the measured tasks."""
        return list(self.options.checkpoints)

    @property
    def reference(self) -> str:
        """The task in which sweeps are made: the one with the largest model."""
        return max(self.tasks, key=lambda task: self.model(task).architecture.hidden)

    def quick_share(self, total: int) -> int:
        """Return a task's part of a total that all tasks share with `quick`.

        Args:
            total: The total.
        """
        return max(4, total // len(self.tasks))

    def model(self, task: str) -> WorldModel:
        """Return the world model of a task.

        Args:
            task: Name of the task.

        Raises:
            CheckpointError: It cannot be loaded.
        """
        if task not in self._models:
            self._models[task] = load_checkpoint(self.options.checkpoints[task].path)[0]
        return self._models[task]

    def settings(self, task: str) -> Settings:
        """Return the settings of all planners for a task.

        Args:
            task: Name of the task.
        """
        return task_settings(task)

    def planner(self, task: str, name: str = DEFAULT_PLANNER, **changes: Any) -> PlannerConfig:
        """Return a planner with the task's settings (`cem`, `mppi`: those of the reference).

        Args:
            task: Name of the task.
            name: Type of the planner.
            **changes: Settings that differ.
        """
        return dataclasses.replace(self.settings(task).planners[name], **changes)

    def backends(self, model: WorldModel) -> list[str]:
        """Return the measured back ends that can compute plans with a model.

        Args:
            model: The model.
        """
        return [
            name for name in self.options.backends if name != "native" or not why_not_native(model)
        ]

    def fastest(self, model: WorldModel) -> str:
        """Return the measured back end that computes plans of a model by default.

        Args:
            model: The model.
        """
        return next(iter(self.backends(model)), "torch")

    def cases(self, task: str, count: int) -> list[Case]:
        """Return the first problems of a task; a larger number begins with the same ones.

        Args:
            task: Name of the task.
            count: Number of problems.
        """
        known = self._cases.setdefault(task, [])
        if len(known) < count:
            with simulate(make_task(task)) as simulation:
                for number in range(len(known), count):
                    start = draw_episode(simulation, episode_rng(self.options.seed, STREAM, number))
                    assert simulation.goal is not None
                    goal = simulation.goal.observation
                    known.append(Case(start.image, start.state, goal.image, goal.state))
        return known[:count]

    def problem(self, task: str, case: Case, *, native: bool) -> GoalCost:
        """Return the cost function of a case, which a planner minimises.

        Args:
            task: Name of the task.
            case: The case.
            native: Whether machine code computes it.
        """
        model = self.model(task)
        goal = encoded(model, case.goal_image, case.goal_state)
        objective = self.settings(task).objective
        previous = torch.from_numpy(model.spec.normalised_rest(case.state))
        carry = start(model, case)
        return GoalCost(model, objective, carry, goal, previous=previous, native=native)


def encoded(model: WorldModel, image: np.ndarray, state: np.ndarray) -> Tensor:
    """Encode an observation.

    Args:
        model: The model.
        image: uint8 (height, width, 3), RGB.
        state: float32 (state size,), in the units of the spec.

    Returns:
        (latent size,).
    """
    with torch.no_grad():
        pixels = torch.from_numpy(np.array(image))[None]
        return model.encode(pixels, torch.from_numpy(np.asarray(state, np.float32))[None])[0]


def start(model: WorldModel, case: Case) -> Carry:
    """Return the carry of the dynamics at a case's start, after standing still there for the
    model's history.

    Args:
        model: The model.
        case: The case.
    """
    spec, latent = model.spec, encoded(model, case.image, case.state)
    rest = torch.from_numpy(spec.normalised_rest(case.state)).repeat(spec.frame_skip)
    with torch.no_grad():
        return model.start(latent.expand(1, spec.history, -1), rest.expand(1, spec.history - 1, -1))


class Driver:
    """Plans like the node, with one planner.

    Args:
        model: The model.
        planner: Settings of the planner.
        settings: Settings of the task.
        cases: The cases.
        seed: Seed of the planner.
        budget: Time for each search, s.
    """

    def __init__(
        self,
        model: WorldModel,
        planner: PlannerConfig,
        settings: Settings,
        cases: Sequence[Case],
        *,
        seed: int = 0,
        budget: float = math.inf,
    ) -> None:
        self._controller = RecedingHorizon(model, seed)
        self._planner, self._objective, self._budget = planner, settings.objective, budget
        self._cases = cases

    def first(self, number: int) -> ControlPlan:
        """Return the first plan of a case, without an earlier plan.

        Args:
            number: Number of the case; it wraps around.
        """
        self._begin(number)
        return self._plan(number, 0)

    def following(self, number: int) -> ControlPlan:
        """Return plan `number` of a run that plans for each case several times, as if its start
        were observed repeatedly. All but the first continue from the plan before.

        Args:
            number: Number of the plan.
        """
        case, step = divmod(number, _PLANS_A_CASE)
        if step == 0 or not self._controller.has_goal:
            self._begin(case)
        return self._plan(case, step)

    def _begin(self, number: int) -> None:
        case = self._cases[number % len(self._cases)]
        self._controller.forget()
        self._controller.set_goal(case.goal_image, case.goal_state)

    def _plan(self, number: int, step: int) -> ControlPlan:
        case, controller = self._cases[number % len(self._cases)], self._controller
        return controller.plan(
            case.image, case.state, step * controller.spec.control_period,
            planner=self._planner, objective=self._objective, budget=self._budget,
        )  # fmt: skip
