"""The first plans of a search: the shifted last plan, learned plans, and fresh ones.

This module sits between the receding horizon, which knows the executed actions, and a planner,
which improves the best first plans. All plans have the form that planners search: normalised
actions, or moves of a position robot (see `planning/objective.GoalCost`).
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
    """Where a plan begins.

    Attributes:
        latent: Latent of the observation, (latent size,).
        goal: Latent of the goal, (latent size,).
        rest: Normalised action (action size,) that keeps the robot where it is.
        before: Normalised action (action size,) before the first planned one.
        shifted: The rest of the last plan, normalised (steps, action size); None without one.
        stamp: Time of the observation, s.
        found: What a wide search found since the last plan, from now on, normalised (steps, action
            size); None without one.
    """

    latent: Tensor
    goal: Tensor
    rest: Tensor
    before: Tensor
    shifted: Tensor | None
    stamp: float
    found: Tensor | None = None


class FirstPlans:
    """Makes the first plans for one world model.

    Args:
        model: The world model.
        generator: Source of random numbers.
    """

    def __init__(self, model: WorldModel, generator: torch.Generator) -> None:
        self._model, self._spec, self._generator = model, model.spec, generator
        change = model.spec.normalised_change
        self._change = None if change is None else torch.from_numpy(change)

    def proposals(self, start: Start, config: PlannerConfig, cost: GoalCost) -> Tensor:
        """Make the first plans of one search.

        They are the shifted last plan and noisy copies of it, what a wide search found, learned
        plans and noisy copies of them, and fresh plans. A fresh plan holds one direction, or two or
        three in turn. Learned and fresh plans share the number that `samples` leaves. If `init` is
        not "warm", the plan that it names comes first.

        Args:
            start: Where the plan begins.
            config: Settings of the planner.
            cost: Cost of a plan, which ranks learned plans.

        Returns:
            First plans (n, horizon, block size) in [-1, 1].
        """
        steps, size = config.horizon * self._spec.frame_skip, self._spec.action.size
        rows = []
        if start.shifted is not None:
            shifted = self._as_searched(start.shifted[None], start.before)
            copies = max(1, config.restarts // 2)
            noise = 0.3 * torch.randn(copies, steps, size, generator=self._generator)
            noise[0] = 0.0
            rows.append(shifted + noise)
        else:
            rows.append(self.still(start).expand(1, steps, size))
        if start.found is not None:
            rows.append(self._as_searched(start.found[None], start.before))
        wanted = max(config.restarts, config.samples) - sum(len(some) for some in rows)
        if config.learned_start and wanted > 0:
            rows.append(self._learned(start, (3 * wanted + 3) // 4, steps))
            wanted -= len(rows[-1])
        if wanted > 0:
            rows.append(self._fresh(wanted, steps))
        shape = (-1, config.horizon, self._spec.block_size)
        proposals = torch.cat(rows).clamp(-1.0, 1.0).reshape(shape)
        if config.init != "warm":  # the shifted last plan then competes like the others
            proposals = torch.cat([self._first(start, config, proposals[:1], cost), proposals])
        return proposals

    def still(self, start: Start) -> Tensor:
        """Return standing still (action size,), in the form that a planner searches.

        Args:
            start: Where the plan begins.
        """
        return torch.zeros_like(start.rest) if self._spec.rest_is_measured else start.rest

    @torch.no_grad()
    def _first(self, start: Start, config: PlannerConfig, warm: Tensor, cost: GoalCost) -> Tensor:
        """The very first plan (1, horizon, block size), for any `planner.init` but "warm"."""
        steps = warm.shape[1] * self._spec.frame_skip
        if config.init == "randn":
            return torch.randn(warm.shape, generator=self._generator).clamp(-1.0, 1.0)
        rest = self.still(start).expand(1, steps, -1).reshape(warm.shape)
        if config.init == "learned":
            learned = self._learned(start, self._model.architecture.proposals, steps)
            if len(learned):
                plans = learned.clamp(-1.0, 1.0).reshape(-1, *warm.shape[1:])
                return plans[comparable(cost(plans)).argmin()][None]
        return rest

    @torch.no_grad()
    def _learned(self, start: Start, most: int, steps: int) -> Tensor:
        """At most `most` learned plans (n, steps, action size): each plan itself, then noisy
        copies.

        Empty if the model has no learned plans.
        """
        size = self._spec.action.size
        blocks = self._model.propose(start.latent, start.goal)
        if not len(blocks):
            return torch.zeros(0, steps, size)
        plans = self._as_searched(blocks.reshape(len(blocks), -1, size), start.before)
        rest = self.still(start).expand(len(plans), steps, -1)
        plans = torch.cat([plans, rest], 1)[torch.arange(most) % len(plans), :steps]
        noise = 0.25 * torch.randn(plans.shape, generator=self._generator)
        noise[: len(blocks)] = 0.0
        return plans + noise

    def _as_searched(self, plans: Tensor, before: Tensor) -> Tensor:
        """Convert plans of normalised actions (n, steps, action size) to the form that a planner
        searches.

        For a position robot, these are the moves that follow the plan as fast as possible.
        """
        if not self._spec.rest_is_measured:
            return plans
        assert self._change is not None
        place, moves = before.expand(len(plans), -1), []
        for wanted in plans.unbind(1):
            moves.append(((wanted - place) / self._change).clamp(-1.0, 1.0))
            place = place + moves[-1] * self._change
        return torch.stack(moves, 1) if moves else plans

    def _fresh(self, count: int, steps: int) -> Tensor:
        """Plans (count, steps, action size) of one, two or three directions, each held for a while.

        Half of the directions go at full speed along an action, against it, or leave it out. Only
        full speed finds long ways in time.
        """
        size = self._spec.action.size
        directions = torch.rand(count, 3, size, generator=self._generator) * 2.4 - 1.2
        full = torch.rand(count, 3, 1, generator=self._generator) < 0.5
        directions = torch.where(full, (1.25 * directions).round(), directions)
        turns = torch.randint(1, steps + 1, (count, 2), generator=self._generator)
        turns[::3] = steps  # every third plan never turns
        leg = (torch.arange(steps)[None, :, None] >= turns[:, None]).sum(-1)
        return directions.gather(1, leg[..., None].expand(count, steps, size))
