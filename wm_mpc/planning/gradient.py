"""Gradient planners: descend the cost through the world model, from many starts at once.

`gd` and `adam` are those of arXiv 2512.09929 (there: one start, 100 to 300 iterations, learning
rate 0.2 to 0.3). After each step the actions are projected into the limits. So the gradient is
always taken at a feasible plan, and does not die at the limit.
"""

from __future__ import annotations

import dataclasses
from typing import cast

import torch
from torch import Tensor

from wm_mpc.native.descent import Descent
from wm_mpc.planning.descent_step import adam_direction, usable_slope
from wm_mpc.planning.planner import (
    BestPlans,
    CostFunction,
    DescendingCost,
    PlanResult,
    Stopwatch,
    proposal_costs,
)

_MOST_NOISE = 5_000_000  # most random numbers that are drawn at once


@dataclasses.dataclass(frozen=True)
class GradientPlanner:
    """Projected gradient descent from the best first plans.

    Attributes:
        iterations: Number of descent steps.
        learning_rate: Step size, in normalised actions.
        learning_rate_decay: Share of the step size that is lost, linearly, by the last iteration
            (0: constant). A plan then settles and does not jump about.
        noise: Standard deviation of the Gaussian noise on the actions after each step. It shrinks
            to zero over the iterations.
        restarts: Number of starts: the very first plan, and the cheapest of the others. Many first
            plans cost little more than one iteration, and find a way round a wall that no gradient
            shows.
        adaptive: Whether to use Adam (Kingma & Ba 2015, arXiv 1412.6980) or plain descent.
    """

    iterations: int = 30
    learning_rate: float = 0.3
    learning_rate_decay: float = 0.95
    noise: float = 0.0
    restarts: int = 16
    adaptive: bool = True

    def plan(
        self, cost: CostFunction, proposals: Tensor, *, budget: float, generator: torch.Generator
    ) -> PlanResult:
        """Search for the cheapest plan; see `Planner.plan`."""
        watch, best = Stopwatch(budget), BestPlans()
        actions = self._chosen(cost, proposals.detach().clamp(-1.0, 1.0), watch)
        found = self._descended(cost, actions, watch, generator)
        if found is not None:
            plans, costs, done = found
            best.update(plans, costs)
            complete = done == self.iterations
            return best.result(complete=complete, iterations=done, seconds=watch.seconds)
        mean, square = torch.zeros_like(actions), torch.zeros_like(actions)
        done = 0
        while True:
            last = done == self.iterations
            actions.requires_grad_(not last)
            costs = cost(actions)
            best.update(actions, costs)
            if last:
                break
            (slope,) = torch.autograd.grad(costs.sum(), actions)
            with torch.no_grad():
                step = slope = usable_slope(slope)
                if self.adaptive:
                    step = adam_direction(slope, mean, square, done + 1)
                rate = 1.0 - self.learning_rate_decay * done / self.iterations
                actions = actions.detach() - self.learning_rate * rate * step
                if self.noise > 0.0:
                    share = 1.0 - (done + 1) / self.iterations
                    noise = torch.randn(actions.shape, generator=generator)
                    actions = actions + self.noise * share * noise
                actions = actions.clamp(-1.0, 1.0)
            done += 1
            if not watch.fits_another():
                break
        return best.result(complete=done == self.iterations, iterations=done, seconds=watch.seconds)

    def _descended(
        self, cost: CostFunction, actions: Tensor, watch: Stopwatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, int] | None:
        """Let the cost descend by itself, if it can and if all noise can be drawn in advance."""
        if not getattr(cost, "can_descend", False):
            return None
        if self.noise > 0.0 and self.iterations * actions.numel() > _MOST_NOISE:
            return None
        descending = cast(DescendingCost, cost)
        noise = None
        if self.noise > 0.0:
            noise = torch.stack(
                [
                    self.noise
                    * (1.0 - (number + 1) / self.iterations)
                    * torch.randn(actions.shape, generator=generator)
                    for number in range(self.iterations)
                ]
            )
        descent = Descent(
            self.iterations, self.learning_rate, self.learning_rate_decay, self.adaptive,
            watch.left, noise,
        )  # fmt: skip
        return descending.descend(actions, descent)

    @torch.no_grad()
    def _chosen(self, cost: CostFunction, proposals: Tensor, watch: Stopwatch) -> Tensor:
        if len(proposals) <= self.restarts:
            return proposals
        costs = proposal_costs(cost, proposals, watch)
        costs[0] = -torch.inf
        return proposals[costs.argsort()[: self.restarts]]
