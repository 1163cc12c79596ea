"""What a plan costs."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.familiarity import Familiarity
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.sim.tasks.maze import Maze
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec


def squared(*arguments, **settings):
    return ObjectiveConfig(*arguments, distance="squared", **settings)


LAST = squared(mode="last", action_weight=0.0)


@given(
    st.sampled_from(["last", "all"]),
    st.floats(0.01, 1.0),
    st.integers(1, 100),
)
def test_step_weights_sum_to_one(mode, discount, horizon):
    weights = ObjectiveConfig(mode, discount).step_weights(horizon)
    assert weights.shape == (horizon,)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-5)


def test_discount_is_the_weight_of_a_step_relative_to_the_next():
    weights = squared("all", 0.25).step_weights(4)
    assert (weights[:-1] / weights[1:]).tolist() == pytest.approx([0.25] * 3)


def test_mode_last_counts_the_last_step_only(model, carry, goal, actions):
    last = model.rollout(carry, actions)[:, -1, : model.scene_size]
    expected = (last - goal[: model.scene_size]).square().sum(-1)
    assert torch.allclose(GoalCost(model, LAST, carry, goal)(actions), expected)


def test_mode_all_counts_every_step_by_its_weight(model, carry, goal, actions):
    config = squared("all", 0.5, action_weight=0.0)
    scene = model.rollout(carry, actions)[..., : model.scene_size]
    distance = (scene - goal[: model.scene_size]).square().sum(-1)
    expected = distance @ torch.tensor([1.0, 2.0, 4.0, 8.0]) / 15.0
    assert torch.allclose(GoalCost(model, config, carry, goal)(actions), expected)


def test_plan_that_reaches_the_goal_costs_nothing(model, carry, actions):
    goal = model.rollout(carry, actions)[2, -1]
    costs = GoalCost(model, squared("last", state_weight=1.0, action_weight=0.0), carry, goal)(
        actions
    )
    assert costs[2] == pytest.approx(0.0, abs=1e-10)
    assert (costs[[0, 1, 3, 4]] > 1e-6).all()


def test_state_weight_adds_the_distance_of_the_robot_state(model, carry, goal, actions):
    weighted = GoalCost(model, squared("last", state_weight=3.0, action_weight=0.0), carry, goal)
    state = model.rollout(carry, actions)[:, -1, model.scene_size :]
    extra = 3.0 * (state - goal[model.scene_size :]).square().mean(-1)
    expected = GoalCost(model, LAST, carry, goal)(actions) + extra
    assert torch.allclose(weighted(actions), expected)


@pytest.mark.parametrize("native", [False, True])
def test_without_a_weight_of_ours_the_place_weighs_what_the_checkpoint_says(
    model, carry, goal, actions, native, monkeypatch
):
    def costs(weight):
        config = dataclasses.replace(LAST, state_weight=weight)
        return GoalCost(model, config, carry, goal, native=native)(actions)

    assert torch.equal(costs(-1.0), costs(0.0))  # it says nothing
    says = Familiarity(1.0, 1.0, 1.0, 100, place_weight=0.7)
    monkeypatch.setattr(model, "familiarity", says)
    assert torch.equal(costs(-1.0), costs(0.7))
    assert not torch.equal(costs(-1.0), costs(0.0))


@pytest.mark.parametrize("native", [False, True])
def test_velocity_at_the_goal_is_no_part_of_the_goal(native):
    state = StateSpec(("x", "vx", "wz"), ("m", "m/s", "rad/s"), "odom")
    spec = dataclasses.replace(Maze.spec, state=state)
    torch.manual_seed(0)
    model = WorldModel(spec, Architecture(3, 4, 4, hidden=16)).requires_grad_(False)
    carry, actions = model.start(torch.randn(1, 2, 9), torch.zeros(1, 1, 10)), torch.rand(5, 4, 10)
    goal = torch.randn(9)
    faster, elsewhere = goal.clone(), goal.clone()
    faster[7:] += 2.0
    elsewhere[6] += 2.0
    config = squared("last", state_weight=3.0, action_weight=0.0)
    here, fast, there = (
        GoalCost(model, config, carry, wanted, native=native)
        for wanted in (goal, faster, elsewhere)
    )
    assert torch.equal(here(actions), fast(actions))
    assert torch.allclose(here.residuals(actions).square().sum(1), here(actions))
    x = model.rollout(carry, actions)[:, -1, 6]
    extra = 3.0 * ((x - elsewhere[6]).square() - (x - goal[6]).square())
    assert torch.allclose(there(actions), here(actions) + extra, atol=1e-5)


@pytest.mark.parametrize("native", [False, True])
def test_robot_that_measures_its_velocity_only_has_no_place_to_compare(native):
    spec = dataclasses.replace(Maze.spec, state=StateSpec(("vx",), ("m/s",), "odom"))
    model = WorldModel(spec, Architecture(3, 4, 4, hidden=16)).requires_grad_(False)
    carry, actions = model.start(torch.randn(1, 2, 7), torch.zeros(1, 1, 10)), torch.rand(5, 4, 10)
    plain, weighted = (
        GoalCost(model, ObjectiveConfig(state_weight=weight), carry, torch.ones(7), native=native)
        for weight in (0.0, 3.0)
    )
    assert torch.equal(weighted(actions), plain(actions))


def test_unknown_state_of_the_goal_costs_nothing(model, carry, goal, actions):
    config = squared("last", state_weight=3.0, action_weight=0.0)
    cost = GoalCost(model, config, carry, goal, use_state=False)
    assert torch.equal(cost(actions), GoalCost(model, LAST, carry, goal)(actions))


@pytest.mark.parametrize("native", [False, True])
def test_state_weight_is_nothing_to_a_robot_of_which_nothing_is_measured(native):
    model = WorldModel(Maze.spec, Architecture(3, 4, 4, hidden=16)).requires_grad_(False)
    carry = model.start(torch.randn(1, 2, 6), torch.zeros(1, 1, 10))
    goal, actions = torch.randn(6), torch.rand(5, 4, 10) * 2 - 1
    plain, weighted = (
        GoalCost(model, ObjectiveConfig(state_weight=weight), carry, goal, native=native)
        for weight in (0.0, 3.0)
    )
    assert plain(actions).isfinite().all()
    assert torch.equal(weighted(actions), plain(actions))
    assert torch.equal(weighted.residuals(actions), plain.residuals(actions))


def test_action_weight_adds_the_mean_square_of_the_actions(model, carry, goal, actions):
    cost = GoalCost(model, squared("last", action_weight=2.0), carry, goal)
    expected = GoalCost(model, LAST, carry, goal)(actions) + 2.0 * actions.square().mean((1, 2))
    assert torch.allclose(cost(actions), expected)


def test_action_rate_weight_adds_the_mean_square_of_low_level_changes(model, carry, goal, actions):
    cost = GoalCost(model, squared("last", action_weight=0.0, action_rate_weight=2.0), carry, goal)
    low_level = actions.reshape(5, 12, 2)
    change = (low_level[:, 1:] - low_level[:, :-1]).square().mean((1, 2))
    expected = GoalCost(model, LAST, carry, goal)(actions) + 2.0 * change
    assert torch.allclose(cost(actions), expected)


def test_steady_action_has_no_rate_cost(model, carry, goal):
    actions = torch.tensor([0.4, -0.7]).repeat(1, 4, 3)
    cost = GoalCost(model, squared("last", action_weight=0.0, action_rate_weight=2.0), carry, goal)
    assert torch.equal(cost(actions), GoalCost(model, LAST, carry, goal)(actions))


def test_committed_actions_replace_the_first_ones(model, carry, goal, actions):
    committed = torch.rand(4, 2)
    bound = GoalCost(model, LAST, carry, goal, committed).bind(actions)
    low_level = bound.reshape(5, 12, 2)
    assert torch.equal(low_level[:, :4], committed.expand(5, -1, -1))
    assert torch.equal(low_level[:, 4:], actions.reshape(5, 12, 2)[:, 4:])


def test_cost_is_of_the_committed_actions(model, carry, goal, actions):
    cost = GoalCost(model, LAST, carry, goal, torch.rand(4, 2))
    free = GoalCost(model, LAST, carry, goal)
    assert torch.equal(cost(actions), free(cost.bind(actions)))
    assert not torch.allclose(cost(actions), free(actions))


def test_committed_actions_have_no_gradient_and_the_others_do(model, carry, goal, actions):
    config = squared("all", action_weight=1.0, action_rate_weight=1.0)
    actions.requires_grad_()
    cost = GoalCost(model, config, carry, goal, torch.rand(4, 2))
    (slope,) = torch.autograd.grad(cost(actions).sum(), actions)
    slope = slope.reshape(5, 12, 2)
    assert (slope[:, :4] == 0).all()
    assert (slope[:, 4:] != 0).all()


@pytest.mark.parametrize("count", [12, 20])
def test_plan_that_is_committed_entirely_has_a_cost_without_a_slope(
    model, carry, goal, actions, count
):
    actions.requires_grad_()
    costs = GoalCost(model, LAST, carry, goal, torch.rand(count, 2))(actions)
    (slope,) = torch.autograd.grad(costs.sum(), actions)
    assert costs.isfinite().all()
    assert (slope == 0).all()


@pytest.mark.parametrize("count", [0, 3])
def test_no_plans_are_bound_to_no_plans(model, carry, goal, count):
    cost = GoalCost(model, LAST, carry, goal, torch.rand(count, 2))
    assert cost.bind(torch.zeros(0, 4, 6)).shape == (0, 4, 6)


def test_plan_of_a_single_action_has_no_rate_cost():
    spec = RobotSpec(
        "toy",
        ActionSpec(("a",), "velocity", "m/s", (-1.0,), (1.0,)),
        StateSpec((), (), "odom"),
        ImageSpec(16, 16),
        control_period=0.1,
        frame_skip=1,
    )
    model = WorldModel(spec, Architecture(3, 4, 4, hidden=8))
    carry = model.start(torch.zeros(1, 1, 6), torch.zeros(1, 0, 1))
    goal, actions = torch.zeros(6), torch.ones(2, 1, 1)
    with_rate = GoalCost(
        model, squared("last", action_weight=0.0, action_rate_weight=1.0), carry, goal
    )
    assert torch.equal(with_rate(actions), GoalCost(model, LAST, carry, goal)(actions))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "first"}, r"cost\.mode is 'first'; accepted: last, all"),
        ({"discount": 0.0}, r"cost\.discount is 0\.0"),
        ({"discount": 1.5}, r"cost\.discount is 1\.5"),
        ({"state_weight": -1.5}, r"cost\.state_weight is -1\.5"),
        ({"action_weight": float("nan")}, r"cost\.action_weight is nan"),
        ({"action_rate_weight": -0.1}, r"cost\.action_rate_weight is -0\.1"),
    ],
)
def test_setting_out_of_range_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ObjectiveConfig(**settings)


def test_root_of_the_distance_counts_small_errors_as_much_as_large_ones(
    model, carry, goal, actions
):
    near = GoalCost(model, dataclasses.replace(LAST, distance="root"), carry, goal)(actions)
    expected = GoalCost(model, LAST, carry, goal)(actions).sqrt()
    torch.testing.assert_close(near, expected, atol=1e-3, rtol=1e-3)


def test_root_of_the_distance_has_a_gradient_at_the_goal(model, carry, actions):
    actions = actions[:1].clone().requires_grad_()
    reached = model.rollout(carry, actions.detach())[0, -1]
    cost = GoalCost(model, dataclasses.replace(LAST, distance="root"), carry, reached)
    (slope,) = torch.autograd.grad(cost(actions).sum(), actions)
    assert slope.isfinite().all()
