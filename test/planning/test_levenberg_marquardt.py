"""Levenberg-Marquardt on sums of squares, and on the cost it is made for."""

from __future__ import annotations

import copy
import math
import time
import types

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.gradient import GradientPlanner
from wm_mpc.planning.levenberg_marquardt import LevenbergMarquardtPlanner, linearised
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.planner import PlanStatus

from ..conftest import mostly_slow

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


@pytest.mark.slow
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


class SumOfSquares:
    """Of any function of flat actions (batch, n); remembers everything it was asked."""

    def __init__(self, function):
        self.function, self.asked, self.answers = function, [], []

    def residuals(self, actions):
        return self.function(actions.flatten(1))

    def __call__(self, actions):
        costs = self.residuals(actions).square().sum(1)
        self.asked.append(actions.clone())
        self.answers.append(costs.clone())
        return costs


def shapes(scale, centre):
    return {
        "bowl": lambda a: scale * (a - centre),
        "flat": lambda a: 0.0 * a + scale,
        "one number": lambda a: scale * (a.sum(1, keepdim=True) - centre),
        "steep and shallow": lambda a: torch.cat([1e8 * (a[:, :1] - centre), 1e-8 * a[:, 1:]], 1),
        "overflow": lambda a: (80.0 * (a - centre)).exp() * scale,
        "root": lambda a: scale * (a - centre).abs().sqrt(),
        "logarithm": lambda a: scale * (a - centre).log(),
        "NaN": lambda a: torch.where(a[:, :1] > 0.2, torch.nan, a - centre),
    }


@pytest.mark.parametrize("shape", mostly_slow(sorted(shapes(1.0, 0.0)), 2))
@examples(max_examples=40, deadline=None)
@given(
    exponent=st.integers(-30, 30),
    centre=st.floats(-3, 3, width=32),
    spread=st.sampled_from([0.0, 0.5, 1.0, 5.0, 1e20]),
    seed=st.integers(0, 1000),
)
def test_plan_never_leaves_limits_and_is_the_best_seen(shape, exponent, centre, spread, seed):
    cost = SumOfSquares(shapes(10.0**exponent, centre)[shape])
    generator = torch.Generator().manual_seed(seed)
    proposals = spread * torch.randn(5, HORIZON, SIZE, generator=generator)
    result = search(cost, proposals, iterations=8)
    for actions in (result.actions, result.candidates, *cost.asked):
        assert (actions.abs() <= 1.0).all()  # false for NaN, too
    answers = torch.cat(cost.answers)
    found = answers[answers.isfinite()]
    assert result.cost == (float(found.min()) if len(found) else math.inf)
    assert (result.status is PlanStatus.FAILED) == (len(found) == 0)


def test_starts_do_not_slow_each_other_down():
    def valley_with_a_wall(actions):
        wall = 5000.0 * (actions[:, :1] - 0.9).clamp(min=0.0)
        return torch.cat([actions - 0.3, wall.expand_as(actions)], 1)

    start = torch.full((1, HORIZON, SIZE), -0.9)
    on_the_wall = torch.full((1, HORIZON, SIZE), 0.99)
    alone = search(SumOfSquares(valley_with_a_wall), start, iterations=2)
    beside = search(SumOfSquares(valley_with_a_wall), torch.cat([start, on_the_wall]), iterations=2)
    assert beside.cost <= alone.cost * (1.0 + 1e-5)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_units_of_the_cost_do_not_matter(scale):
    result = search(SumOfSquares(lambda actions: scale * (actions - 0.2)), iterations=10)
    assert (result.actions - 0.2).abs().max() < 1e-3


def test_overflow_on_the_way_is_survived():
    """Squares of these slopes overflow, though the costs do not."""
    cost = SumOfSquares(lambda actions: (40.0 * actions).exp())
    start = torch.full((1, HORIZON, SIZE), 1.0)
    result = search(cost, start, iterations=100)
    assert result.cost < 1e-6 * float(cost(start))


def test_proposals_and_global_random_numbers_are_left_alone(squares):
    before = torch.get_rng_state()
    proposals = torch.full((2, HORIZON, SIZE), 3.0)
    search(squares((0.3, -0.2)), proposals)
    assert (proposals == 3.0).all()
    assert torch.equal(torch.get_rng_state(), before)


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


def test_transformer_is_planned_through_as_well(model):
    sizes = Architecture(3, 4, 4, hidden=16, heads=2, dynamics="transformer")
    torch.manual_seed(0)
    other = WorldModel(model.spec, sizes).eval().requires_grad_(False)
    start = other.start(torch.randn(1, 1, other.latent_size), torch.zeros(1, 0, 6))
    cost = GoalCost(other, ObjectiveConfig(), start, torch.randn(other.latent_size))
    actions = torch.rand(3, 4, 6) * 2 - 1
    _, jacobian = linearised(cost.residuals, actions[:1])
    expected = torch.autograd.functional.jacobian(cost.residuals, actions[:1])
    torch.testing.assert_close(jacobian[0], expected[0].flatten(1), rtol=1e-3, atol=1e-6)
    assert search(cost, actions, iterations=5).cost < float(cost(actions).min())


def test_a_step_known_to_be_too_long_is_not_begun(squares):
    class Slow(squares):
        """Whose residuals take their time."""

        def residuals(self, actions):
            time.sleep(0.05)
            return super().residuals(actions)

    cost, proposals = Slow((0.3, -0.2)), torch.zeros(1, HORIZON, SIZE)
    planner = LevenbergMarquardtPlanner(iterations=3, restarts=1)

    def plan(budget):
        return planner.plan(cost, proposals, budget=budget, generator=torch.Generator())

    assert plan(math.inf).iterations == 3  # and now it knows
    hurried = plan(0.02)
    assert (hurried.iterations, hurried.status) == (0, PlanStatus.OUT_OF_TIME)
    assert hurried.seconds < 0.02
    assert torch.equal(hurried.actions, proposals[0])
    assert plan(math.inf).iterations == 3


def test_a_step_that_once_took_long_does_not_rule_out_steps_for_ever(squares):
    class Slow(squares):
        """The first time."""

        pause = 0.05

        def residuals(self, actions):
            time.sleep(self.pause)
            self.pause = 0.0
            return super().residuals(actions)

    cost, proposals = Slow((0.3, -0.2)), torch.zeros(1, HORIZON, SIZE)
    planner = LevenbergMarquardtPlanner(iterations=1, restarts=1)

    def steps(budget):
        generator = torch.Generator()
        return planner.plan(cost, proposals, budget=budget, generator=generator).iterations

    assert steps(math.inf) == 1
    assert steps(0.03) == 0
    assert any(steps(0.03) for _ in range(100))


@pytest.mark.parametrize("budget", [0.0, 0.1])
def test_many_first_plans_do_not_exceed_a_budget(squares, monkeypatch, budget):
    """Of 1000, a millisecond each, it looks at as many as there is time for."""
    passed = 0.0
    clock = types.SimpleNamespace(perf_counter=lambda: passed)
    monkeypatch.setattr("wm_mpc.planning.planner.time", clock)

    class Slow(squares):
        def __call__(self, actions):
            nonlocal passed
            passed += 1e-3 * len(actions)
            return super().__call__(actions)

    result = search(Slow((0.3, -0.2)), torch.zeros(1000, HORIZON, SIZE), budget=budget)
    assert (result.iterations, result.status) == (0, PlanStatus.OUT_OF_TIME)
    assert 0.032 <= passed <= max(budget, 0.032)
