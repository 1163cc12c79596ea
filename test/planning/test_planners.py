"""Every planner against toy costs whose answer is known."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wm_mpc.planning import planner as planner_module
from wm_mpc.planning.planner import PlanStatus
from wm_mpc.planning.registry import PLANNERS, PlannerConfig, make_planner, paper_presets

HORIZON, SIZE = 3, 2

# For the linear-quadratic toy; gd's step is below 2 / (the largest curvature, 15.6).
THOROUGH = {
    "adam": PlannerConfig("adam", HORIZON, iterations=400, learning_rate=0.03),
    "gd": PlannerConfig("gd", HORIZON, iterations=600, learning_rate=0.1),
    "cem": PlannerConfig("cem", HORIZON, iterations=40, samples=300),
    "icem": PlannerConfig("icem", HORIZON, iterations=40, samples=300),
    "mppi": PlannerConfig("mppi", HORIZON, iterations=60, temperature=0.05, noise=0.2, samples=300),
    "cem_gd": PlannerConfig("cem_gd", HORIZON, iterations=400, learning_rate=0.03),
}
# Largest distance of any action from its optimum. Sampling planners stop where their noise does.
TOLERANCE = {
    "adam": 2e-3, "gd": 2e-3, "cem_gd": 2e-3, "cem": 0.05, "icem": 0.15, "mppi": 0.15,
}  # fmt: skip
QUICK = {
    "adam": PlannerConfig("adam", HORIZON, iterations=12),
    "gd": PlannerConfig("gd", HORIZON, iterations=12),
    "cem": PlannerConfig("cem", HORIZON, iterations=4, samples=24, elites=6),
    "icem": PlannerConfig("icem", HORIZON, iterations=4, samples=24, elites=6),
    "mppi": PlannerConfig("mppi", HORIZON, iterations=4, samples=24, elites=6),
    "cem_gd": PlannerConfig("cem_gd", HORIZON, iterations=12, samples=24, elites=6),
}
NEW_TOLERANCE = 0.5  # of planners without a line of their own


def thorough(name):
    """Settings with which a planner comes near the optimum; a new one needs no line above."""
    new = PlannerConfig(name, HORIZON, iterations=400, samples=300)
    return THOROUGH.get(name, new)


def quick(name):
    new = PlannerConfig(name, HORIZON, iterations=12, samples=24, elites=6)
    return QUICK.get(name, new)


# But lm, which wants more of a cost than numbers: see test_levenberg_marquardt.py.
every_planner = pytest.mark.parametrize("name", sorted({*PLANNERS} - {"lm"}))


class Recorded:
    """A cost function that remembers everything it was asked."""

    def __init__(self, cost):
        self.cost, self.asked, self.answers = cost, [], []

    def __call__(self, actions):
        costs = self.cost(actions)
        self.asked.append(actions.detach().clone())
        self.answers.append(costs.detach().clone())
        return costs


def plan(config, cost, proposals=None, *, budget=float("inf"), seed=0):
    generator = torch.Generator().manual_seed(seed)
    if proposals is None:
        proposals = torch.rand(4, HORIZON, SIZE, generator=generator) * 2 - 1
    return make_planner(config).plan(cost, proposals, budget=budget, generator=generator)


def quadratic(centre, scale=1.0):
    return lambda actions: scale * (actions - centre).square().sum((1, 2))


@every_planner
def test_known_optimum_is_found_when_no_limit_is_active(name, linear_quadratic):
    cost = linear_quadratic((0.3, -0.2))
    optimum = cost.optimum()
    assert optimum.abs().max() < 0.99
    result = plan(thorough(name), cost)
    assert (result.actions - optimum).abs().max() < TOLERANCE.get(name, NEW_TOLERANCE)
    assert result.status is PlanStatus.COMPLETE


@every_planner
def test_known_optimum_is_found_on_the_limits(name, linear_quadratic):
    cost = linear_quadratic((2.0, -0.2))
    optimum = cost.optimum()
    at_limit = optimum.abs() == 1.0
    assert 0 < at_limit.sum() < optimum.numel()
    result = plan(thorough(name), cost)
    assert (result.actions - optimum).abs().max() < TOLERANCE.get(name, NEW_TOLERANCE)


def test_limits_change_the_optimum_of_the_toy(linear_quadratic):
    """Otherwise cutting off the free optimum would pass for planning inside limits."""
    cost = linear_quadratic((2.0, -0.2))
    flat = torch.zeros(HORIZON * SIZE)

    def of(u):
        return cost(u.reshape(1, HORIZON, SIZE))[0]

    curvature = torch.autograd.functional.hessian(of, flat)
    slope = torch.autograd.functional.jacobian(of, flat)
    free = torch.linalg.solve(curvature, -slope).reshape(HORIZON, SIZE)
    assert (free.clamp(-1, 1) - cost.optimum()).abs().max() > 0.15


def costs_of_every_shape():
    """(name, cost) of well and badly behaved costs, by a scale and a centre."""

    def holes(value):
        def cost(actions):
            costs = actions.square().sum((1, 2))
            return torch.where(actions[:, 0, 0] > 0.2, torch.full_like(costs, value), costs)

        return cost

    return {
        "bowl": lambda scale, centre: quadratic(centre, scale),
        "cone": lambda scale, centre: lambda a: scale * (a - centre).abs().sum((1, 2)),
        "slope": lambda scale, centre: lambda a: scale * a.sum((1, 2)),
        "flat": lambda scale, centre: lambda a: 0.0 * a.sum((1, 2)) + scale,
        "waves": lambda scale, centre: lambda a: scale * (30 * a).sin().sum((1, 2)),
        "root": lambda scale, centre: lambda a: (a - centre).square().sum((1, 2)).sqrt() * scale,
        "logarithm": lambda scale, centre: lambda a: scale * (a[:, 0] - centre).log()[:, 0],
        "NaN": lambda scale, centre: holes(torch.nan),
        "infinity": lambda scale, centre: holes(torch.inf),
        "minus infinity": lambda scale, centre: holes(-torch.inf),
    }


@every_planner
@settings(max_examples=40, deadline=None)
@given(
    shape=st.sampled_from(sorted(costs_of_every_shape())),
    exponent=st.integers(-30, 37),
    centre=st.floats(-3, 3, width=32),
    spread=st.sampled_from([0.0, 0.5, 1.0, 5.0, 1e20]),
    seed=st.integers(0, 1000),
)
def test_plan_never_leaves_limits(name, shape, exponent, centre, spread, seed):
    cost = Recorded(costs_of_every_shape()[shape](10.0**exponent, centre))
    proposals = spread * torch.randn(
        3, HORIZON, SIZE, generator=torch.Generator().manual_seed(seed)
    )
    config = dataclasses.replace(quick(name), noise=0.3 * (seed % 2))
    result = plan(config, cost, proposals, seed=seed)
    for actions in (result.actions, result.candidates, *cost.asked):
        assert (actions.abs() <= 1.0).all()  # false for NaN, too


@every_planner
@pytest.mark.parametrize("shape", sorted(costs_of_every_shape()))
def test_best_plan_is_returned_and_not_the_last(name, shape):
    cost = Recorded(costs_of_every_shape()[shape](1.0, 0.4))
    result = plan(quick(name), cost)
    answers = torch.cat(cost.answers)
    assert result.cost == answers[answers.isfinite()].min()
    assert cost.cost(result.actions[None])[0] == result.cost


@pytest.mark.parametrize("name", ["adam", "gd"])
def test_descent_that_overshoots_keeps_the_best_plan(name):
    config = dataclasses.replace(
        quick(name), learning_rate=10.0, learning_rate_decay=0.0, restarts=1
    )
    cost = Recorded(quadratic(0.1, scale=0.99))
    result = plan(config, cost, torch.full((1, HORIZON, SIZE), 0.3))
    assert cost.answers[-1] > result.cost + 0.01
    assert result.cost == min(answer.item() for answer in cost.answers)


@pytest.mark.parametrize("name", ["adam", "cem", "mppi"])
def test_huge_costs_are_descended_like_small_ones(name):
    """Their squares overflow."""
    proposals = torch.full((1, HORIZON, SIZE), 0.9)
    result = plan(thorough(name), quadratic(0.2, scale=1e37), proposals)
    assert (result.actions - 0.2).abs().max() < 0.15


@every_planner
def test_other_good_plans_come_best_first(name):
    cost = quadratic(0.2)
    result = plan(quick(name), cost)
    assert len(result.candidates) > 0 or name not in QUICK  # a new planner may have none
    costs = [result.cost, *cost(result.candidates).tolist()]
    assert costs == sorted(costs)


@pytest.mark.parametrize("name", ["adam", "gd"])
@pytest.mark.parametrize("start", [1.0, -1.0, 7.0])
def test_gradient_is_alive_at_the_bound(name, start):
    config = dataclasses.replace(quick(name), learning_rate=0.1, iterations=60)
    result = plan(config, quadratic(0.2), torch.full((1, HORIZON, SIZE), start))
    assert (result.actions - 0.2).abs().max() < 0.05


@every_planner
def test_same_seed_gives_the_same_plan(name):
    config = dataclasses.replace(quick(name), noise=0.2)
    first, second = (plan(config, quadratic(0.2), seed=3) for _ in range(2))
    assert torch.equal(first.actions, second.actions)
    assert first.cost == second.cost


@every_planner
def test_seed_is_used(name):
    config = dataclasses.replace(quick(name), noise=0.2)
    proposals = torch.zeros(2, HORIZON, SIZE)
    first, second = (plan(config, quadratic(0.2), proposals, seed=seed) for seed in (3, 4))
    assert not torch.equal(first.actions, second.actions)


@every_planner
def test_global_random_numbers_are_left_alone(name):
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    plan(dataclasses.replace(quick(name), noise=0.2), quadratic(0.2))
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()  # type: ignore[index]


@every_planner
def test_proposals_are_left_alone(name):
    proposals = torch.full((2, HORIZON, SIZE), 3.0)
    plan(quick(name), quadratic(0.2), proposals)
    assert (proposals == 3.0).all()


@pytest.fixture
def clock(monkeypatch):
    """The planners' clock; time passes only when a cost function says so."""
    clock = types.SimpleNamespace(seconds=0.0)
    fake = types.SimpleNamespace(perf_counter=lambda: clock.seconds)
    monkeypatch.setattr(planner_module, "time", fake)
    return clock


def slow(cost, clock, seconds):
    def slowed(actions):
        clock.seconds += seconds
        return cost(actions)

    return Recorded(slowed)


@every_planner
def test_budget_ends_the_search_with_the_best_plan_so_far(name, clock):
    cost = slow(quadratic(0.2), clock, 0.03)
    result = plan(dataclasses.replace(quick(name), iterations=1000), cost, budget=0.1)
    assert result.status is PlanStatus.OUT_OF_TIME
    # A round of its own for the first plans, as in cem_gd, leaves time for two others.
    accepted = {"cem_gd": {2}}.get(name, {3} if name in QUICK else {2, 3})
    assert result.iterations in accepted
    assert result.cost == torch.cat(cost.answers).min()
    assert result.actions.shape == (HORIZON, SIZE)


@pytest.mark.parametrize("name", ["adam", "gd", "cem", "icem", "cem_gd"])
def test_budget_is_kept(name, clock):
    cost = slow(quadratic(0.2), clock, 0.03)
    result = plan(dataclasses.replace(quick(name), iterations=1000), cost, budget=0.1)
    assert result.seconds <= 0.1


@every_planner
def test_budget_too_short_for_anything_still_gives_a_plan(name, clock):
    cost = slow(quadratic(0.2), clock, 5.0)
    result = plan(quick(name), cost, budget=0.0)
    assert result.status is PlanStatus.OUT_OF_TIME
    # The rounds of cem_gd are more than a step.
    accepted = {"cem_gd": {0}}.get(name, {1} if name in QUICK else {0, 1})
    assert result.iterations in accepted
    assert np.isfinite(result.cost)


def a_millisecond_each(cost, clock):
    def slowed(actions):
        clock.seconds += 1e-3 * len(actions)
        return cost(actions)

    return Recorded(slowed)


@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "cem_gd"])
@pytest.mark.parametrize("budget", [0.04, 0.1, 0.25])
def test_not_even_the_first_round_exceeds_a_budget(name, clock, budget):
    """Of 1000 samples, a millisecond each, it looks at as many as there is time for."""
    recorded = a_millisecond_each(quadratic(0.2), clock)
    config = dataclasses.replace(quick(name), samples=1000)
    result = plan(config, recorded, torch.zeros(4, HORIZON, SIZE), budget=budget)
    assert result.status is PlanStatus.OUT_OF_TIME
    assert result.seconds <= max(budget, 0.036 + 0.032 * (name == "cem_gd"))
    assert result.cost == torch.cat(recorded.answers).min()
    if name != "cem_gd":  # which has the first word of each of its two parts
        assert result.seconds >= min(0.3 * budget, 0.032)


@pytest.mark.parametrize("name", ["adam", "gd"])
@pytest.mark.parametrize("budget", [0.0, 0.1, 0.25])
def test_many_first_plans_do_not_exceed_a_budget(name, clock, budget):
    """Of 1000, a millisecond each, it looks at as many as there is time for."""
    recorded = a_millisecond_each(quadratic(0.2), clock)
    config = dataclasses.replace(quick(name), restarts=8)
    result = plan(config, recorded, torch.zeros(1000, HORIZON, SIZE), budget=budget)
    assert result.status is PlanStatus.OUT_OF_TIME
    assert result.seconds <= max(budget, 0.032) + 0.008 + 1e-9  # its first iteration
    assert 32 <= sum(map(len, recorded.asked)) < 300


@pytest.mark.parametrize("name", ["cem", "icem", "mppi"])
def test_with_time_enough_all_samples_count_at_once_after_the_first_round(name, clock):
    cost = slow(quadratic(0.2), clock, 1e-3)
    config = dataclasses.replace(quick(name), samples=100, iterations=3)
    result = plan(config, cost, budget=1e6)
    assert result.status is PlanStatus.COMPLETE
    assert len(cost.asked[0]) == 32
    rounds = cost.asked[1:] if name != "mppi" else cost.asked[1:-1]
    assert sum(len(asked) > 32 for asked in rounds) >= 3


@every_planner
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_cost_that_is_nowhere_finite_fails(name, value):
    def cost(actions):
        return actions.sum((1, 2)) * 0.0 + value

    assert plan(quick(name), cost).status is PlanStatus.FAILED


@every_planner
def test_one_finite_candidate_is_enough(name):
    def cost(actions):
        finite = (actions == 0.0).all(-1).all(-1)
        return torch.where(finite, actions.sum((1, 2)), torch.inf)

    result = plan(quick(name), cost, torch.zeros(1, HORIZON, SIZE))
    assert result.status is PlanStatus.COMPLETE
    assert (result.actions == 0.0).all()


@every_planner
def test_smallest_settings_work(name):
    config = PlannerConfig(name, 1, iterations=1, restarts=1, samples=1, elites=1)
    result = plan(config, quadratic(0.2), torch.full((1, 1, 1), 0.5))
    assert result.status is PlanStatus.COMPLETE
    assert result.actions.isfinite().all()


@every_planner
def test_single_candidate_keeps_the_search_going(name):
    """The spread of one candidate is zero and not unknown."""
    config = dataclasses.replace(quick(name), samples=5, elites=1, iterations=20)
    cost = Recorded(quadratic(0.2))
    plan(config, cost)
    assert all(actions.isfinite().all() for actions in cost.asked)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "magic"}, r"planner\.type is 'magic'; accepted: adam, cem, cem_gd, gd, icem"),
        ({"horizon": 0}, r"planner\.horizon is 0"),
        ({"iterations": 0}, r"planner\.iterations is 0"),
        ({"init": "warm start"}, r"planner\.init is 'warm start'; accepted: warm, zero"),
        ({"restarts": -1}, r"planner\.restarts is -1"),
        ({"samples": 5, "elites": 6}, r"planner\.elites is 6.*planner\.samples, 5"),
    ],
)
def test_setting_out_of_range_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        PlannerConfig(**settings)


def test_presets_of_the_paper_are_as_published():
    presets = paper_presets()
    cem = presets["paper_cem"]
    assert (cem.samples, cem.elites, cem.iterations) == (300, 30, 30)
    assert (presets["paper_adam"].iterations, presets["paper_adam"].learning_rate) == (100, 0.3)
    assert presets["paper_gd"].iterations == 300
    assert all(preset.horizon == 5 and preset.restarts == 1 for preset in presets.values())


def test_gradient_planner_descends_from_the_best_proposals_and_the_first():
    """Two valleys: only the narrow one that a single proposal lies in is deep."""

    def cost(actions):
        offset = (actions - 0.8).abs().amax((1, 2))
        return torch.where(offset < 0.1, offset, 1.0 + actions.square().mean((1, 2)))

    proposals = torch.zeros(50, HORIZON, SIZE)
    proposals[37] = 0.85
    result = plan(dataclasses.replace(QUICK["adam"], restarts=4), cost, proposals)
    assert result.cost < 0.1
    assert len(result.candidates) == 3
    only_first = plan(dataclasses.replace(QUICK["adam"], restarts=1), cost, proposals)
    assert only_first.cost >= 1.0
