"""What all sections of the benchmark share: tasks, world models, planners and planning problems.

Problems are real ones: first observations and goals of held-out episodes of the simulation. Models
are the shipped ones and, to see how time grows, others of the same robot that were never trained:
time depends on sizes only.
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
from wm_mpc.sim.bullet import Simulation, episode_rng
from wm_mpc.sim.tasks import make_task

# What computes plans is measured side by side, the fastest first: here is where a new one is added,
# once `PlannerConfig.backend` knows it.
MEASURED_BACKENDS = BACKENDS
DEFAULT_PLANNER = "adam"  # of every shipped task
# What `planner.restarts` counts the starts of; the others count samples. And which ones descend.
WITH_RESTARTS = tuple(name for name, planner in PLANNERS.items() if planner.restarts)
BY_GRADIENT = tuple(name for name, planner in PLANNERS.items() if planner.gradient)
_PLANS_A_CASE = 5


@dataclasses.dataclass(frozen=True)
class Options:
    """What decides the outcome. checkpoints: by task. quick: fewer and shorter measurements, the
    same sections."""

    checkpoints: Mapping[str, Checkpoint]
    seed: int = 7
    threads: int = 1
    backends: tuple[str, ...] = MEASURED_BACKENDS
    planners: tuple[str, ...] = tuple(PLANNERS)
    quick: bool = False

    def identity(self) -> dict[str, Any]:
        """What two runs must have in common for their sections to belong together."""
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
    """One planning problem. Images are uint8 (height, width, 3) rgb, states (state size,) in their
    units."""

    image: np.ndarray
    state: np.ndarray
    goal_image: np.ndarray
    goal_state: np.ndarray


class Workbench:
    """Loads each thing once, when it is first asked for."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._cases: dict[str, list[Case]] = {}
        self._models: dict[str, WorldModel] = {}

    @property
    def tasks(self) -> list[str]:
        return list(self.options.checkpoints)

    @property
    def reference(self) -> str:
        """The task in which sweeps are made: the one with the largest model."""
        return max(self.tasks, key=lambda task: self.model(task).architecture.hidden)

    def quick_share(self, total: int) -> int:
        """What a task gets of a total that all tasks share, with `quick`."""
        return max(4, total // len(self.tasks))

    def model(self, task: str) -> WorldModel:
        """A task's world model. Raises CheckpointError."""
        if task not in self._models:
            self._models[task] = load_checkpoint(self.options.checkpoints[task].path)[0]
        return self._models[task]

    def settings(self, task: str) -> Settings:
        return task_settings(task)

    def planner(self, task: str, name: str = DEFAULT_PLANNER, **changes: Any) -> PlannerConfig:
        """A planner with the task's settings (`cem`, `mppi`: the reference's), changed."""
        return dataclasses.replace(self.settings(task).planners[name], **changes)

    def backends(self, model: WorldModel) -> list[str]:
        """Those that can compute plans with this model."""
        return [
            name for name in self.options.backends if name != "native" or not why_not_native(model)
        ]

    def fastest(self, model: WorldModel) -> str:
        """What plans of this model are computed with as shipped, of the back ends chosen."""
        return next(iter(self.backends(model)), "torch")

    def cases(self, task: str, count: int) -> list[Case]:
        """The first problems of a task; more of them begin with the same ones."""
        known = self._cases.setdefault(task, [])
        if len(known) < count:
            with Simulation(make_task(task)) as simulation:
                for number in range(len(known), count):
                    start = draw_episode(simulation, episode_rng(self.options.seed, STREAM, number))
                    assert simulation.goal is not None
                    goal = simulation.goal.observation
                    known.append(Case(start.image, start.state, goal.image, goal.state))
        return known[:count]

    def problem(self, task: str, case: Case, *, native: bool) -> GoalCost:
        """The cost function that a planner minimises to solve a case."""
        model = self.model(task)
        goal = encoded(model, case.goal_image, case.goal_state)
        objective = self.settings(task).objective
        previous = torch.from_numpy(model.spec.normalised_rest(case.state))
        carry = start(model, case)
        return GoalCost(model, objective, carry, goal, previous=previous, native=native)


def encoded(model: WorldModel, image: np.ndarray, state: np.ndarray) -> Tensor:
    """The latent (latent size,) of an observation."""
    with torch.no_grad():
        pixels = torch.from_numpy(np.array(image))[None]
        return model.encode(pixels, torch.from_numpy(np.asarray(state, np.float32))[None])[0]


def start(model: WorldModel, case: Case) -> Carry:
    """The carry of the dynamics at a case's start, having stood still there for as long as the
    model looks back."""
    spec, latent = model.spec, encoded(model, case.image, case.state)
    rest = torch.from_numpy(spec.normalised_rest(case.state)).repeat(spec.frame_skip)
    with torch.no_grad():
        return model.start(latent.expand(1, spec.history, -1), rest.expand(1, spec.history - 1, -1))


class Driver:
    """Plans as the node does, with one planner."""

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
        """The first plan of a case, counted round and round: there is none to begin from."""
        self._begin(number)
        return self._plan(number, 0)

    def following(self, number: int) -> ControlPlan:
        """Plan `number` of a run in which each case is planned for a few times, as if its start
        were one observation after another: all but the first begin from the one before."""
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
