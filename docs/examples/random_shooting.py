"""Random shooting: try many plans, keep the cheapest. The simplest planner there is."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from wm_mpc.planning.planner import (
    BestPlans,
    CostFunction,
    PlanResult,
    Stopwatch,
    comparable,
    proposal_costs,
)


@dataclasses.dataclass(frozen=True)
class RandomShootingPlanner:
    """Draws `samples` plans in each iteration, uniformly within the limits."""

    samples: int = 128
    iterations: int = 10

    @torch.no_grad()
    def plan(
        self,
        cost: CostFunction,
        proposals: Tensor,
        *,
        budget: float,
        generator: torch.Generator,
    ) -> PlanResult:
        watch, best = Stopwatch(budget), BestPlans()
        proposals = proposals.clamp(-1.0, 1.0)  # the limits
        costs = comparable(proposal_costs(cost, proposals, watch))
        first = costs.argmin()  # the best first plan competes
        best.update(proposals[first][None], costs[first][None])
        done = 0
        while done < self.iterations and watch.fits_another():
            shape = (self.samples, *proposals.shape[1:])
            actions = 2.0 * torch.rand(shape, generator=generator) - 1.0
            costs = comparable(cost(actions))
            cheapest = costs.argmin()
            best.update(actions[cheapest][None], costs[cheapest][None])
            done += 1
        is_complete = done == self.iterations
        return best.result(complete=is_complete, iterations=done, seconds=watch.seconds)
