"""Sampling first, then descent: a short cross-entropy search chooses the starts of the descent.

After Bharadhwaj et al. 2020 (arXiv 2003.06085) and Huang et al. 2021 (arXiv 2112.07746). Sampling
sees beyond a wall in the cost; descent reaches the bottom of the valley.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from wm_mpc.planning.gradient import GradientPlanner
from wm_mpc.planning.planner import (
    BestPlans,
    CostFunction,
    PlanResult,
    PlanStatus,
    Stopwatch,
    costs_in_time,
)

_SHARE = 0.6  # largest share of the time budget for sampling


@dataclasses.dataclass(frozen=True)
class CrossEntropyGradientPlanner:
    """A few rounds of sampling around the best plans, then descent from the very best.

    Each round keeps the better half of the plans. The first plans compete in the first round.

    Attributes:
        descent: Planner of the descent.
        samples: Candidates in each round.
        rounds: Number of rounds.
        deviation: Standard deviation of the noise on normalised actions in the first round. It
            halves with each round.
    """

    descent: GradientPlanner
    samples: int = 128
    rounds: int = 3
    deviation: float = 0.5

    def plan(
        self, cost: CostFunction, proposals: Tensor, *, budget: float, generator: torch.Generator
    ) -> PlanResult:
        """Search for the cheapest plan; see `Planner.plan`."""
        watch, sampling = Stopwatch(budget), Stopwatch(_SHARE * budget)
        starts, costs, done = self._sampled(cost, proposals, sampling, generator)
        best = BestPlans()
        best.update(starts, costs)
        if watch.seconds >= budget:
            return best.result(complete=False, iterations=done, seconds=watch.seconds)
        result = self.descent.plan(cost, starts, budget=budget - watch.seconds, generator=generator)
        if result.status is PlanStatus.FAILED:
            return best.result(complete=False, iterations=done, seconds=watch.seconds)
        complete = done == self.rounds and result.status is PlanStatus.COMPLETE
        return dataclasses.replace(
            result,
            status=PlanStatus.COMPLETE if complete else PlanStatus.OUT_OF_TIME,
            iterations=done + result.iterations,
            seconds=watch.seconds,
        )

    @torch.no_grad()
    def _sampled(
        self, cost: CostFunction, proposals: Tensor, watch: Stopwatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, int]:
        """The starts of the descent, their costs, and the number of rounds done."""
        wanted = self.descent.restarts
        actions = proposals.detach().clamp(-1.0, 1.0)
        costs = costs_in_time(cost, actions, watch, is_first=True)
        done = 0
        while done < self.rounds and watch.fits_another():
            order = costs.argsort()[: max(wanted, self.samples // 2)]
            actions, costs = actions[order], costs[order]
            parents = actions[torch.arange(self.samples) % len(actions)]
            noise = torch.randn(parents.shape, generator=generator)
            children = (parents + self.deviation * 0.5**done * noise).clamp(-1.0, 1.0)
            actions = torch.cat([actions, children])
            found = costs_in_time(cost, children, watch, is_first=done == 0)
            costs = torch.cat([costs, found])
            done += 1
        order = costs.argsort()[:wanted]
        return actions[order], costs[order], done
