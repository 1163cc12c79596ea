"""Machine code and PyTorch say the same."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.model.world_model import Architecture, WorldModel
from wm_mpc.native.library import library
from wm_mpc.native.selection import native_model, why_not_native
from wm_mpc.planning.gradient import GradientPlanner
from wm_mpc.planning.objective import GoalCost, ObjectiveConfig
from wm_mpc.planning.planner import PlanStatus
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

pytestmark = pytest.mark.skipif(library() is None, reason="no C++ compiler here")

OBJECTIVES = {
    "default": ObjectiveConfig(),
    "last": ObjectiveConfig(mode="last", action_weight=0.0),
    "squared": ObjectiveConfig(distance="squared"),
    "everything": ObjectiveConfig(
        discount=0.5, state_weight=0.7, action_weight=0.1, action_rate_weight=0.3
    ),
}


def make_model(
    *,
    gate=True,
    hidden=32,
    rate_limit=None,
    state=("x",),
    angles=(),
    rounded=False,
    kind="velocity",
):
    spec = RobotSpec(
        "toy",
        ActionSpec(("a", "b"), kind, "m/s", (-1.0, -1.0), (1.0, 1.0), rate_limit),
        StateSpec(state, ("m",) * len(state), "odom", angles),
        ImageSpec(16, 16),
        control_period=0.1,
        frame_skip=3,
    )
    torch.manual_seed(0)
    model = WorldModel(spec, Architecture(3, 4, 4, hidden=hidden, gate=gate))
    model.eval().requires_grad_(False)
    for weight in (*model.dynamics.parameters(), *model.embedding.parameters()):
        weight.add_(0.3 * torch.randn_like(weight))  # so that everything matters
    if rounded:
        model.dynamics.round_weights()  # type: ignore[attr-defined]
    return model


def make_cost(model, objective=OBJECTIVES["everything"], *, committed=0, native=True):
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, model.latent_size, generator=generator)
    carry = model.start(latents[:1, None], torch.zeros(1, 0, 6))
    fixed = torch.rand(committed, 2, generator=generator)
    previous = torch.tensor([0.3, -0.9]) if model.spec.rest_is_measured else None
    return GoalCost(model, objective, carry, latents[1], fixed, previous=previous, native=native)


def some_actions(rows=5, horizon=4, seed=2):
    return torch.rand(rows, horizon, 6, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def assert_same(found, expected):
    """To 1e-4 of the largest number there is."""
    size = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-4 * max(1.0, size))


def by_torch(cost, actions):
    actions = actions.clone().requires_grad_()
    costs = cost(actions)
    return costs.detach(), torch.autograd.grad(costs.sum(), actions)[0]


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("gate", [True, False], ids=["gate", "no gate"])
@pytest.mark.parametrize("limit", [None, (4.0, 2.0)], ids=["free", "rate limit"])
@pytest.mark.parametrize("rounded", [False, True], ids=["float", "bfloat16"])
def test_costs_and_slopes_are_those_of_torch(objective, gate, limit, rounded):
    model = make_model(gate=gate, rate_limit=limit, rounded=rounded)
    for committed in (0, 1, 4, 40):
        cost = make_cost(model, objective, committed=committed)
        assert cost.can_descend
        actions = some_actions()
        expected, slopes = by_torch(cost, actions)
        weights = objective.step_weights(4)
        costs, found = cost._native.slopes(actions, weights)
        assert_same(costs, expected)
        assert_same(cost(actions), expected)
        assert_same(found, slopes)


@pytest.mark.parametrize("state", [("yaw",), ("x", "yaw"), ("arm", "x", "hand")], ids=str)
def test_costs_and_slopes_of_robots_with_angles_are_those_of_torch(state):
    angles = tuple(name for name in state if name != "x")
    model = make_model(state=state, angles=angles)
    assert native_model(model).struct.state == len(state) + len(angles)
    cost, actions = make_cost(model), some_actions()
    assert cost._use_state
    expected, slopes = by_torch(cost, actions)
    costs, found = cost._native.slopes(actions, OBJECTIVES["everything"].step_weights(4))
    assert_same(costs, expected)
    assert_same(found, slopes)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("limit", [None, (4.0, 2.0), (0.3, 20.0)])
def test_moves_of_positions_cost_what_torch_says(objective, limit):
    model = make_model(kind="position", rate_limit=limit)
    for committed in (0, 1, 4, 40):
        cost = make_cost(model, objective, committed=committed)
        actions = 1.5 * some_actions()  # beyond the limits, too
        expected, slopes = by_torch(cost, actions)
        costs, found = cost._native.slopes(actions, objective.step_weights(4))
        assert_same(costs, expected)
        assert_same(cost(actions), expected)
        assert_same(found, slopes)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9, 31, 64, 65, 130])
@pytest.mark.parametrize("horizon", [1, 2, 5])
@pytest.mark.parametrize("hidden", [32, 48])  # whole panels of columns, and not
@pytest.mark.parametrize("rounded", [False, True], ids=["float", "bfloat16"])
def test_any_number_of_rows_and_steps(rows, horizon, hidden, rounded):
    cost = make_cost(make_model(hidden=hidden, rounded=rounded))
    actions = some_actions(rows, horizon)
    expected, slopes = by_torch(cost, actions)
    weights = OBJECTIVES["everything"].step_weights(horizon)
    assert_same(cost(actions), expected)
    assert_same(cost._native.slopes(actions, weights)[1], slopes)


@pytest.mark.parametrize("rounded", [False, True], ids=["float", "bfloat16"])
def test_only_weights_that_bfloat16_holds_are_kept_in_half(rounded):
    struct = native_model(make_model(rounded=rounded)).struct
    gru = struct.gru
    large = (gru.from_embedding, gru.from_hidden)
    back = (gru.from_embedding_back, gru.from_hidden_back)
    assert [matrix.is_half for matrix in (*large, *back)] == [rounded] * 4
    assert not struct.from_input.is_half
    assert not struct.from_head.is_half


def test_a_robot_without_measured_state_can_be_planned_for():
    cost = make_cost(make_model(state=()), OBJECTIVES["default"])
    expected, _ = by_torch(cost, some_actions())
    assert_same(cost(some_actions()), expected)


def test_predicted_latents_are_those_of_torch():
    model = make_model(rate_limit=(4.0, 2.0))
    native, torch_ = (make_cost(model, committed=2, native=flag) for flag in (True, False))
    actions = some_actions(70)
    assert_same(native.predict(actions), torch_.predict(actions))


@pytest.mark.parametrize("adaptive", [True, False], ids=["adam", "gd"])
@pytest.mark.parametrize("noise", [0.0, 0.2], ids=["", "noise"])
def test_descent_finds_the_plan_torch_finds(adaptive, noise):
    model = make_model()
    planner = GradientPlanner(10, 0.05, restarts=6, noise=noise, adaptive=adaptive)
    results = [
        planner.plan(
            make_cost(model, committed=2, native=native),
            some_actions(20),
            budget=math.inf,
            generator=torch.Generator().manual_seed(3),
        )
        for native in (True, False)
    ]
    assert results[0].iterations == results[1].iterations == 10
    assert results[0].cost == pytest.approx(results[1].cost, abs=1e-4)
    torch.testing.assert_close(results[0].actions, results[1].actions, rtol=0, atol=1e-3)


def test_descent_keeps_the_best_not_the_last():
    cost = make_cost(make_model())
    planner = GradientPlanner(3, learning_rate=50.0, restarts=5)  # jumps between the limits
    start = some_actions()
    result = planner.plan(cost, start, budget=math.inf, generator=torch.Generator())
    assert result.cost <= float(cost(start).min()) + 1e-6
    assert float(cost(result.actions[None])) == pytest.approx(result.cost, abs=1e-5)


def test_a_budget_ends_the_descent():
    cost = make_cost(make_model())
    planner = GradientPlanner(1_000_000, restarts=5)
    result = planner.plan(cost, some_actions(), budget=0.02, generator=torch.Generator())
    assert result.status is PlanStatus.OUT_OF_TIME
    assert 1 <= result.iterations < 1_000_000
    assert result.seconds < 0.1


def test_a_model_gone_wrong_gives_no_plan():
    model = make_model()
    model.dynamics.head[-1].bias.fill_(math.nan)
    result = GradientPlanner(5).plan(
        make_cost(model), some_actions(), budget=math.inf, generator=torch.Generator()
    )
    assert result.status is PlanStatus.FAILED


def test_changed_weights_are_seen():
    model = make_model()
    before = make_cost(model)(some_actions())
    model.embedding.linear.weight.mul_(2.0)
    model.dynamics.head[-1].weight.mul_(2.0)
    after = make_cost(model)(some_actions())
    assert not torch.allclose(before, after)
    assert_same(after, by_torch(make_cost(model), some_actions())[0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: model.dynamics.requires_grad_(True), "being trained"),
        (lambda model: model.double(), "float64"),
    ],
)
def test_what_cannot_be_native_says_why(change, reason):
    model = make_model()
    change(model)
    assert native_model(model) is None
    assert reason in why_not_native(model)


def test_other_models_are_planned_with_by_torch():
    spec = make_model().spec
    sizes = Architecture(3, 4, 4, dynamics="transformer", hidden=8, heads=2)
    transformer = WorldModel(spec, sizes).requires_grad_(False)
    assert not make_cost(transformer).can_descend
    assert "transformer" in why_not_native(transformer)
    odd = make_model(hidden=9)
    assert not make_cost(odd).can_descend
    assert "hidden is 9" in why_not_native(odd)


def test_the_backend_can_be_chosen(monkeypatch):
    controller = RecedingHorizon(make_model())
    image = np.full((16, 16, 3), 90, np.uint8)
    controller.set_goal(image[::-1] + 100, np.zeros(1, np.float32))
    asked = []
    monkeypatch.setattr(
        GradientPlanner,
        "plan",
        lambda self, cost, *arguments, **settings: (
            asked.append(cost.can_descend) or plain(self, cost, *arguments, **settings)
        ),
        raising=True,
    )
    config = PlannerConfig(horizon=3, iterations=2, samples=10, elites=2, restarts=2)
    for backend in ("native", "torch"):
        controller.plan(
            image,
            np.zeros(1, np.float32),
            0.0,
            planner=dataclasses.replace(config, backend=backend),
            objective=ObjectiveConfig(),
        )
    assert asked == [True, False]
    with pytest.raises(ValueError, match="accepted: native, torch"):
        PlannerConfig(backend="cuda")


plain = GradientPlanner.plan
