"""The cross-entropy method (Rubinstein & Kroese 2004): the sampling reference."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from wm_mpc.planning.planner import (
    BestPlans,
    CostFunction,
    PlanResult,
    Stopwatch,
    costs_in_time,
)


@dataclasses.dataclass(frozen=True)
class CrossEntropyPlanner:
    """Samples plans from a Gaussian and fits the Gaussian to the best ones.

    The mean begins at the first of the first plans. The paper's reference setting is 300 samples,
    30 elites and 30 iterations.

    Attributes:
        samples: Candidates in each iteration.
        elites: Best candidates, to which the Gaussian is fitted.
        iterations: Number of iterations.
        deviation: Initial standard deviation of normalised actions.
        smallest_deviation: The deviation never shrinks below this.
    """

    samples: int = 300
    elites: int = 30
    iterations: int = 30
    deviation: float = 1.0
    smallest_deviation: float = 0.02

    @torch.no_grad()
    def plan(
        self, cost: CostFunction, proposals: Tensor, *, budget: float, generator: torch.Generator
    ) -> PlanResult:
        watch, best = Stopwatch(budget), BestPlans()
        mean = proposals[0].detach().clamp(-1.0, 1.0)
        deviation = torch.full_like(mean, self.deviation)
        elites = min(self.elites, self.samples)
        done = 0
        while done < self.iterations and (done == 0 or watch.fits_another()):
            noise = torch.randn((self.samples, *mean.shape), generator=generator)
            noise[0] = 0.0  # the mean itself is a candidate
            actions = (mean + deviation * noise).clamp(-1.0, 1.0)
            costs = costs_in_time(cost, actions, watch, is_first=done == 0)
            order = costs.argsort()[:elites]
            chosen = actions[order]
            best.update(chosen, costs[order])
            mean = chosen.mean(0)
            deviation = chosen.std(0, correction=0).clamp(min=self.smallest_deviation)
            done += 1
        return best.result(complete=done == self.iterations, iterations=done, seconds=watch.seconds)
