"""From observations to low-level actions, plan after plan."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.control.first_plans import FirstPlans
from wm_mpc.control.receding_horizon import PlanningError, RecedingHorizon
from wm_mpc.control.search import PlanSearch
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint, save_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.planner import PlanStatus
from wm_mpc.planning.registry import INITS, PLANNERS, PlannerConfig
from wm_mpc.sim.tasks.wall import Wall
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

PERIOD, SKIP, HORIZON = 0.1, 4, 3
LOW, HIGH = np.array([-0.5, -2.0]), np.array([1.5, -0.25])
REST = np.array([0.0, -0.25])  # as near to standing still as the limits allow
OBJECTIVE = ObjectiveConfig()
ARM_STATE = StateSpec(("a", "b"), ("rad", "rad"), "joint_states")
PLACE = np.array([0.9, -1.5])  # where a position robot is measured
SEARCHING = PlannerConfig("adam", HORIZON, iterations=3, restarts=6)
# One start and steps too small to matter: the plan is the first proposal.
IDLE = PlannerConfig("adam", HORIZON, iterations=1, restarts=1, learning_rate=1e-9)


def make_controller(history=1, kind="velocity", seed=0):
    spec = RobotSpec(
        "toy",
        ActionSpec(("a", "b"), kind, "m/s", tuple(LOW), tuple(HIGH)),
        StateSpec(("x",), ("m",), "odom") if kind != "position" else ARM_STATE,
        ImageSpec(16, 16),
        PERIOD,
        SKIP,
        history,
    )
    torch.manual_seed(0)
    model = WorldModel(spec, Architecture(3, 4, 4, hidden=8)).eval().requires_grad_(False)
    model.dynamics.head[-1].weight.mul_(20.0)  # type: ignore[attr-defined]  # so that actions and the past matter
    controller = RecedingHorizon(model, seed)
    controller.set_goal(picture(99), PLACE if kind == "position" else np.array([0.5]))
    return controller


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)


def plan(controller, stamp=0.0, config=SEARCHING, seed=0, state=0.1, **settings):
    return controller.plan(
        picture(seed), np.atleast_1d(state), stamp, planner=config, objective=OBJECTIVE, **settings
    )


def test_plan_has_one_row_per_low_level_step():
    result = plan(make_controller())
    assert result.actions.shape == (HORIZON * SKIP, 2)
    assert result.actions.dtype == np.float64
    assert result.latents.shape[0] == HORIZON + 1
    assert result.candidates.shape[1:] == result.latents.shape


@pytest.mark.parametrize("name", sorted(PLANNERS))
def test_actions_are_in_their_unit_inside_the_limits(name):
    controller = make_controller()
    config = dataclasses.replace(SEARCHING, type=name, learning_rate=3.0)
    for number in range(3):
        actions = plan(controller, number * PERIOD, config, seed=number).actions
        assert (actions >= LOW).all()
        assert (actions <= HIGH).all()


def test_predicted_latents_are_those_of_the_plan():
    controller = make_controller()
    result = plan(controller)
    model = controller.model
    latent = model.encode(torch.from_numpy(picture(0))[None], torch.tensor([[0.1]]))
    blocks = torch.from_numpy(model.spec.normalise_action(result.actions))
    carry = model.start(latent[None], torch.zeros(1, 0, model.spec.block_size))
    ahead = model.rollout(carry, blocks.reshape(1, HORIZON, -1))[0]
    assert torch.allclose(result.latents[0], latent[0], atol=1e-5)
    assert torch.allclose(result.latents[1:], ahead, atol=1e-5)


def test_first_plan_without_search_is_rest():
    assert plan(make_controller(), config=IDLE).actions == pytest.approx(
        np.tile(REST, (HORIZON * SKIP, 1)), abs=1e-6
    )


@pytest.mark.parametrize("passed", [0, 1, 3, 11, 12, 500])
def test_warm_start_is_the_last_plan_shifted_by_the_steps_passed(passed):
    controller = make_controller()
    before = plan(controller, 0.0).actions
    after = plan(controller, passed * PERIOD, IDLE).actions
    expected = np.concatenate([before[passed:], np.tile(REST, (passed, 1))])[: len(before)]
    assert after == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("kind", ["velocity", "position"])
def test_plan_is_kept_unless_another_is_better_by_the_margin(kind, init):
    state = PLACE if kind == "position" else 0.1
    ends = {}
    for keep in (0.0, 0.01, 0.9):
        controller = make_controller(kind=kind)
        before = plan(controller, 0.0, IDLE, state=state).actions
        config = dataclasses.replace(SEARCHING, keep=keep, init=init, iterations=20)
        after = plan(controller, PERIOD, config, seed=5, state=state)
        ends[keep] = after.actions, after.result.cost
        kept = np.concatenate([before[1:], before[-1:]])
        is_kept = after.actions == pytest.approx(kept, abs=1e-6)
        assert is_kept == (keep == 0.9)
    assert ends[0.0][1] < ends[0.9][1]
    assert ends[0.01][0] == pytest.approx(ends[0.0][0], abs=1e-6)


def test_plan_is_not_kept_where_there_is_none_or_none_is_wanted():
    config = dataclasses.replace(SEARCHING, keep=0.9)
    first = plan(make_controller(), config=config)
    assert first.actions == pytest.approx(plan(make_controller()).actions)
    for changes in ({"warm_start": False}, {"keep": 0.0}):
        controller = make_controller()
        before = plan(controller, 0.0, config).actions
        after = plan(controller, PERIOD, dataclasses.replace(config, **changes), seed=5).actions
        assert after[:-1] != pytest.approx(before[1:], abs=1e-3)


def test_warm_start_of_a_position_robot_stays_at_the_last_position():
    controller = make_controller(kind="position")
    before = plan(controller, 0.0, state=PLACE).actions
    after = plan(controller, 2 * PERIOD, IDLE, state=PLACE).actions
    assert after == pytest.approx(np.concatenate([before[2:], before[-1:], before[-1:]]), abs=1e-6)


def test_first_plan_of_a_position_robot_without_search_stays_where_it_is_measured():
    actions = plan(make_controller(kind="position"), config=IDLE, state=PLACE).actions
    assert actions == pytest.approx(np.tile(PLACE, (HORIZON * SKIP, 1)), abs=1e-6)


@pytest.mark.parametrize("name", sorted(PLANNERS))
def test_every_planner_moves_positions_step_by_step_from_where_they_are_measured(name):
    controller = make_controller(kind="position")
    config = dataclasses.replace(SEARCHING, type=name, learning_rate=3.0)
    largest = controller.spec.largest_change + 1e-6
    before = PLACE
    for number in range(3):
        actions = plan(controller, number * PERIOD, config, seed=number, state=before).actions
        steps = np.diff(np.concatenate([before[None], actions]), axis=0)
        assert (np.abs(steps) <= largest).all()
        assert np.abs(steps).max() > 0.1 * largest.min()  # it does move
        before = actions[0]


def test_a_position_robot_that_was_not_measured_is_not_planned_for():
    controller = make_controller(kind="position")
    with pytest.raises(PlanningError, match="no position of b was measured"):
        plan(controller, state=np.array([0.9, np.nan]))


def test_warm_start_can_be_switched_off():
    controller = make_controller()
    plan(controller, 0.0)
    cold = plan(controller, PERIOD, dataclasses.replace(IDLE, warm_start=False)).actions
    assert cold == pytest.approx(np.tile(REST, (HORIZON * SKIP, 1)), abs=1e-6)


def learned_plan(controller, blocks):
    """Let a model propose the same action everywhere, in so many blocks."""
    proposals = controller.model.proposals
    proposals.shape = (proposals.shape[0], blocks, proposals.shape[2])
    last = proposals.network[-1]
    proposals.network[-1] = torch.nn.Linear(
        last.in_features, proposals.shape[0] * blocks * proposals.shape[2]
    ).requires_grad_(False)
    proposals.network[-1].weight.zero_()
    proposals.network[-1].bias.fill_(0.5)


@pytest.mark.parametrize("blocks", [HORIZON - 1, HORIZON, HORIZON + 2])
def test_learned_plan_is_the_start_where_it_is_better(blocks):
    """As long as the horizon, whatever was learned: cut off, or at rest at its end."""
    controller = make_controller()
    learned_plan(controller, blocks)
    looking = dataclasses.replace(IDLE, restarts=2, samples=3, elites=1)
    steps = HORIZON * SKIP
    expected = np.tile(controller.spec.denormalise_action(np.full((1, 2), 0.5)), (steps, 1))
    expected[blocks * SKIP :] = REST
    controller._goal = latent_at_end(controller, expected)
    assert plan(controller, config=looking).actions == pytest.approx(expected, abs=1e-6)
    controller.forget()
    cold = dataclasses.replace(looking, learned_start=False)
    assert plan(controller, config=cold).actions != pytest.approx(expected, abs=1e-3)


def start_of(controller):
    latent = controller.model.encode(torch.from_numpy(picture(0))[None], torch.tensor([[0.1]]))
    return controller.model.start(latent[None], torch.zeros(1, 0, controller.model.spec.block_size))


def latent_at_end(controller, actions):
    blocks = torch.from_numpy(controller.spec.normalise_action(actions))
    return controller.model.rollout(start_of(controller), blocks.reshape(1, HORIZON, -1))[0, -1]


def test_warm_start_never_makes_the_plan_worse():
    controller = make_controller()
    first = plan(controller, 0.0)
    second = plan(controller, 0.0, IDLE)
    assert second.result.cost <= first.result.cost + 1e-6


@pytest.mark.parametrize("backwards", ["forget", "stamp"])
def test_forgotten_plan_is_not_used(backwards):
    controller = make_controller()
    plan(controller, 10.0)
    if backwards == "forget":
        controller.forget()
    after = plan(controller, 10.0 if backwards == "forget" else 3.0, IDLE).actions
    assert after == pytest.approx(np.tile(REST, (HORIZON * SKIP, 1)), abs=1e-6)


def test_leap_of_the_clock_is_survived():
    controller = make_controller()
    plan(controller, 0.0)
    after = plan(controller, 1.7e9, IDLE).actions
    assert after == pytest.approx(np.tile(REST, (HORIZON * SKIP, 1)), abs=1e-6)


@pytest.mark.parametrize("restarts", [1, 6])
@pytest.mark.parametrize("count", [1, SKIP, SKIP + 1, HORIZON * SKIP])
def test_plan_begins_with_the_committed_actions(count, restarts):
    committed = np.random.default_rng(0).uniform(LOW, HIGH, (count, 2))
    config = dataclasses.replace(SEARCHING, restarts=restarts)
    result = plan(make_controller(), config=config, committed=committed)
    assert result.actions[:count] == pytest.approx(committed, abs=1e-6)


def test_empty_commitment_changes_nothing():
    free = plan(make_controller()).actions
    assert (plan(make_controller(), committed=np.zeros((0, 2))).actions == free).all()


def test_same_seed_gives_the_same_plans():
    first, second = make_controller(seed=5), make_controller(seed=5)
    for number in range(3):
        stamp = number * PERIOD
        assert (plan(first, stamp).actions == plan(second, stamp).actions).all()


def test_global_random_numbers_are_left_alone():
    controller = make_controller()
    before = torch.get_rng_state()
    plan(controller)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_state_that_is_not_finite_is_refused(value):
    with pytest.raises(PlanningError, match="not finite"):
        plan(make_controller(), state=value)


def test_refused_observation_leaves_no_trace():
    first, second = make_controller(history=2), make_controller(history=2)
    with pytest.raises(PlanningError):
        plan(first, 0.0, state=np.nan)
    assert (plan(first, PERIOD).actions == plan(second, PERIOD).actions).all()


def test_commitment_that_is_not_finite_is_refused():
    with pytest.raises(PlanningError, match="finite cost"):
        plan(make_controller(), committed=np.array([[np.nan, 0.0]]))


def test_goal_that_is_not_finite_is_refused_and_the_old_one_kept():
    controller = make_controller()
    expected = plan(make_controller()).actions
    with pytest.raises(PlanningError, match="not finite"):
        controller.set_goal(picture(1), np.array([np.nan]))
    assert (plan(controller).actions == expected).all()


def test_plan_without_a_goal_is_refused():
    controller = RecedingHorizon(make_controller().model)
    assert not controller.has_goal
    with pytest.raises(PlanningError, match="no goal"):
        plan(controller)


@pytest.mark.parametrize("state", [None, np.zeros(0)])
def test_goal_without_a_state_does_not_weigh_the_state(state):
    costs = []
    for weight in (0.0, 10.0):
        controller = make_controller()
        controller.set_goal(picture(99), state)
        objective = ObjectiveConfig(state_weight=weight)
        result = controller.plan(
            picture(0), np.array([0.1]), 0.0, planner=SEARCHING, objective=objective
        )
        costs.append(result.result.cost)
    assert costs[0] == costs[1]


def test_goal_with_a_state_weighs_it():
    costs = []
    for weight in (0.0, 10.0):
        result = make_controller().plan(
            picture(0), np.array([0.1]), 0.0,
            planner=SEARCHING, objective=ObjectiveConfig(state_weight=weight),
        )  # fmt: skip
        costs.append(result.result.cost)
    assert costs[1] > costs[0] + 0.01


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_model_from_a_file_weighs_the_place_as_before(tmp_path, backend):
    model = make_controller().model
    save_checkpoint(model, tmp_path / "model.safetensors", {})
    costs = []
    for one in (model, load_checkpoint(tmp_path / "model.safetensors")[0]):
        controller = RecedingHorizon(one)
        controller.set_goal(picture(99), np.array([0.9]))
        result = controller.plan(
            picture(0), np.array([0.1]), 0.0,
            planner=dataclasses.replace(SEARCHING, backend=backend),
            objective=ObjectiveConfig(state_weight=10.0),
        )  # fmt: skip
        costs.append(result.result.cost)
    assert costs[0] == pytest.approx(costs[1], rel=1e-3)
    assert costs[0] > 1.0  # the place is far from the goal


def test_budget_is_handed_to_the_planner():
    config = dataclasses.replace(SEARCHING, iterations=100_000)
    result = plan(make_controller(), config=config, budget=0.0)
    assert result.result.status is PlanStatus.OUT_OF_TIME


def test_history_is_the_latents_seen_and_the_actions_executed_in_between():
    controller = make_controller(history=3)
    model, step = controller.model, SKIP * PERIOD
    plans = [plan(controller, k * step, seed=k) for k in range(3)]
    seen = torch.stack([result.latents[0] for result in plans])
    executed = np.concatenate([result.actions[:SKIP] for result in plans[:2]])
    past = torch.from_numpy(model.spec.normalise_action(executed)).reshape(1, 2, -1)
    ahead = torch.from_numpy(model.spec.normalise_action(plans[2].actions))
    carry = model.start(seen[None], past)
    expected = model.rollout(carry, ahead.reshape(1, HORIZON, -1))[0]
    assert torch.allclose(plans[2].latents[1:], expected, atol=1e-5)


def test_history_keeps_the_frames_between_model_steps():
    """Plans are made more often than a model step lasts."""
    controller = make_controller(history=2)
    model = controller.model
    plans = [plan(controller, k * PERIOD, seed=k) for k in range(2 * SKIP)]
    seen = torch.stack([plans[SKIP - 1].latents[0], plans[-1].latents[0]])
    executed = np.stack([result.actions[0] for result in plans[SKIP - 1 : -1]])
    past = torch.from_numpy(model.spec.normalise_action(executed)).reshape(1, 1, -1)
    ahead = torch.from_numpy(model.spec.normalise_action(plans[-1].actions))
    carry = model.start(seen[None], past)
    expected = model.rollout(carry, ahead.reshape(1, HORIZON, -1))[0]
    assert torch.allclose(plans[-1].latents[1:], expected, atol=1e-5)


def test_forgotten_past_is_not_used():
    controller, fresh = make_controller(history=3), make_controller(history=3)
    plan(controller, 0.0, seed=7)
    controller.forget()
    after, expected = plan(controller, 0.4, IDLE), plan(fresh, 0.4, IDLE)
    assert torch.equal(after.latents, expected.latents)


@pytest.mark.parametrize("init", INITS)
def test_init_decides_where_a_search_from_one_start_begins(init):
    """Of a search that takes no step: what it returns is where it began."""
    torch.manual_seed(0)
    model = WorldModel(Wall.spec, Architecture(2, 4, 4, hidden=16, proposals=3)).eval()
    model.requires_grad_(False)
    model.proposals.network[-1].bias.uniform_(-0.9, 0.9)  # type: ignore[operator]
    controller = RecedingHorizon(model)
    image, state = np.full((64, 64, 3), 90, np.uint8), np.zeros(2, np.float32)
    controller.set_goal(image[::-1] + 100, state)
    config = PlannerConfig(
        horizon=3, iterations=1, learning_rate=1e-9, restarts=1, samples=1, elites=1
    )
    objective = ObjectiveConfig()
    far = 0.1 * (np.arange(15)[:, None] - 7) * np.ones(2)
    controller.plan(image, state, 0.0, planner=config, objective=objective, committed=far)
    plan = controller.plan(
        image, state, 0.1, planner=dataclasses.replace(config, init=init), objective=objective
    )
    if init == "zero":
        expected = np.zeros((15, 2))
    elif init == "warm":
        expected = np.concatenate([far[1:], np.zeros((1, 2))])
    elif init == "learned":
        latent = model.encode(torch.from_numpy(image)[None], torch.from_numpy(state)[None])[0]
        learned = model.propose(latent, controller._goal).reshape(3, -1, 2)[:, :15].numpy()
        distance = np.abs(learned - plan.actions).max((1, 2))
        assert distance.min() < 1e-5
        return
    else:
        assert np.abs(plan.actions).max() > 0.5
        assert np.abs(np.diff(plan.actions, axis=0)).max() > 0.5
        return
    np.testing.assert_allclose(plan.actions, expected, atol=1e-5)


@pytest.mark.parametrize("init", INITS)
def test_last_plan_competes_whatever_the_first_start_is(init):
    controller = make_controller()
    first = plan(controller, 0.0, dataclasses.replace(SEARCHING, iterations=30))
    looking = dataclasses.replace(IDLE, restarts=2, samples=2, elites=1, init=init)
    assert plan(controller, 0.0, looking).result.cost <= first.result.cost + 1e-6


@pytest.mark.parametrize("init", ["warm", "zero"])
def test_without_warm_start_the_last_plan_does_not_compete(init):
    controller = make_controller()
    plan(controller, 0.0)
    looking = dataclasses.replace(IDLE, warm_start=False, init=init)
    assert plan(controller, 0.0, looking).actions == pytest.approx(
        np.tile(REST, (HORIZON * SKIP, 1)), abs=1e-6
    )


def test_learned_init_without_learned_plans_is_rest():
    torch.manual_seed(0)
    model = WorldModel(Wall.spec, Architecture(2, 4, 4, hidden=16, proposals=0)).eval()
    model.requires_grad_(False)
    controller = RecedingHorizon(model)
    image, state = np.full((64, 64, 3), 90, np.uint8), np.zeros(2, np.float32)
    controller.set_goal(image[::-1] + 100, state)
    config = PlannerConfig(
        horizon=2, iterations=1, learning_rate=1e-9, restarts=1, samples=1, elites=1, init="learned"
    )
    plan = controller.plan(image, state, 0.0, planner=config, objective=ObjectiveConfig())
    np.testing.assert_allclose(plan.actions, 0.0, atol=1e-6)


def test_haste_moves_the_first_model_step_forward():
    """Committed actions stay; the limits hold."""
    slow = plan(make_controller())
    quick = plan(make_controller(), config=dataclasses.replace(SEARCHING, hasten=0.9))
    assert not np.array_equal(quick.actions[:SKIP], slow.actions[:SKIP])
    assert np.array_equal(quick.actions[SKIP:], slow.actions[SKIP:])
    assert np.all((quick.actions >= LOW) & (quick.actions <= HIGH))
    committed = np.array([[0.3, -1.0]])
    quick = plan(
        make_controller(), config=dataclasses.replace(SEARCHING, hasten=0.9), committed=committed
    )
    assert np.allclose(quick.actions[0], committed[0])


@pytest.mark.parametrize("is_left", [False, True])
def test_detour_only_if_a_plan_leaves_the_scene_away_from_its_goal(monkeypatch, is_left):
    """The first search finds nothing for the scene, and the second one does."""
    answers = [is_left, False]
    monkeypatch.setattr("wm_mpc.control.search.leaves_scene", lambda *arguments: answers.pop(0))
    controller = make_controller()
    found = plan(controller, config=dataclasses.replace(SEARCHING, detour=40))
    assert found.is_detour is is_left
    assert len(answers) == (0 if is_left else 1)
    usual = plan(make_controller())
    assert np.array_equal(found.actions, usual.actions) is not is_left


def test_no_detour_if_there_is_none(monkeypatch):
    monkeypatch.setattr("wm_mpc.control.search.leaves_scene", lambda *arguments: True)
    found = plan(make_controller(), config=dataclasses.replace(SEARCHING, detour=40))
    assert not found.is_detour
    assert not found.lacked_time
    assert np.array_equal(found.actions, plan(make_controller()).actions)


def test_a_detour_that_had_no_time_is_said(monkeypatch):
    answers = [True, False]
    monkeypatch.setattr("wm_mpc.control.search.leaves_scene", lambda *arguments: answers.pop(0))
    found = plan(make_controller(), config=dataclasses.replace(SEARCHING, detour=40), budget=1e-9)
    assert not found.is_detour
    assert found.lacked_time
    assert answers == [False]  # nothing was searched


WIDE = dataclasses.replace(SEARCHING, wide_samples=300, wide_period=1.0)


@pytest.fixture
def away(monkeypatch):
    """No plan reaches the goal, of a model that knows how far its scene moves."""
    monkeypatch.setattr("wm_mpc.control.wide_search.reaches_goal", lambda *arguments: False)
    monkeypatch.setattr("wm_mpc.control.wide_search.usual_step", lambda model: 1.0)


@pytest.fixture
def change_wide(monkeypatch):
    """Change what wide searches find: some fields of their results."""

    def change(**fields):
        search = PlanSearch._search

        def changed(self, config, *others):
            found = search(self, config, *others)
            is_wide = config.samples == WIDE.wide_samples
            now = {name: value(getattr(found, name)) for name, value in fields.items()}
            return dataclasses.replace(found, **now) if is_wide else found

        monkeypatch.setattr(PlanSearch, "_search", changed)

    return change


@pytest.mark.usefixtures("away")
def test_the_next_plan_begins_from_what_a_wide_search_found(change_wide, monkeypatch):
    change_wide(cost=lambda cost: cost - 1e3)
    usual, wide = make_controller(), make_controller()
    first = [plan(each, 0.0, WIDE) for each in (usual, wide)]
    assert np.array_equal(*(found.actions for found in first))  # this plan does not change
    assert wide.think().is_better
    found = wide.spec.normalise_action(wide._wide.found(PERIOD, HORIZON * SKIP))
    made = []
    monkeypatch.setattr(
        FirstPlans,
        "proposals",
        lambda *how, proposals=FirstPlans.proposals: made.append(proposals(*how)) or made[-1],
    )
    for each in (usual, wide):
        plan(each, PERIOD, WIDE)
    without, those = (proposals.reshape(len(proposals), -1, 2) for proposals in made)
    assert len(those) == len(without)
    near = [np.abs(proposals.numpy() - found).max((1, 2)).min() for proposals in (those, without)]
    assert near[0] < 1e-5 < near[1]


@pytest.mark.usefixtures("away")
def test_what_was_found_is_used_from_where_time_has_come_to(change_wide):
    change_wide(cost=lambda cost: cost - 1e3)
    controller = make_controller()
    plan(controller, 0.0, WIDE)
    assert controller.think().is_better
    steps = WIDE.horizon * controller.spec.frame_skip
    now = controller._wide.found(0.0, steps)
    later = controller._wide.found(2 * PERIOD, steps)
    assert np.array_equal(later[:-2], now[2:])
    assert controller._wide.found(steps * PERIOD, steps) is None  # it is over
    plan(controller, PERIOD, WIDE)
    assert controller._wide.found(PERIOD, steps) is None  # it is used up


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize(
    "forget",
    [
        lambda controller: controller.forget(),
        lambda controller: controller.set_goal(picture(5), np.array([0.5])),
    ],
)
def test_what_was_found_is_forgotten_with_the_plan(change_wide, forget):
    change_wide(cost=lambda cost: cost - 1e3)
    controller = make_controller()
    plan(controller, 0.0, WIDE)
    assert controller.think().is_better
    forget(controller)
    assert controller._wide.found(PERIOD, 5) is None
    assert controller.think() is None


@pytest.mark.usefixtures("away")
def test_a_plan_is_searched_widely_once():
    controller = make_controller()
    assert controller.think() is None  # before the first plan
    plan(controller, 0.0, dataclasses.replace(WIDE, wide_period=0.0))
    assert controller.think() is not None
    assert controller.think() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "cem", "samples": 8, "elites": 2, "iterations": 2},
        {"restarts": 1},
        {"wide_samples": 100},  # no more than samples
        {"wide_samples": 0},
    ],
)
@pytest.mark.usefixtures("away")
def test_no_wide_search_where_it_cannot_help(changes):
    settings = dataclasses.replace(WIDE, **changes)
    controller = make_controller()
    plan(controller, config=settings)
    assert settings.why_not_wide
    assert controller.think() is None


@pytest.mark.parametrize(("reached", "step"), [(True, 1.0), (False, 0.0)])
def test_no_wide_search_at_the_goal_or_if_nobody_knows(monkeypatch, reached, step):
    monkeypatch.setattr("wm_mpc.control.wide_search.reaches_goal", lambda *arguments: reached)
    monkeypatch.setattr("wm_mpc.control.wide_search.usual_step", lambda model: step)
    controller = make_controller()
    plan(controller, config=WIDE)
    assert controller.think() is None


@pytest.mark.usefixtures("away")
def test_wide_searches_keep_their_period():
    controller = make_controller()

    def searched(stamp, settings=WIDE):
        plan(controller, stamp, settings)
        return controller.think() is not None

    stamps = (0.0, 0.5, 0.9, 1.0, 1.5, 2.5)
    assert [stamp for stamp in stamps if searched(stamp)] == [0.0, 1.0, 2.5]
    controller.forget()  # a hold makes none due
    assert not searched(2.6)
    assert searched(2.7, dataclasses.replace(WIDE, wide_period=0.1))  # changed meanwhile
    controller.set_goal(picture(5), np.array([0.5]))
    assert searched(2.8)
    assert searched(0.3)  # time went back


@pytest.mark.usefixtures("away")
def test_a_wide_search_that_had_no_time_is_said_and_made_up_for():
    controller = make_controller()
    plan(controller, 0.0, WIDE)
    late = controller.think(1e-9)
    assert late.lacked_time
    assert not late.is_better
    plan(controller, 0.1, WIDE)
    assert not controller.think().lacked_time


@pytest.mark.usefixtures("away")
def test_a_wide_search_that_is_cut_short_is_said(change_wide):
    change_wide(status=lambda _: PlanStatus.OUT_OF_TIME)
    controller = make_controller()
    plan(controller, config=WIDE)
    assert controller.think().lacked_time


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize(
    "change",
    [{"cost": lambda cost: cost + 1e3}, {"status": lambda status: PlanStatus.FAILED}],
)
def test_a_worse_plan_of_a_wide_search_is_not_used(change_wide, change):
    change_wide(**change)
    controller = make_controller()
    plan(controller, config=WIDE)
    assert not controller.think().is_better
    assert controller._wide.found(PERIOD, 5) is None


def test_most_starts_leave_room_for_no_more_in_a_detour(monkeypatch):
    answers = [True, False]
    monkeypatch.setattr("wm_mpc.control.search.leaves_scene", lambda *arguments: answers.pop(0))
    config = dataclasses.replace(SEARCHING, restarts=1024, iterations=1, detour=40)
    assert plan(make_controller(), config=config).is_detour


def test_haste_leaves_a_resting_robot_at_rest():
    """Its rest is not the middle of its limits."""
    slow = plan(make_controller(), config=IDLE)
    quick = plan(make_controller(), config=dataclasses.replace(IDLE, hasten=0.1))
    assert np.allclose(slow.actions, REST, atol=1e-6)
    assert np.allclose(quick.actions, REST, atol=1e-6)


@pytest.mark.parametrize("changes", [{"hasten": 0.5}, {"detour": 40}])
def test_haste_and_detours_of_a_position_robot_keep_its_limits(monkeypatch, changes):
    answers = [True, False]
    monkeypatch.setattr("wm_mpc.control.search.leaves_scene", lambda *arguments: answers.pop(0))
    config = dataclasses.replace(SEARCHING, **changes)
    found = plan(make_controller(kind="position"), config=config, state=PLACE)
    assert np.all((found.actions >= LOW - 1e-6) & (found.actions <= HIGH + 1e-6))
    assert found.is_detour is ("detour" in changes)


def test_a_detour_tells_its_cost_with_the_place(monkeypatch):
    """So costs of one episode can be compared."""
    answers = [True, False, True, False]
    monkeypatch.setattr("wm_mpc.control.search.leaves_scene", lambda *arguments: answers.pop(0))
    config = dataclasses.replace(SEARCHING, detour=40)
    without, with_place = (
        make_controller().plan(
            picture(0), np.array([0.1]), 0.0, planner=config,
            objective=dataclasses.replace(OBJECTIVE, state_weight=weight),
        )
        for weight in (0.0, 5.0)
    )  # fmt: skip
    assert with_place.is_detour
    assert without.is_detour
    assert np.array_equal(with_place.actions, without.actions)  # the place did not count
    assert with_place.result.cost > without.result.cost
