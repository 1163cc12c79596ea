"""What a search begins from: the shifted last plan, learned plans, and fresh ones.

Between the receding horizon, which knows what is being executed, and a planner, which improves the
best of these. All plans are as planners search them: normalised actions, or moves of a robot moved
by positions (see `planning/objective.GoalCost`).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.planner import comparable
from wm_mpc.planning.registry import PlannerConfig


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a plan begins. latent, goal: (latent size,). rest: the normalised action that keeps the
    robot where it is; before: the one before the first planned one, (action size,) each. shifted:
    the rest of the last plan, normalised (steps, action size), or None without one."""

    latent: Tensor
    goal: Tensor
    rest: Tensor
    before: Tensor
    shifted: Tensor | None


class FirstPlans:
    """Of one world model. generator: of the random numbers."""

    def __init__(self, model: WorldModel, generator: torch.Generator) -> None:
        self._model, self._spec, self._generator = model, model.spec, generator
        change = model.spec.normalised_change
        self._change = None if change is None else torch.from_numpy(change)

    def proposals(self, start: Start, config: PlannerConfig, cost: GoalCost) -> Tensor:
        """First plans (n, horizon, block size): the shifted last plan, and noisy copies of it;
        learned ones, and noisy copies of them; and fresh ones that hold one direction, or two or
        three in turn, over the horizon. Learned and fresh ones share what `samples` leaves. Where
        `init` is not warm, the one it names comes before all of them."""
        steps, size = config.horizon * self._spec.frame_skip, self._spec.action.size
        rows = []
        if start.shifted is not None:
            shifted = self._as_searched(start.shifted[None], start.before)
            copies = max(1, config.restarts // 2)
            noise = 0.3 * torch.randn(copies, steps, size, generator=self._generator)
            noise[0] = 0.0
            rows.append(shifted + noise)
        else:
            rows.append(self._still(start).expand(1, steps, size))
        wanted = max(config.restarts, config.samples) - len(rows[0])
        if config.learned_start and wanted > 0:
            rows.append(self._learned(start, (3 * wanted + 3) // 4, steps))
            wanted -= len(rows[-1])
        if wanted > 0:
            rows.append(self._fresh(wanted, steps))
        shape = (-1, config.horizon, self._spec.block_size)
        proposals = torch.cat(rows).clamp(-1.0, 1.0).reshape(shape)
        if config.init != "warm":  # then the shifted last plan competes as one of the others
            proposals = torch.cat([self._first(start, config, proposals[:1], cost), proposals])
        return proposals

    def _still(self, start: Start) -> Tensor:
        """What standing still (action size,) is to a planner."""
        return torch.zeros_like(start.rest) if self._spec.rest_is_measured else start.rest

    @torch.no_grad()
    def _first(self, start: Start, config: PlannerConfig, warm: Tensor, cost: GoalCost) -> Tensor:
        """The first of the first plans (1, horizon, block size), unless `planner.init` is warm."""
        steps = warm.shape[1] * self._spec.frame_skip
        if config.init == "randn":
            return torch.randn(warm.shape, generator=self._generator).clamp(-1.0, 1.0)
        rest = self._still(start).expand(1, steps, -1).reshape(warm.shape)
        if config.init == "learned":
            learned = self._learned(start, self._model.architecture.proposals, steps)
            if len(learned):
                plans = learned.clamp(-1.0, 1.0).reshape(-1, *warm.shape[1:])
                return plans[comparable(cost(plans)).argmin()][None]
        return rest

    @torch.no_grad()
    def _learned(self, start: Start, most: int, steps: int) -> Tensor:
        """At most so many learned plans (n, steps, action size): as they are, then noisy copies;
        none where the model has none."""
        size = self._spec.action.size
        blocks = self._model.propose(start.latent, start.goal)
        if not len(blocks):
            return torch.zeros(0, steps, size)
        plans = self._as_searched(blocks.reshape(len(blocks), -1, size), start.before)
        rest = self._still(start).expand(len(plans), steps, -1)
        plans = torch.cat([plans, rest], 1)[torch.arange(most) % len(plans), :steps]
        noise = 0.25 * torch.randn(plans.shape, generator=self._generator)
        noise[: len(blocks)] = 0.0
        return plans + noise

    def _as_searched(self, plans: Tensor, before: Tensor) -> Tensor:
        """Plans of normalised actions (n, steps, action size) as a planner searches them: of a
        robot moved by positions the moves that follow them as fast as they may."""
        if not self._spec.rest_is_measured:
            return plans
        assert self._change is not None
        place, moves = before.expand(len(plans), -1), []
        for wanted in plans.unbind(1):
            moves.append(((wanted - place) / self._change).clamp(-1.0, 1.0))
            place = place + moves[-1] * self._change
        return torch.stack(moves, 1) if moves else plans

    def _fresh(self, count: int, steps: int) -> Tensor:
        """Plans (count, steps, action size) of one, two or three directions, each held a while.

        Half of the directions are full speed along, against or without each action: long ways
        are only found in time at full speed.
        """
        size = self._spec.action.size
        directions = torch.rand(count, 3, size, generator=self._generator) * 2.4 - 1.2
        full = torch.rand(count, 3, 1, generator=self._generator) < 0.5
        directions = torch.where(full, (1.25 * directions).round(), directions)
        turns = torch.randint(1, steps + 1, (count, 2), generator=self._generator)
        turns[::3] = steps  # a third of them never turns
        leg = (torch.arange(steps)[None, :, None] >= turns[:, None]).sum(-1)
        return directions.gather(1, leg[..., None].expand(count, steps, size))
