"""Levenberg-Marquardt: descent that knows how every latent follows from every action.

After Levenberg 1944 and Marquardt 1963, with the damping of Nielsen 1999 (IMM-REP-1999-05).
Jacobians are forward-mode, all directions at once beside a single rollout: for a few restarts as
fast as reverse mode or faster, and twice as fast as a rollout for every direction (measured).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.func import jvp, vmap

from wm_mpc.planning.planner import (
    BestPlans,
    CostFunction,
    PlanResult,
    Stopwatch,
    comparable,
    proposal_costs,
)

# In units of a restart's largest slope. Keeps systems solvable where an action has no effect.
_TINY = 1e-6
_MARGIN = 1.1  # of a step's time above what is remembered
_FORGETS = 0.1  # share of what is remembered, when a step was shorter
_RELENTS = 0.03  # the same, when for its sake no step was begun
_SEVERAL = 3  # steps, of which the shortest is no chance


class ResidualCost(Protocol):
    """A cost function whose gradient is that of a sum of squares."""

    def __call__(self, actions: Tensor) -> Tensor: ...

    def residuals(self, actions: Tensor) -> Tensor:
        """Of sequences (batch, horizon, action size): (batch, residuals), differentiable forwards.
        The gradient of their squares' sum is the gradient of the cost."""


@dataclasses.dataclass(frozen=True)
class LevenbergMarquardtPlanner:
    """Damped Gauss-Newton steps from the best proposals.

    restarts: as of `gradient.GradientPlanner`. damping: in units of the diagonal of the squared
    Jacobian, at the start; it falls after a step that lowered the cost as far as the step promised,
    and grows, ever faster, after one that did not lower it and is therefore not taken. Actions at a
    limit that a step would push outwards stay there, and the others are solved for.

    A step takes long. How long is remembered from plan to plan, so that not even the first one is
    begun that does not fit into the budget; then the best proposal is the plan.
    """

    iterations: int = 10
    restarts: int = 4
    damping: float = 1.0
    # By shape of the starts: how many steps were seen; how long (s) the shortest took, and the long
    # ones of the latest. The last fades, towards the shortest when several were seen: a step that
    # once took long by chance must not rule out steps for ever.
    _seconds: dict[torch.Size, tuple[int, float, float]] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @torch.no_grad()
    def plan(
        self, cost: CostFunction, proposals: Tensor, *, budget: float, generator: torch.Generator
    ) -> PlanResult:
        """Raises TypeError for a cost without residuals."""
        residuals = getattr(cost, "residuals", None)
        if residuals is None:
            raise TypeError("lm needs a cost that has residuals, as GoalCost; this one is a number")
        watch, best = Stopwatch(budget), BestPlans()
        actions = proposals.detach().clamp(-1.0, 1.0)
        costs = proposal_costs(cost, actions, watch)
        if len(actions) > self.restarts:
            ranked = costs.clone()
            ranked[0] = -torch.inf  # the first proposal always takes part
            order = ranked.argsort()[: self.restarts]
            actions, costs = actions[order], costs[order]
        best.update(actions, costs)
        damping = torch.full_like(costs, self.damping)
        growth = torch.full_like(costs, 2.0)
        done = 0
        seen, shortest, known = self._seconds.get(actions.shape, (0, torch.inf, 0.0))
        while done < self.iterations and watch.fits_another(_MARGIN * known):
            began = watch.seconds
            residual, jacobian = linearised(residuals, actions)
            moved, promised, unit = self._step(actions.flatten(1), jacobian, residual, damping)
            tried = moved.view_as(actions)
            found = comparable(cost(tried))
            gain = (costs - found) / unit / unit / promised.clamp(min=1e-12)
            is_better = found < costs
            actions = torch.where(is_better[:, None, None], tried, actions)
            costs = torch.where(is_better, found, costs)
            fall = (1.0 - (2.0 * gain - 1.0) ** 3).clamp(min=1.0 / 3.0)
            damping = (damping * torch.where(is_better, fall, growth)).clamp(1e-7, 1e9)
            growth = torch.where(is_better, torch.full_like(growth, 2.0), 2.0 * growth)
            best.update(actions, costs)
            done += 1
            took = watch.seconds - began
            shortest = min(took, shortest)
            known = max(took, known + _FORGETS * (took - known))
        if not done:
            least = min(shortest, known) if seen >= _SEVERAL else 0.0
            known += _RELENTS * (least - known)
        self._seconds[actions.shape] = seen + done, shortest, known
        return best.result(complete=done == self.iterations, iterations=done, seconds=watch.seconds)

    @staticmethod
    def _step(
        actions: Tensor, jacobian: Tensor, residual: Tensor, damping: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """actions (batch, n), jacobian (batch, m, n), residual (batch, m), damping (batch,) -> the
        actions after a step, inside the limits; by how much it promises to lower the cost, in
        squares of a unit; and the unit (batch,), of residuals: each restart has its own, so neither
        a steep one beside it nor a square that overflows stops it."""
        jacobian, residual = jacobian.nan_to_num(0.0), residual.nan_to_num(0.0)
        unit = jacobian.abs().amax((1, 2))
        unit = torch.where(unit > 0.0, unit, 1.0)
        jacobian = jacobian / unit[:, None, None]
        residual = (residual / unit[:, None]).nan_to_num()
        slope = torch.einsum("bmn,bm->bn", jacobian, residual)
        is_held = ((actions >= 1.0) & (slope < 0.0)) | ((actions <= -1.0) & (slope > 0.0))
        free = (~is_held).to(actions.dtype)
        jacobian, slope = jacobian * free[:, None], slope * free
        square = torch.einsum("bmn,bmk->bnk", jacobian, jacobian)
        diagonal = square.diagonal(dim1=1, dim2=2)
        scale = torch.maximum(diagonal, 1e-3 * diagonal.amax(1, keepdim=True) + _TINY)
        system = square + torch.diag_embed(damping[:, None] * scale + _TINY)
        step = -torch.linalg.solve_ex(system, slope)[0].nan_to_num(0.0)
        moved = (actions + step).clamp(-1.0, 1.0)
        taken = moved - actions
        after = residual + torch.einsum("bmn,bn->bm", jacobian, taken)
        return moved, residual.square().sum(1) - after.square().sum(1), unit


def linearised(residuals: Callable[[Tensor], Tensor], actions: Tensor) -> tuple[Tensor, Tensor]:
    """Residuals (batch, m) of actions (batch, horizon, action size), and their Jacobian (batch, m,
    n), n = horizon * action size: all directions at once, as a batch of forward derivatives."""
    size = actions[0].numel()
    directions = torch.eye(size, dtype=actions.dtype).view(size, 1, *actions.shape[1:])

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        found = jvp(residuals, (actions,), (direction,))
        return found[0], found[1]

    values, slopes = vmap(along)(directions.expand(size, *actions.shape))
    return values[0], slopes.permute(1, 2, 0)
