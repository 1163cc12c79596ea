"""Machine code and PyTorch say the same."""

from __future__ import annotations

import ctypes
import dataclasses
import math

import numpy as np
import pytest
import torch

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint, save_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.dynamics import _Block
from wm_mpc.native.library import library
from wm_mpc.native.selection import native_model, why_not_native
from wm_mpc.planning.gradient import GradientPlanner
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.planner import PlanStatus
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

pytestmark = pytest.mark.skipif(library() is None, reason="no C++ compiler here")
torch.set_num_threads(1)  # threads of so small products wait for each other

OBJECTIVES = {
    "default": ObjectiveConfig(),
    "last": ObjectiveConfig(mode="last", action_weight=0.0),
    "squared": ObjectiveConfig(distance="squared"),
    "everything": ObjectiveConfig(
        discount=0.5, state_weight=0.7, action_weight=0.1, action_rate_weight=0.3
    ),
}


EACH = pytest.mark.parametrize("dynamics", ["gru", "transformer"])


def make_model(
    *,
    gate=True,
    hidden=32,
    rate_limit=None,
    state=("x",),
    angles=(),
    rounded=False,
    kind="velocity",
    history=1,
    **sizes,
):
    spec = RobotSpec(
        "toy",
        ActionSpec(("a", "b"), kind, "m/s", (-1.0, -1.0), (1.0, 1.0), rate_limit),
        StateSpec(state, ("m",) * len(state), "odom", angles),
        ImageSpec(16, 16),
        control_period=0.1,
        frame_skip=3,
        history=history,
    )
    torch.manual_seed(0)
    model = WorldModel(spec, Architecture(3, 4, 4, hidden=hidden, gate=gate, **sizes))
    model.eval().requires_grad_(False)
    # So that everything matters. A wilder transformer would be chaotic.
    spread = 0.15 if model.architecture.dynamics == "transformer" else 0.3
    for weight in (*model.dynamics.parameters(), *model.embedding.parameters()):
        weight.add_(spread * torch.randn_like(weight))
    if rounded:
        model.dynamics.round_weights()
    return model


def make_cost(model, objective=OBJECTIVES["everything"], *, committed=0, native=True):
    generator = torch.Generator().manual_seed(1)
    history = model.spec.history
    latents = torch.randn(history + 1, model.latent_size, generator=generator)
    executed = torch.rand(1, history - 1, 6, generator=generator) * 2 - 1
    carry = model.start(latents[None, :history], executed)
    fixed = torch.rand(committed, 2, generator=generator)
    previous = torch.tensor([0.3, -0.9]) if model.spec.rest_is_measured else None
    return GoalCost(model, objective, carry, latents[-1], fixed, previous=previous, native=native)


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


@EACH
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("gate", [True, False], ids=["gate", "no gate"])
@pytest.mark.parametrize("limit", [None, (4.0, 2.0)], ids=["free", "rate limit"])
@pytest.mark.parametrize("rounded", [False, True], ids=["float", "bfloat16"])
def test_costs_and_slopes_are_those_of_torch(dynamics, objective, gate, limit, rounded):
    model = make_model(gate=gate, rate_limit=limit, rounded=rounded, dynamics=dynamics)
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


@pytest.mark.parametrize("rows", [3, 64, 130])
@pytest.mark.parametrize("horizon", [2, 5])
@pytest.mark.parametrize("hidden", [32, 48])
def test_any_number_of_rows_and_steps_of_a_transformer(rows, horizon, hidden):
    cost = make_cost(make_model(hidden=hidden, dynamics="transformer", context=3))
    actions = some_actions(rows, horizon)
    expected, slopes = by_torch(cost, actions)
    assert_same(cost(actions), expected)
    found = cost._native.slopes(actions, OBJECTIVES["everything"].step_weights(horizon))[1]
    assert_same(found, slopes)


# Layers, heads, context, history and horizon. Heads are narrower or wider than a vector, or no
# whole number of vectors. The context ends before the plan does, in the history, or after both.
SHAPES = {
    "one of each": (1, 1, 1, 1, 1),
    "no memory": (2, 4, 1, 1, 4),
    "memory of one step": (1, 2, 2, 2, 5),
    "window slides out of the history": (2, 4, 4, 3, 6),
    "window slides along the plan": (3, 2, 3, 1, 8),
    "history fills the window": (2, 16, 4, 4, 3),
    "window is never full": (2, 3, 9, 2, 4),
    "window of several vectors": (1, 2, 19, 3, 21),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("rows", [1, 9])
def test_any_transformer_is_computed_as_by_torch(shape, rows):
    layers, heads, context, history, horizon = shape
    model = make_model(
        hidden=48, dynamics="transformer", layers=layers, heads=heads, context=context,
        history=history,
    )  # fmt: skip
    cost, actions = make_cost(model), some_actions(rows, horizon)
    expected, slopes = by_torch(cost, actions)
    costs, found = cost._native.slopes(actions, OBJECTIVES["everything"].step_weights(horizon))
    assert (slopes.abs().amax((0, 2)) > 0.0).all()
    assert_same(costs, expected)
    assert_same(cost(actions), expected)
    assert_same(found, slopes)
    with torch.no_grad():
        assert_same(cost.predict(actions), model.rollout(cost._carry, cost.bind(actions)))


def test_what_a_transformer_has_seen_matters():
    model = make_model(dynamics="transformer", history=3)
    cost, other = make_cost(model), make_cost(model)
    latent, *seen = other._carry
    other._carry = (latent, *[part.flip(2) for part in seen])
    other._native = other._in_machine_code()
    assert not torch.allclose(cost(some_actions()), other(some_actions()), atol=1e-3)
    assert_same(other(some_actions()), by_torch(other, some_actions())[0])


@EACH
def test_many_plans_follow_few_and_few_follow_many(dynamics):
    """The memory is kept between calls, and holds what the last call left there."""
    cost = make_cost(make_model(dynamics=dynamics, history=2))
    weights = OBJECTIVES["everything"].step_weights
    for rows, horizon in ((20, 9), (3, 4), (1, 1), (7, 6)):
        actions = some_actions(rows, horizon)
        expected, slopes = by_torch(cost, actions)
        assert_same(cost._native.slopes(actions, weights(horizon))[1], slopes)
        assert_same(cost(actions), expected)


@EACH
def test_a_loaded_checkpoint_plans_in_machine_code(dynamics, tmp_path):
    save_checkpoint(make_model(dynamics=dynamics, history=2), tmp_path / "model.safetensors", {})
    model, _ = load_checkpoint(tmp_path / "model.safetensors")
    assert why_not_native(model) == ""
    plans = []
    for backend in ("native", "torch"):
        controller = RecedingHorizon(model)
        image = np.full((16, 16, 3), 90, np.uint8)
        controller.set_goal(image[::-1] + 100, np.zeros(1, np.float32))
        config = PlannerConfig(horizon=3, iterations=5, restarts=4, backend=backend)
        plans.append(
            controller.plan(
                image, np.zeros(1, np.float32), 0.0, planner=config, objective=ObjectiveConfig()
            )
        )
    assert plans[0].result.cost == pytest.approx(plans[1].result.cost, abs=1e-4)
    np.testing.assert_allclose(plans[0].actions, plans[1].actions, rtol=0, atol=1e-3)


@pytest.mark.parametrize("rounded", [False, True], ids=["float", "bfloat16"])
def test_blocks_that_bfloat16_holds_are_kept_in_half(rounded):
    model = make_model(dynamics="transformer", layers=3, rounded=rounded)
    kind = native_model(model).struct.transformer
    blocks = ctypes.cast(kind.block, ctypes.POINTER(_Block))[: kind.blocks]
    assert len(blocks) == 3
    for block in blocks:
        parts = (block.project, block.merge, block.widen, block.narrow)
        back = (block.project_back, block.merge_back, block.widen_back, block.narrow_back)
        assert [matrix.is_half for matrix in (*parts, *back)] == [rounded] * 8


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


@EACH
def test_predicted_latents_are_those_of_torch(dynamics):
    model = make_model(rate_limit=(4.0, 2.0), dynamics=dynamics)
    native, torch_ = (make_cost(model, committed=2, native=flag) for flag in (True, False))
    actions = some_actions(70)
    assert_same(native.predict(actions), torch_.predict(actions))


@EACH
@pytest.mark.parametrize("adaptive", [True, False], ids=["adam", "gd"])
@pytest.mark.parametrize("noise", [0.0, 0.2], ids=["", "noise"])
def test_descent_finds_the_plan_torch_finds(dynamics, adaptive, noise):
    model = make_model(dynamics=dynamics)
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


@EACH
def test_descent_keeps_the_best_not_the_last(dynamics):
    cost = make_cost(make_model(dynamics=dynamics))
    planner = GradientPlanner(3, learning_rate=50.0, restarts=5)  # jumps between the limits
    start = some_actions()
    result = planner.plan(cost, start, budget=math.inf, generator=torch.Generator())
    assert result.cost <= float(cost(start).min()) + 1e-6
    assert float(cost(result.actions[None])) == pytest.approx(result.cost, abs=1e-5)


@EACH
def test_a_budget_ends_the_descent(dynamics):
    cost = make_cost(make_model(dynamics=dynamics))
    planner = GradientPlanner(1_000_000, restarts=5)
    result = planner.plan(cost, some_actions(), budget=0.02, generator=torch.Generator())
    assert result.status is PlanStatus.OUT_OF_TIME
    assert 1 <= result.iterations < 1_000_000
    assert result.seconds < 0.1


@EACH
def test_a_model_gone_wrong_gives_no_plan(dynamics):
    model = make_model(dynamics=dynamics)
    model.dynamics.head[-1].bias.fill_(math.nan)
    result = GradientPlanner(5).plan(
        make_cost(model), some_actions(), budget=math.inf, generator=torch.Generator()
    )
    assert result.status is PlanStatus.FAILED


@EACH
def test_changed_weights_are_seen(dynamics):
    model = make_model(dynamics=dynamics)
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
@EACH
def test_what_cannot_be_native_says_why(dynamics, change, reason):
    model = make_model(dynamics=dynamics)
    change(model)
    assert native_model(model) is None
    assert reason in why_not_native(model)


@EACH
def test_a_width_of_no_whole_vectors_is_planned_with_by_torch(dynamics):
    odd = make_model(hidden=9, dynamics=dynamics, heads=3)
    assert not make_cost(odd).can_descend
    assert "hidden is 9; a multiple of" in why_not_native(odd)


def test_dynamics_of_another_kind_are_planned_with_by_torch():
    class Still(torch.nn.Module):
        """A world in which nothing moves."""

        def start(self, latents, actions):
            return (latents[:, -1],)

        def step(self, carry, action):
            return carry, carry[0]

    model = make_model()
    model.dynamics = Still()
    cost = make_cost(model)
    assert not cost.can_descend
    assert cost(some_actions()).shape == (5,)
    assert why_not_native(model) == (
        "its dynamics are Still; only GruDynamics and TransformerDynamics are compiled"
    )


@EACH
def test_the_backend_can_be_chosen(dynamics, monkeypatch):
    controller = RecedingHorizon(make_model(dynamics=dynamics))
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
