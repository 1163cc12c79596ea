"""Levenberg-Marquardt: descent with the Jacobian of every latent by every action.

The method is that of Levenberg 1944 and Marquardt 1963, with the damping of Nielsen 1999
(IMM-REP-1999-05). Jacobians use forward mode, with all directions in one rollout. For a few
restarts this is at least as fast as reverse mode, and twice as fast as one rollout for each
direction (measured).
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

# In units of a restart's largest slope. Keeps systems solvable if an action has no effect.
_TINY = 1e-6
_MARGIN = 1.1  # factor on the remembered time of a step
_FORGETS = 0.1  # share by which the remembered time falls after a shorter step
_RELENTS = 0.03  # share by which it falls if it did not allow any step
_SEVERAL = 3  # so many steps make the shortest time reliable


class ResidualCost(Protocol):
    """A cost function with the same gradient as a sum of squares."""

    def __call__(self, actions: Tensor) -> Tensor: ...

    def residuals(self, actions: Tensor) -> Tensor:
        """Compute the residuals. The gradient of the sum of their squares is that of the cost.

        Args:
            actions: (batch, horizon, action size) in [-1, 1].

        Returns:
            (batch, residuals), differentiable in forward mode.
        """


@dataclasses.dataclass(frozen=True)
class LevenbergMarquardtPlanner:
    """Damped Gauss-Newton steps from the best first plans.

    If a step would push an action beyond its limit, that action stays, and the step solves for the
    others. Damping falls after a step that lowers the cost as much as expected. It grows, ever
    faster, after a step that does not lower the cost; such a step is not taken.

    A step takes long. The planner remembers its time from plan to plan, and does not begin a step
    that does not fit into the budget. Without any step, the best first plan is the result.

    Attributes:
        iterations: Number of steps.
        restarts: Number of starts, as in `gradient.GradientPlanner`.
        damping: Initial damping, in units of the diagonal of the squared Jacobian.
    """

    iterations: int = 10
    restarts: int = 4
    damping: float = 1.0
    # By shape of the starts: number of steps so far, the shortest time of a step (s), and the
    # longest recent time (s). The longest fades towards the shortest once there were several steps:
    # one slow step must not rule out all steps for ever.
    _seconds: dict[torch.Size, tuple[int, float, float]] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @torch.no_grad()
    def plan(
        self, cost: CostFunction, proposals: Tensor, *, budget: float, generator: torch.Generator
    ) -> PlanResult:
        """Search for the cheapest plan; see `Planner.plan`.

        Raises:
            TypeError: The cost has no residuals.
        """
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
        """One damped step of actions (batch, n), with Jacobian (batch, m, n) and residuals (batch,
        m).

        Returns the actions after the step, inside the limits; the expected fall of the cost, in
        squared units; and the unit (batch,) of the residuals. Each restart has its own unit. So
        neither a steeper restart nor an overflowing square stops it.
        """
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
    """Compute residuals and their Jacobian, with all directions as one batch in forward mode.

    Args:
        residuals: Maps (batch, horizon, action size) to (batch, m).
        actions: (batch, horizon, action size).

    Returns:
        Residuals (batch, m), and the Jacobian (batch, m, horizon * action size).
    """
    size = actions[0].numel()
    directions = torch.eye(size, dtype=actions.dtype).view(size, 1, *actions.shape[1:])

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        found = jvp(residuals, (actions,), (direction,))
        return found[0], found[1]

    values, slopes = vmap(along)(directions.expand(size, *actions.shape))
    return values[0], slopes.permute(1, 2, 0)
