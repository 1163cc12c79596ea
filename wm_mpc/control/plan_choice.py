"""What becomes of the plan that a search found: kept back, brought forward, or searched again."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from wm_mpc.model.familiarity import usual_step
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.planner import PlanResult, PlanStatus

_AWAY = 0.3  # model steps of the usual length; nearer, the scene counts as at its goal
_LEFT = 0.7  # share of the scene's distance to the goal; a plan that leaves more does not help it


@torch.no_grad()
def kept(result: PlanResult, cost: GoalCost, last: Tensor, margin: float) -> PlanResult:
    """Take the rest of the last plan, unless the new one is better by a margin.

    Plans from one control step to the next differ by chance. A robot that follows each for one step
    only goes to and fro.

    Args:
        result: The new plan.
        cost: Its cost function.
        last: The rest of the last plan, (horizon, block size).
        margin: Share of the cost of `last`.
    """
    if result.status is PlanStatus.FAILED:
        return result
    price = float(cost(last[None])[0])
    if not math.isfinite(price) or result.cost < (1.0 - margin) * price:
        return result
    others = torch.cat([result.actions[None], result.candidates])
    return dataclasses.replace(result, actions=last, cost=price, candidates=others)


@torch.no_grad()
def hastened(result: PlanResult, cost: GoalCost, still: Tensor, margin: float) -> PlanResult:
    """Do what a plan does in its first model step as soon as possible, if that costs little more.

    The cost looks at the ends of model steps only, so when a plan moves within a model step is
    left to chance. A robot that plans again in each control step executes only the first part of
    it, and never arrives.

    Args:
        result: The plan.
        cost: Its cost function.
        still: The action that stands still, in the form that planners search, (action size,).
        margin: Largest increase of the cost, as a share of it.

    Returns:
        The same way, in as few control steps as the limits of the actions and the margin allow.
        Committed actions stay as they are; if they fill the first model step, so does the plan.
    """
    size, committed = len(still), cost.committed
    block = result.actions[0].reshape(-1, size)[committed:]
    if result.status is PlanStatus.FAILED or len(block) < 2:
        return result
    plans = result.actions.repeat(len(block) - 1, 1, 1)
    for index, plan in enumerate(plans):
        plan[0, committed * size :] = _in_steps(block, still, index + 1).reshape(-1)
    for plan, price in zip(plans, cost(plans).tolist(), strict=True):
        if price <= (1.0 + margin) * result.cost:
            return dataclasses.replace(result, actions=plan, cost=price)
    return result


def _in_steps(block: Tensor, still: Tensor, steps: int) -> Tensor:
    """The way of a block (actions, action size) in `steps` actions, or more if the limits ask for
    it. Then it stands still."""
    moves = block - still
    count, size = moves.shape
    way = torch.cat([torch.zeros(1, size), moves.cumsum(0)])
    gone, actions = torch.zeros(size), []
    for number in range(1, count + 1):
        at = min(number * count / steps, float(count))
        whole = min(int(at), count - 1)
        wanted = way[whole] + (at - whole) * moves[whole]
        actions.append((wanted - gone + still).clamp(-1.0, 1.0))
        gone = gone + actions[-1] - still
    return torch.stack(actions)


@torch.no_grad()
def reaches_goal(model: WorldModel, result: PlanResult, cost: GoalCost) -> bool:
    """Whether the scene is at its goal when a plan ends, as far as the model can tell.

    Args:
        model: The world model. One that does not know how far its scene moves in a model step says
            no.
        result: The plan.
        cost: Its cost function.
    """
    if result.status is PlanStatus.FAILED:
        return False
    return _left_at_end(result, cost) < _AWAY * usual_step(model)


@torch.no_grad()
def leaves_scene(model: WorldModel, result: PlanResult, cost: GoalCost, present: Tensor) -> bool:
    """Whether the scene is away from its goal, and a plan leaves it so.

    This is a local minimum: the robot is where the goal shows it, and each way to push the thing
    first leads away from there.

    Args:
        model: The world model. One that does not know how far its scene moves in a model step says
            no.
        result: The plan.
        cost: Its cost function.
        present: The present latent, (latent size,).
    """
    step = usual_step(model)
    if result.status is PlanStatus.FAILED or step <= 0.0:
        return False
    now = cost.scene_distance(present)
    return now > _AWAY * step and _left_at_end(result, cost) > _LEFT * now


def _left_at_end(result: PlanResult, cost: GoalCost) -> float:
    """How far the scene is from its goal when a plan ends."""
    return cost.scene_distance(cost.predict(result.actions[None])[0, -1])
