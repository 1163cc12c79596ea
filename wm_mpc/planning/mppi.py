"""Model-predictive path integral control (Williams et al. 2017, arXiv 1509.01149)."""

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
class PathIntegralPlanner:
    """Moves a plan to the cost-weighted average of noisy copies of it.

    Attributes:
        samples: Candidates in each iteration.
        iterations: Number of iterations.
        temperature: In standard deviations of the sampled costs, so it does not depend on the scale
            of the cost.
        deviation: Standard deviation of the noise on normalised actions.
    """

    samples: int = 300
    iterations: int = 5
    temperature: float = 0.1
    deviation: float = 0.5

    @torch.no_grad()
    def plan(
        self, cost: CostFunction, proposals: Tensor, *, budget: float, generator: torch.Generator
    ) -> PlanResult:
        """Search for the cheapest plan; see `Planner.plan`."""
        watch, best = Stopwatch(budget), BestPlans()
        mean = proposals[0].detach().clamp(-1.0, 1.0)
        done = 0
        while done < self.iterations and (done == 0 or watch.fits_another()):
            noise = torch.randn((self.samples, *mean.shape), generator=generator)
            noise[0] = 0.0
            actions = (mean + self.deviation * noise).clamp(-1.0, 1.0)
            if done == 0:  # first plans compete in the first iteration
                count = min(len(proposals), self.samples - 1)
                actions[1 : count + 1] = proposals[:count].clamp(-1.0, 1.0)
            costs = costs_in_time(cost, actions, watch, is_first=done == 0)
            best.update(actions, costs)
            finite = costs[costs.isfinite()]
            if len(finite):
                # In double precision, so that the spread of huge costs does not overflow.
                scale = self.temperature * finite.double().std(correction=0).clamp(min=1e-9)
                weights = torch.softmax(-(costs.double() - finite.min()) / scale, 0)
                mean = torch.einsum("n,nha->ha", weights.to(actions.dtype), actions)
                mean = mean.clamp(-1.0, 1.0)  # a weighted average rounds
            done += 1
        repeated = mean.expand(self.samples, *mean.shape)
        average = torch.full((self.samples,), torch.inf)
        if watch.left > 0.0:
            average[0] = cost(mean[None])[0]
        best.update(repeated, average)
        return best.result(complete=done == self.iterations, iterations=done, seconds=watch.seconds)
