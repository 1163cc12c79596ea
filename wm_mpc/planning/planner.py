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
    """actions: (horizon, action size) in [-1, 1], the best ever evaluated, not merely the last.
    cost: its cost. candidates: (n, horizon, action size) other good plans, best first (may be
    empty). seconds: wall time of the search."""

    actions: Tensor
    cost: float
    status: PlanStatus
    iterations: int
    seconds: float
    candidates: Tensor


class Planner(Protocol):
    """`plan` searches from `proposals` (n, horizon, action size); a planner may use any number of
    them and adds its own if it needs more. `budget` is in seconds (inf: none); the time of one
    iteration is reserved so that it is kept. `generator` makes results repeatable."""

    def plan(
        self,
        cost: CostFunction,
        proposals: Tensor,
        *,
        budget: float,
        generator: torch.Generator,
    ) -> PlanResult: ...


class DescendingCost(Protocol):
    """A cost function that can also descend by itself, faster than a planner from outside.
    can_descend: whether it can just now."""

    can_descend: bool

    def __call__(self, actions: Tensor) -> Tensor: ...

    def descend(self, actions: Tensor, descent: Descent) -> tuple[Tensor, Tensor, int]:
        """The best plan found from each row of actions (batch, horizon, action size), with their
        costs (batch,) and the number of iterations done."""


class Stopwatch:
    """Tells a planner, before each iteration, whether one more fits into the budget."""

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
        """From now on nothing fits any more."""
        self._budget = -math.inf

    def fits_another(self, expected: float = 0.0) -> bool:
        """expected: what is known (s) of how long one takes at least."""
        now = time.perf_counter()
        self._longest = max(self._longest, now - self._lap, expected)
        self._lap = now
        return now - self._started + self._longest <= self._budget


def costs_in_time(
    cost: CostFunction, actions: Tensor, watch: Stopwatch, *, is_first: bool, stops: bool = True
) -> Tensor:
    """Costs (batch,) of actions (batch, horizon, action size); what is not finite counts as
    infinitely bad. In the first iteration, of which nobody knows yet how long it takes, it is those
    there is time for, from the first one on; the others count as infinitely bad, too. stops: then
    the search ends, of which another iteration takes as long."""
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
    """Costs (batch,) of first plans; of many, of those there is time for, as `costs_in_time`. A few
    take no longer than an iteration, which there may be time for even if not for all."""
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
        """actions (n, horizon, action size), costs (n,); the same n every time."""
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
