"""Other libraries' planners on a toy problem whose optimum is known."""

from __future__ import annotations

import pytest
import torch

from wm_mpc.experiments.speed import peer_solvers
from wm_mpc.experiments.speed.peer_solvers import BoundedCost

HORIZON, BLOCK = 3, 2
GOAL = torch.full((HORIZON, BLOCK), 0.5)


def toy(actions):
    return (actions - GOAL).square().sum((1, 2))


def outside(actions):
    """Lowest beyond the limits."""
    return (actions - 3.0).square().sum((1, 2))


def solver(name, cost):
    common = {"horizon": HORIZON, "block": BLOCK, "iterations": 30, "seed": 0}
    makers = {
        "gradient": lambda: peer_solvers.gradient_solver(cost, restarts=4, rate=0.1, **common),
        "cem": lambda: peer_solvers.sampling_solver(
            "CEMSolver", cost, samples=64, elites=8, **common
        ),
        "mppi": lambda: peer_solvers.sampling_solver(
            "MPPISolver", cost, samples=64, elites=8, **common
        ),
        "pytorch-mppi": lambda: peer_solvers.pytorch_mppi(cost, samples=64, **common),
    }
    try:
        return makers[name]()
    except peer_solvers.MissingPeerError as error:
        pytest.skip(f"not installed: {error}")


NAMES = ("gradient", "cem", "mppi", "pytorch-mppi")


@pytest.mark.parametrize("name", NAMES)
def test_solver_comes_near_the_optimum(name):
    plan = solver(name, BoundedCost(toy))()
    assert plan.shape == (HORIZON, BLOCK)
    assert float(toy(plan[None])[0]) < 0.5  # at rest: 1.5


@pytest.mark.parametrize("name", NAMES)
def test_plan_stays_inside_limits_it_knows_nothing_of(name):
    plan = solver(name, BoundedCost(outside, keeps_gradient=True))()
    assert plan.abs().max() <= 1.0
    assert plan.min() > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_solver_repeats_itself_with_a_seed(name):
    first, second = (solver(name, BoundedCost(toy))() for _ in range(2))
    assert torch.equal(first, second)


def test_starts_are_those_of_the_gradient_solver():
    seen = []

    def watching(actions):
        seen.append(actions.detach().clone())
        return toy(actions)

    solver("gradient", BoundedCost(watching))()
    starts = peer_solvers.gradient_solver_starts(4, HORIZON, BLOCK, 0)
    assert torch.equal(seen[0], starts.clamp(-1.0, 1.0))


def test_bounded_cost_keeps_the_slope_outside_only_when_asked():
    for keeps, expected in ((False, 0.0), (True, -4.0)):
        actions = torch.full((1, 1, 1, 1), 2.0, requires_grad=True)
        BoundedCost(outside, keeps_gradient=keeps).get_cost({}, actions).sum().backward()
        assert float(actions.grad) == expected


def test_lowest_cost_is_noted_only_while_watching():
    cost = BoundedCost(toy)
    cost.get_cost({}, GOAL[None, None])
    assert cost.best == torch.inf
    cost.watches = True
    cost.get_cost({}, GOAL[None, None])
    assert cost.best == 0.0
