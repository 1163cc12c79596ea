"""A wide search, in the time between two plans: a start for the next plan.

A goal may be far, or the way to it may begin with a turn. Then, few first plans contain such a way.
A search from many first plans finds one, but takes several times as long as a plan may. So it runs
after a plan has left, and its result is one of the first plans of the next one.
"""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from wm_mpc.control.first_plans import Start
from wm_mpc.control.plan_choice import reaches_goal
from wm_mpc.control.search import PlanSearch
from wm_mpc.control.timeline import Timeline
from wm_mpc.model.familiarity import usual_step
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.planner import PlanResult, PlanStatus
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.units import SECOND


@dataclasses.dataclass(frozen=True)
class Thought:
    """What came of a wide search.

    Attributes:
        is_better: Whether it found a plan better than the last one. The next plan begins from it,
            among others.
        lacked_time: Whether it was left out or cut short, because there was no time.
        seconds: Wall time of it, s.
    """

    is_better: bool = False
    lacked_time: bool = False
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class _Planned:
    """The last plan, and what it was searched with."""

    start: Start
    config: PlannerConfig
    cost: GoalCost
    result: PlanResult


class WideSearch:
    """Searches widely from where the last plan began.

    Args:
        model: The world model.
        search: Searches for plans through it.
    """

    def __init__(self, model: WorldModel, search: PlanSearch) -> None:
        self._model, self._search = model, search
        self._last: float | None = None  # stamp of the last plan that was searched again, s
        self._planned: _Planned | None = None
        self._found = Timeline.of(model.spec)

    def begin(self) -> None:
        """Begin with a new goal: a search is due at once."""
        self._last = None
        self.forget()

    def forget(self) -> None:
        """Forget the last plan, and what was found."""
        self._planned = None
        self._found.clear()

    def planned(
        self, start: Start, config: PlannerConfig, cost: GoalCost, result: PlanResult
    ) -> None:
        """Note a plan. What was found before it is used up.

        Args:
            start: Where it begins.
            config: Settings of the planner.
            cost: The cost function.
            result: The plan, with its cost by that function.
        """
        self._found.clear()
        self._planned = _Planned(start, config, cost, result)

    def found(self, stamp: float, steps: int) -> np.ndarray | None:
        """Return what the last search found, from a time on.

        Args:
            stamp: The time, s.
            steps: Number of control steps.

        Returns:
            Actions (steps, action size), in the action's unit; None if there are none.
        """
        moment = round(stamp * SECOND) + self._found.period // 2
        entry = self._found.entry_at(moment)
        if entry is None or entry.index_at(moment) >= len(entry):
            return None
        return self._found.ahead(moment, steps)

    def think(self, end: float) -> Thought | None:
        """Search widely, if the last plan does not reach the goal and a search is due.

        Args:
            end: When the search must end, a time of `time.perf_counter`; infinite for no limit.

        Returns:
            What came of it; None if there was nothing to do.
        """
        planned, self._planned = self._planned, None
        if planned is None or not self._is_due(planned):
            return None
        started = time.perf_counter()
        if end - started < planned.result.seconds:
            return Thought(lacked_time=True)
        start, cost, config = planned.start, planned.cost, planned.config
        self._last = start.stamp
        wide = dataclasses.replace(config, samples=config.wide_samples)
        result = self._search.search(wide, cost, start, end)
        is_better = result.status is not PlanStatus.FAILED and result.cost < planned.result.cost
        if is_better:
            spec = self._model.spec
            actions = cost.bind(result.actions[None]).reshape(-1, spec.action.size)
            rows = spec.denormalise_action(actions.detach().numpy())
            self._found.put(round(start.stamp * SECOND), rows)
        is_cut = result.status is PlanStatus.OUT_OF_TIME
        return Thought(is_better, is_cut, time.perf_counter() - started)

    def _is_due(self, planned: _Planned) -> bool:
        config, stamp = planned.config, planned.start.stamp
        if config.why_not_wide or usual_step(self._model) <= 0.0:
            return False
        last = self._last
        is_due = last is None or not last <= stamp < last + config.wide_period
        return is_due and not reaches_goal(self._model, planned.result, planned.cost)
