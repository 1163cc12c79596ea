"""Online synthesis: the planner's plans, and what the simulator really did with them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.collection import record_episode
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.wall import Wall
from wm_mpc.sim.workers import LocalWorkers
from wm_mpc.synthesis import online
from wm_mpc.synthesis.online import OnlineConfig, online_rollouts
from wm_mpc.synthesis.random_rollouts import execute

HORIZON = 2
CONFIG = OnlineConfig(every=5, plans=4, horizon=HORIZON, restarts=2, iterations=3)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    dataset = Dataset.create(tmp_path_factory.mktemp("online"), Wall.spec)
    with simulate(Wall()) as simulation:
        for index in range(2):
            dataset.append(index, record_episode(simulation, 0, index, 20))
    return Recording(dataset)


def make_model(seed):
    """An untrained model in which actions matter."""
    torch.manual_seed(seed)
    model = WorldModel(Wall.spec, Architecture(3, 4, 4, hidden=8)).requires_grad_(False)
    model.dynamics.linear.weight.normal_(0.0, 0.3)  # type: ignore[attr-defined]
    return model


@pytest.fixture(scope="module")
def model():
    return make_model(0)


def rollouts_of(model, recording, seed=(1, 2), workers=None, episodes=(0, 1), **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return online_rollouts(
        model, recording, config, list(seed), np.array(episodes), workers or LocalWorkers(1)
    )


def test_transitions_are_what_the_simulator_really_does(model, recording):
    rollouts = rollouts_of(model, recording)
    assert rollouts.images.shape == (4, HORIZON + 1, 64, 64, 3)
    assert rollouts.actions.shape == (4, HORIZON, Wall.spec.block_size)
    starts = rollouts.images[:, 0].reshape(4, -1)
    frames = recording.images.reshape(len(recording.images), -1)
    with simulate(Wall()) as simulation:
        for number in range(4):
            frame = np.flatnonzero((frames == starts[number]).all(1))[0]
            images, states = execute(
                simulation,
                recording.layouts[recording.episode_of[frame]],
                recording.simulator_states[frame],
                rollouts.actions[number].reshape(-1, 2),
            )
            np.testing.assert_array_equal(images, rollouts.images[number])
            np.testing.assert_allclose(states, rollouts.states[number], atol=1e-5)


def test_actions_are_the_planners_own_and_inside_the_limits(model, recording, monkeypatch):
    planned = []
    original = RecedingHorizon.plan

    def spy(self, *arguments, **settings):
        plan = original(self, *arguments, **settings)
        planned.append(Wall.spec.normalise_action(plan.actions).reshape(HORIZON, -1))
        return plan

    monkeypatch.setattr(RecedingHorizon, "plan", spy)
    rollouts = rollouts_of(model, recording)
    np.testing.assert_array_equal(rollouts.actions, np.stack(planned))
    assert (np.abs(rollouts.actions) <= 1.0).all()


def test_plans_follow_the_model_they_are_made_with(model, recording):
    rollouts, others = (rollouts_of(m, recording) for m in (model, make_model(1)))
    assert not np.array_equal(rollouts.actions, others.actions)


def test_same_seed_same_rollouts(model, recording):
    first, second = rollouts_of(model, recording), rollouts_of(model, recording)
    np.testing.assert_array_equal(first.images, second.images)
    assert not np.array_equal(first.actions, rollouts_of(model, recording, (1, 3)).actions)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["two_workers", "ray_workers"])
def test_rollouts_do_not_depend_on_the_workers(model, recording, monkeypatch, workers, request):
    monkeypatch.setattr(online, "_CHUNK", 1)
    expected = rollouts_of(model, recording)
    again = rollouts_of(model, recording, workers=request.getfixturevalue(workers))
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(again, name), array, name)


def test_rollouts_do_not_depend_on_the_division_into_jobs(model, recording, monkeypatch):
    expected = rollouts_of(model, recording)
    monkeypatch.setattr(online, "_CHUNK", 3)
    np.testing.assert_array_equal(rollouts_of(model, recording).images, expected.images)


def test_dataset_without_simulator_states_is_refused(model, recording, monkeypatch):
    monkeypatch.setattr(recording, "simulator_states", None)
    with pytest.raises(ValueError, match="simulator states"):
        rollouts_of(model, recording)


def test_later_attempts_go_on_to_the_same_goal_from_where_the_plan_before_ended(
    model, recording, monkeypatch
):
    goals = []
    original = RecedingHorizon.set_goal

    def spy(self, image, state):
        goals.append(image)
        original(self, image, state)

    monkeypatch.setattr(RecedingHorizon, "set_goal", spy)
    rollouts = rollouts_of(model, recording, attempts=2)
    assert len(rollouts.images) == 4
    frames = recording.images.reshape(len(recording.images), -1)
    with simulate(Wall()) as simulation:
        for first in (0, 2):
            np.testing.assert_array_equal(goals[first], goals[first + 1])
            begin = rollouts.images[first, 0].reshape(-1)
            frame = np.flatnonzero((frames == begin).all(1))[0]
            both = rollouts.actions[first : first + 2].reshape(-1, 2)
            layout = recording.layouts[recording.episode_of[frame]]
            images, _ = execute(simulation, layout, recording.simulator_states[frame], both)
            joined = np.concatenate([rollouts.images[first], rollouts.images[first + 1, 1:]])
            np.testing.assert_array_equal(images, joined)
    assert not np.array_equal(goals[0], goals[2])


def goals_of(model, recording, monkeypatch, **changes):
    """Frames of the goals of a round, and of its starts."""
    shown, original = [], RecedingHorizon.set_goal

    def spy(self, image, state):
        shown.append(image)
        return original(self, image, state)

    monkeypatch.setattr(RecedingHorizon, "set_goal", spy)
    rollouts = rollouts_of(model, recording, **changes)
    frames = recording.images.reshape(len(recording.images), -1)
    pictures = np.stack(shown), rollouts.images[:: changes.get("attempts", 1), 0]
    return [[np.flatnonzero((frames == one.ravel()).all(1)) for one in many] for many in pictures]


def test_goals_may_be_later_frames_of_the_same_episode(model, recording, monkeypatch):
    goals, starts = goals_of(model, recording, monkeypatch, goals="later", plans=40)
    length = HORIZON * Wall.spec.frame_skip
    lags = []
    for goal, start in zip(goals, starts, strict=True):
        assert len(goal), "the goal is no recorded frame"
        lags.append(min(goal[:, None] - start, key=lambda lag: abs(lag[0]))[0])
        assert (recording.episode_of[goal] == recording.episode_of[start[0]]).any()
    assert min(lags) >= 1
    assert 1 < max(lags) <= length
    assert len(set(lags)) > 4


def test_goals_may_be_any_frame_of_the_same_layout(model, recording, monkeypatch):
    monkeypatch.setattr(recording, "layouts", [recording.layouts[0]] * 2)
    goals, starts = goals_of(model, recording, monkeypatch, goals="anywhere", plans=40)
    # Started in the layout of the first episode, frames of the second one look different.
    known = [(goal[0], start[0]) for goal, start in zip(goals, starts, strict=True) if len(start)]
    assert {recording.episode_of[start] for _, start in known} == {0}
    assert {recording.episode_of[goal] for goal, _ in known} == {0, 1}
    assert any(goal < start for goal, start in known)


def test_goals_are_not_of_episodes_that_are_held_out(model, recording, monkeypatch):
    monkeypatch.setattr(recording, "layouts", [recording.layouts[0]] * 2)
    goals, _ = goals_of(model, recording, monkeypatch, goals="anywhere", plans=20, episodes=(0,))
    assert {recording.episode_of[goal[0]] for goal in goals} == {0}


def test_goals_of_another_layout_are_not_planned_for(model, recording, monkeypatch):
    goals, starts = goals_of(model, recording, monkeypatch, goals="anywhere", plans=20)
    for goal, start in zip(goals, starts, strict=True):
        assert recording.episode_of[goal[0]] == recording.episode_of[start[0]]


def test_further_plans_are_to_the_same_goal(model, recording, monkeypatch):
    goals, _ = goals_of(model, recording, monkeypatch, goals="anywhere", attempts=2)
    assert [goal[0] for goal in goals[::2]] == [goal[0] for goal in goals[1::2]]


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"online\.plans is 4; a multiple of online.attempts, 3"):
        dataclasses.replace(CONFIG, attempts=3)
    for field in dataclasses.fields(OnlineConfig):
        with pytest.raises(ValueError, match=f"online.{field.name}"):
            OnlineConfig(**{field.name: 0})
