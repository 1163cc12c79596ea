"""What becomes of a plan: kept back, brought forward, or searched again."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from wm_mpc.control.plan_choice import hastened, kept, leaves_scene, reaches_goal
from wm_mpc.model.familiarity import Familiarity
from wm_mpc.planning.planner import PlanResult, PlanStatus

SIZE, SKIP, HORIZON = 2, 5, 3
STILL = torch.zeros(SIZE)


class WayCost:
    """Costs of where a robot is at the ends of model steps, and of nothing in between."""

    def __init__(self, goal, early=0.0, committed=0):
        self.goal, self.early, self.committed = torch.tensor(goal), early, committed

    def __call__(self, plans):
        steps = plans.reshape(len(plans), HORIZON, SKIP, SIZE)
        ends = steps.sum(2).cumsum(1)
        return (ends - self.goal).norm(dim=-1).sum(1) + self.early * steps[:, 0, 0].abs().sum(-1)

    def predict(self, plans):
        return plans.reshape(len(plans), HORIZON, SKIP, SIZE).sum(2).cumsum(1)

    def scene_distance(self, latent):
        return float((latent - self.goal).norm())


def result_of(first, cost, status=PlanStatus.COMPLETE):
    actions = torch.zeros(HORIZON, SKIP * SIZE)
    actions[0] = torch.tensor(first).reshape(-1)
    price = float(cost(actions[None])[0])
    return PlanResult(actions, price, status, 1, 0.0, torch.zeros(0, HORIZON, SKIP * SIZE))


LATE = [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.2, -0.1], [0.4, -0.3]]


def block(result):
    return result.actions[0].reshape(SKIP, SIZE)


def test_what_can_be_done_at_once_is():
    cost = WayCost([0.6, -0.4])
    quick = hastened(result_of(LATE, cost), cost, STILL, 0.05)
    assert torch.allclose(block(quick)[0], torch.tensor([0.6, -0.4]), atol=1e-6)
    assert torch.allclose(block(quick)[1:], torch.zeros(4, 2), atol=1e-6)


def test_limits_of_the_actions_hold_and_the_way_stays_as_long():
    cost = WayCost([2.5, 0.5])
    quick = hastened(result_of([[0.5, 0.1]] * 5, cost), cost, STILL, 0.05)
    assert block(quick).abs().max() <= 1.0
    assert torch.allclose(block(quick).sum(0), torch.tensor([2.5, 0.5]), atol=1e-5)
    assert torch.allclose(block(quick)[:, 0], torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]), atol=1e-5)


def test_a_plan_stays_if_haste_costs_more_than_the_margin():
    cost = WayCost([0.6, -0.4], early=10.0)
    slow = result_of([[0.12, -0.08]] * 5, cost)
    assert hastened(slow, cost, STILL, 0.05) is slow


def test_haste_goes_as_far_as_the_margin_allows():
    """The cost counts the first action, so the way in more steps is cheaper than at once."""
    cost = WayCost([0.6, -0.4], early=1.0)
    slow = dataclasses.replace(result_of(LATE, cost), cost=0.5)
    quick = hastened(slow, cost, STILL, 0.0)
    assert quick is not slow
    assert torch.allclose(block(quick).sum(0), torch.tensor([0.6, -0.4]), atol=1e-5)
    assert quick.cost <= 0.5 + 1e-6
    assert block(quick)[0].abs().sum() < 1.0


def test_committed_actions_stay():
    cost = WayCost([0.6, -0.4], committed=2)
    first = [[0.3, 0.3], [-0.3, -0.3], *LATE[2:]]
    quick = hastened(result_of(first, cost), cost, STILL, 0.05)
    assert torch.equal(block(quick)[:2], torch.tensor(first[:2]))
    assert torch.allclose(block(quick)[2], torch.tensor([0.6, -0.4]), atol=1e-6)


@pytest.mark.parametrize("committed", [4, 5, 9])
def test_no_haste_if_all_is_committed(committed):
    cost = WayCost([0.6, -0.4], committed=committed)
    slow = result_of(LATE, cost)
    assert hastened(slow, cost, STILL, 0.05) is slow


def test_standing_still_need_not_be_the_middle_of_the_limits():
    """A base that only goes forward stands still at -1."""
    cost, still = WayCost([-3.0, -5.0]), torch.tensor([-1.0, -1.0])
    slow = result_of([[-1.0, -1.0], [-1.0, -1.0], [-0.5, -1.0], [-0.5, -1.0], [0.0, -1.0]], cost)
    quick = hastened(slow, cost, still, 0.05)
    wanted = [[1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0]]
    assert torch.allclose(block(quick), torch.tensor(wanted), atol=1e-6)
    resting = result_of([[-1.0, -1.0]] * 5, cost)
    assert torch.equal(hastened(resting, cost, still, 0.05).actions, resting.actions)


def test_a_failed_plan_stays_failed():
    cost = WayCost([0.6, -0.4])
    failed = result_of(LATE, cost, PlanStatus.FAILED)
    assert hastened(failed, cost, STILL, 0.05) is failed
    assert kept(failed, cost, failed.actions, 0.5) is failed


def model_of(step):
    known = None if step is None else Familiarity(prediction=1.0, image=1.0, step=step, moments=500)
    return SimpleNamespace(familiarity=known)


@pytest.mark.parametrize(
    ("step", "goal", "first", "expected"),
    [
        (1.0, [3.0, 0.0], [[0.0, 0.0]] * 5, True),  # away, and nothing is done
        (1.0, [3.0, 0.0], [[0.5, 0.0]] * 5, False),  # the plan goes there
        (1.0, [0.2, 0.0], [[0.0, 0.0]] * 5, False),  # as good as there
        (100.0, [3.0, 0.0], [[0.0, 0.0]] * 5, False),  # of a scene that moves fast, too
        (0.0, [3.0, 0.0], [[0.0, 0.0]] * 5, False),  # nobody knows how far that is
        (None, [3.0, 0.0], [[0.0, 0.0]] * 5, False),
    ],
)
def test_a_plan_that_leaves_the_scene_away_from_its_goal(step, goal, first, expected):
    cost = WayCost(goal)
    result = result_of(first, cost)
    assert leaves_scene(model_of(step), result, cost, torch.zeros(SIZE)) is expected


@pytest.mark.parametrize(
    ("step", "goal", "first", "expected"),
    [
        (1.0, [3.0, 0.0], [[0.0, 0.0]] * 5, False),
        (1.0, [3.0, 0.0], [[0.5, 0.0]] * 5, False),  # only on the way
        (1.0, [3.0, 0.0], [[0.56, 0.0]] * 5, True),  # within 0.3 model steps
        (0.0, [3.0, 0.0], [[0.6, 0.0]] * 5, False),  # nobody knows how far that is
    ],
)
def test_a_plan_that_reaches_the_goal(step, goal, first, expected):
    cost = WayCost(goal)
    assert reaches_goal(model_of(step), result_of(first, cost), cost) is expected
    failed = result_of(first, cost, PlanStatus.FAILED)
    assert not reaches_goal(model_of(step), failed, cost)
