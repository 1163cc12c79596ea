"""Levenberg-Marquardt on sums of squares, and on the cost it is made for."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from wm_mpc.planning.gradient import GradientPlanner
from wm_mpc.planning.levenberg_marquardt import LevenbergMarquardtPlanner, linearised
from wm_mpc.planning.objective import GoalCost, ObjectiveConfig
from wm_mpc.planning.planner import PlanStatus

HORIZON, SIZE = 3, 2  # of the toy
OBJECTIVES = {
    "default": ObjectiveConfig(),
    "last": ObjectiveConfig("last", action_weight=0.0, distance="squared"),
    "everything": ObjectiveConfig(state_weight=0.7, action_weight=0.1, action_rate_weight=0.3),
}


@pytest.fixture
def squares(linear_quadratic):
    class Squares(linear_quadratic):
        """The linear-quadratic toy, which also tells what it is the sum of squares of."""

        def residuals(self, actions):
            state = torch.zeros(len(actions), 4)
            rows = [math.sqrt(0.05) * actions.flatten(1)]
            for action in actions.unbind(1):
                state = state @ self.free.T + action @ self.push.T
                rows.append(2.0 * (state - self.goal))
            return torch.cat(rows, 1)

    return Squares


def search(cost, proposals=None, *, budget=math.inf, **settings):
    generator = torch.Generator().manual_seed(0)
    if proposals is None:
        proposals = torch.rand(6, HORIZON, SIZE, generator=generator) * 2 - 1
    planner = LevenbergMarquardtPlanner(**settings)
    return planner.plan(cost, proposals, budget=budget, generator=generator)


@pytest.mark.parametrize("place", [(0.3, -0.2), (2.0, -0.2), (2.0, 2.0)])
def test_known_optimum_is_found_inside_and_on_the_limits(squares, place):
    cost = squares(place)
    result = search(cost, iterations=30)
    assert result.status is PlanStatus.COMPLETE
    assert (result.actions - cost.optimum()).abs().max() < 2e-3
    assert (result.actions.abs() <= 1.0).all()


def test_few_iterations_are_enough_where_descent_needs_many(squares):
    cost = squares((0.3, -0.2))
    start = torch.zeros(1, HORIZON, SIZE)
    best = float(cost(cost.optimum()[None]))
    found = search(cost, start, iterations=5, restarts=1).cost - best
    descended = GradientPlanner(5, 0.1, restarts=1).plan(
        cost, start, budget=math.inf, generator=torch.Generator()
    )
    assert found < 0.01 * (descended.cost - best)


def test_starts_are_the_first_proposal_and_the_best_ones(squares):
    cost = squares((0.3, -0.2))
    proposals = torch.rand(50, HORIZON, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    result = search(cost, proposals, iterations=1, restarts=3)
    assert len(result.candidates) == 2
    assert result.cost < float(cost(proposals).min())


def test_same_proposals_give_the_same_plan(squares):
    first, second = (search(squares((2.0, -0.2))) for _ in range(2))
    assert torch.equal(first.actions, second.actions)


def test_budget_ends_the_search(squares):
    result = search(squares((0.3, -0.2)), iterations=100000, budget=0.05)
    assert result.status is PlanStatus.OUT_OF_TIME
    assert 1 <= result.iterations < 100000


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_cost_that_is_nowhere_finite_fails(squares, value):
    class Broken(squares):
        def __call__(self, actions):
            return super().__call__(actions) * value

        def residuals(self, actions):
            return super().residuals(actions) * value

    assert search(Broken((0.3, -0.2)), iterations=3).status is PlanStatus.FAILED


def test_a_cost_that_is_only_a_number_is_refused():
    with pytest.raises(TypeError, match="residuals"):
        search(lambda actions: actions.sum((1, 2)))


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_residuals_have_the_slope_of_the_goal_cost(model, carry, goal, actions, objective):
    cost = GoalCost(model, objective, carry, goal, torch.ones(2, 2), native=False)
    one, other = (actions.clone().requires_grad_() for _ in range(2))
    (expected,) = torch.autograd.grad(cost(one).sum(), one)
    (slope,) = torch.autograd.grad(cost.residuals(other).square().sum(), other)
    torch.testing.assert_close(slope, expected, rtol=1e-4, atol=1e-6)


def test_squared_cost_is_the_sum_of_squares(model, carry, goal, actions):
    objective = ObjectiveConfig("all", action_rate_weight=0.2, distance="squared")
    cost = GoalCost(model, objective, carry, goal, native=False)
    torch.testing.assert_close(cost.residuals(actions).square().sum(1), cost(actions))


def test_jacobian_is_that_of_finite_differences(model, carry, goal, actions):
    model = copy.deepcopy(model).double()
    carry = tuple(part.double() for part in carry)
    objective = ObjectiveConfig("all", distance="squared")
    cost = GoalCost(model, objective, carry, goal.double(), native=False)
    actions = actions[:2].double()
    residual, jacobian = linearised(cost.residuals, actions)
    torch.testing.assert_close(residual, cost.residuals(actions))
    for number in range(actions[0].numel()):
        shift = torch.zeros(actions[0].numel(), dtype=torch.float64)
        shift[number] = 1e-6
        shift = shift.view(actions[0].shape)
        ahead, behind = cost.residuals(actions + shift), cost.residuals(actions - shift)
        torch.testing.assert_close(
            jacobian[..., number], (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_plans_through_a_world_model_become_better(model, carry, goal, actions, objective):
    cost = GoalCost(model, objective, carry, goal)
    result = search(cost, actions, iterations=5, restarts=5)
    assert result.cost < float(cost(actions).min())
    assert float(cost(result.actions[None])) == pytest.approx(result.cost, rel=1e-5)
