"""What every planner takes and gives back.

A planner minimises a cost function over action sequences inside [-1, 1]. It knows neither world
models nor robots; `receding_horizon.py` joins the two.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import time
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from wm_mpc.native.descent import Descent

# (batch, horizon, action size) -> (batch,). Actions are normalised, inside [-1, 1].
CostFunction = Callable[[Tensor], Tensor]
_FEW = 32  # plans of which costs are computed first, to see how long it takes


class PlanStatus(enum.Enum):
    """How a plan came to be; the value is a sentence for a person."""

    COMPLETE = "all iterations were done"
    OUT_OF_TIME = "the time budget ended the search; this is the best plan found by then"
    FAILED = "no candidate had a finite cost; the plan must not be executed"


@dataclasses.dataclass(frozen=True)
class PlanResult:
    """The result of a search.

    Attributes:
        actions: (horizon, action size) in [-1, 1]; the best plan ever evaluated, not only the last.
        cost: Its cost.
        status: How the search ended.
        iterations: Number of iterations done.
        seconds: Wall time of the search.
        candidates: (n, horizon, action size); other good plans, best first; may be empty.
    """

    actions: Tensor
    cost: float
    status: PlanStatus
    iterations: int
    seconds: float
    candidates: Tensor


class Planner(Protocol):
    """Searches for the cheapest plan. It knows neither models nor robots."""

    def plan(
        self,
        cost: CostFunction,
        proposals: Tensor,
        *,
        budget: float,
        generator: torch.Generator,
    ) -> PlanResult:
        """Search for the cheapest plan.

        Args:
            cost: What to minimise.
            proposals: (n, horizon, action size), first plans. A planner may use any number of
                them, and adds its own if it needs more.
            budget: Seconds; infinite for none. A planner starts no iteration that would not fit.
            generator: Where all random numbers come from, so that a seed repeats a plan.

        Returns:
            The best plan ever evaluated.
        """


class DescendingCost(Protocol):
    """A cost function that can descend by itself, faster than a planner from outside.

    Attributes:
        can_descend: Whether it can at present.
    """

    can_descend: bool

    def __call__(self, actions: Tensor) -> Tensor: ...

    def descend(self, actions: Tensor, descent: Descent) -> tuple[Tensor, Tensor, int]:
        """Improve each plan by following the gradient.

        Args:
            actions: (batch, horizon, action size), where to begin.
            descent: How to descend.

        Returns:
            The best plan found from each row, with costs (batch,), and the number of iterations.
        """


class Stopwatch:
    """Says before each iteration whether one more fits into the budget.

    Args:
        budget: Seconds from now; infinite for none.
    """

    def __init__(self, budget: float) -> None:
        self._started = self._lap = time.perf_counter()
        self._budget = budget
        self._longest = 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    @property
    def left(self) -> float:
        """Seconds of the budget; negative when it is used up."""
        return self._budget - self.seconds

    def stop(self) -> None:
        """Let nothing fit any more."""
        self._budget = -math.inf

    def fits_another(self, expected: float = 0.0) -> bool:
        """Whether one more iteration fits into the budget.

        Args:
            expected: Seconds that it takes at least, as far as known.
        """
        now = time.perf_counter()
        self._longest = max(self._longest, now - self._lap, expected)
        self._lap = now
        return now - self._started + self._longest <= self._budget


def costs_in_time(
    cost: CostFunction, actions: Tensor, watch: Stopwatch, *, is_first: bool, stops: bool = True
) -> Tensor:
    """Costs of plans, as far as the budget allows.

    In the first iteration nobody knows how long it takes. So costs are computed piece by piece,
    from the first row on, until the time is over.

    Args:
        cost: The cost function.
        actions: (batch, horizon, action size).
        watch: Of the search.
        is_first: Whether this is the first iteration.
        stops: Whether to end the search when there was no time for all rows.

    Returns:
        Costs (batch,). What is not finite, or was not computed, counts as infinitely bad.
    """
    if not is_first or math.isinf(watch.left):
        return comparable(cost(actions))
    costs = torch.full((len(actions),), torch.inf)
    first, count, left, took = 0, _FEW, watch.left, 0.0
    while first < len(actions) and (first == 0 or 2.0 * took <= left):
        piece = slice(first, first + count)
        costs[piece] = comparable(cost(actions[piece]))
        took, left = left - watch.left, watch.left
        first, count = first + count, 2 * count
    if first < len(actions) and stops:
        watch.stop()
    return costs


def proposal_costs(cost: CostFunction, proposals: Tensor, watch: Stopwatch) -> Tensor:
    """Costs (batch,) of first plans. Of many, those are computed for which there is time (see
    `costs_in_time`); a few take no longer than an iteration."""
    return costs_in_time(cost, proposals, watch, is_first=len(proposals) > 2 * _FEW, stops=False)


def comparable(costs: Tensor) -> Tensor:
    """Costs in which everything that is not finite counts as infinitely bad."""
    return torch.where(costs.isfinite(), costs, torch.inf)


class BestPlans:
    """Keeps the best candidate seen so far of every row of a batch."""

    def __init__(self) -> None:
        self._actions: Tensor | None = None
        self._costs: Tensor | None = None

    def update(self, actions: Tensor, costs: Tensor) -> None:
        """Note further candidates.

        Args:
            actions: (n, horizon, action size), with the same n every time.
            costs: (n,).
        """
        actions, costs = actions.detach(), comparable(costs.detach())
        if self._actions is None or self._costs is None:
            self._actions, self._costs = actions.clone(), costs.clone()
            return
        better = costs < self._costs
        self._costs = torch.where(better, costs, self._costs)
        self._actions = torch.where(better[:, None, None], actions, self._actions)

    def result(self, *, complete: bool, iterations: int, seconds: float) -> PlanResult:
        if self._actions is None or self._costs is None:
            raise RuntimeError("no candidate was evaluated")
        order = self._costs.argsort()
        cost = float(self._costs[order[0]])
        status = PlanStatus.COMPLETE if complete else PlanStatus.OUT_OF_TIME
        if cost == torch.inf:
            status = PlanStatus.FAILED
        actions = self._actions[order]
        return PlanResult(actions[0], cost, status, iterations, seconds, actions[1:8])
