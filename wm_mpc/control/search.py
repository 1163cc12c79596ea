"""One search for a plan: first plans, the planner, and what becomes of the plan that it finds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import torch
from torch import Tensor

from wm_mpc.control.first_plans import FirstPlans, Start
from wm_mpc.control.plan_choice import hastened, kept, leaves_scene
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.planner import Planner, PlanResult, PlanStatus
from wm_mpc.planning.registry import MOST_RESTARTS, PlannerConfig, make_planner

_SEARCHES = 3  # kinds of search of one setting: the usual one, a wide one, a detour


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        result: The plan, with its cost by the whole cost function.
        ended: When the last search ended, a time of `time.perf_counter`.
        is_detour: Whether it is from the second search, in which the robot's measured place does
            not count.
        lacked_time: Whether that search was left out, because others took the time.
    """

    result: PlanResult
    ended: float
    is_detour: bool = False
    lacked_time: bool = False


class PlanSearch:
    """Searches for plans through one world model.

    Args:
        model: The world model.
        generator: Source of random numbers of first plans and planners.
    """

    def __init__(self, model: WorldModel, generator: torch.Generator) -> None:
        self._model, self._generator = model, generator
        self._first_plans = FirstPlans(model, generator)
        # Kept while the settings stay, because a planner may remember how long it takes.
        self._planners: dict[PlannerConfig, Planner] = {}

    def find(
        self,
        start: Start,
        config: PlannerConfig,
        cost: GoalCost,
        scene_cost: Callable[[], GoalCost],
        end: float,
        searching: Callable[[], None] | None = None,
    ) -> Found:
        """Search for a plan.

        Args:
            start: Where the plan begins.
            config: Settings of the planner.
            cost: The cost function.
            scene_cost: Makes the cost function without the robot's measured place.
            end: When the search must end, a time of `time.perf_counter`; infinite for no limit.
            searching: Called when there are first plans and the search itself begins.
        """
        proposals = self._first_plans.proposals(start, config, cost)
        if searching is not None:
            searching()
        result = self._search(config, cost, proposals, end)
        lacks_time = False
        if config.keep > 0.0 and start.shifted is not None:
            rest_of_last = proposals[0 if config.init == "warm" else 1]
            result = kept(result, cost, rest_of_last, config.keep)
        counted = cost
        if config.detour and leaves_scene(self._model, result, cost, start.latent):
            lacks_time = lacks_time or end - time.perf_counter() < result.seconds
            of_scene = scene_cost()
            detour = None if lacks_time else self._detour(start, config, of_scene, end)
            if detour is not None:
                seconds = result.seconds + detour.seconds
                result, counted = dataclasses.replace(detour, seconds=seconds), of_scene
        ended = time.perf_counter()
        if config.hasten > 0.0:
            still = self._first_plans.still(start)
            result = hastened(result, counted, still, config.hasten)
        is_detour = counted is not cost
        if is_detour:
            with torch.no_grad():
                price = float(cost(result.actions[None])[0])
            result = dataclasses.replace(result, cost=price)
        return Found(result, ended, is_detour, lacks_time)

    def search(self, config: PlannerConfig, cost: GoalCost, start: Start, end: float) -> PlanResult:
        """Search once, from first plans, and take what the planner finds as it is.

        Args:
            config: Settings of the planner.
            cost: The cost function.
            start: Where the plan begins.
            end: See `find`.
        """
        return self._search(config, cost, self._first_plans.proposals(start, config, cost), end)

    def _search(
        self, config: PlannerConfig, cost: GoalCost, proposals: Tensor, end: float
    ) -> PlanResult:
        if config not in self._planners:
            if len(self._planners) >= _SEARCHES:
                self._planners.clear()
            self._planners[config] = make_planner(config)
        planner, left = self._planners[config], end - time.perf_counter()
        return planner.plan(cost, proposals, budget=left, generator=self._generator)

    def _detour(
        self, start: Start, config: PlannerConfig, cost: GoalCost, end: float
    ) -> PlanResult | None:
        """Search for a plan that sets the scene right, wherever the robot goes meanwhile.

        None if there is none.
        """
        samples = max(config.detour, config.samples)
        restarts = min(2 * config.restarts, MOST_RESTARTS)
        wide = dataclasses.replace(config, samples=samples, restarts=restarts)
        result = self.search(wide, cost, start, end)
        if result.status is PlanStatus.FAILED:
            return None
        return None if leaves_scene(self._model, result, cost, start.latent) else result
