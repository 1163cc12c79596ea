"""Episodes out of a running robot: what is recorded is what it executed and saw."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.wall import Wall
from wm_mpc.synthesis.live import LiveRecorder

SPEC = Wall.spec
PERIOD = 100_000_000  # ns
START = 5_000_000_000
IMAGE = np.zeros((64, 64, 3), np.uint8)
STATE = np.zeros(2, np.float32)


def feed(recorder, count, *, first=0, actions=None, late=0):
    """Observations, one a period, under one plan that moves all the time."""
    plan = np.full((count + 1, 2), 0.5) if actions is None else actions
    recorder.plan(START + first * PERIOD, plan)
    for number in range(first, first + count + 1):
        recorder.observe(START + number * PERIOD + late, IMAGE + number % 200, STATE + number)


def test_what_the_simulation_executed_and_showed_is_recorded():
    """Under plans that replace each other, each sent with the image it was made from."""
    recorder, rng = LiveRecorder(SPEC), np.random.default_rng(0)
    seen, executed = [], []
    with simulate(Wall()) as simulation:
        observation = simulation.reset(episode_rng(1, "node", 0))
        for number in range(30):
            stamp = START + number * PERIOD
            plan = rng.uniform(-1.0, 1.0, (10, 2))
            recorder.plan(stamp, plan)
            recorder.observe(stamp, observation.image, observation.state)
            seen.append(observation)
            executed.append(plan[0])
            observation = simulation.step(plan[0])
        recorder.cut()
    (episode,) = recorder.take()
    assert episode.actions == pytest.approx(np.array(executed)[:29].astype(np.float32))
    assert (episode.images == np.stack([o.image for o in seen])).all()
    assert (episode.states == np.stack([o.state for o in seen])).all()
    assert recorder.take() == []


def test_long_episodes_are_cut_so_that_some_can_be_held_out():
    recorder = LiveRecorder(SPEC, longest=20)
    feed(recorder, 45)
    recorder.cut()
    assert [len(episode) for episode in recorder.take()] == [20, 20]
    assert recorder.steps == 40  # what was left is shorter than two model steps


@pytest.mark.parametrize(("missing", "episodes"), [(1, [32]), (2, [33]), (5, [15, 15])])
def test_a_gap_in_the_images_is_bridged_or_ends_an_episode(missing, episodes):
    recorder = LiveRecorder(SPEC)
    recorder.plan(START, np.full((100, 2), 0.5))
    for number in [*range(16), *range(15 + missing + 1, 15 + missing + 17)]:
        recorder.observe(START + number * PERIOD, IMAGE, STATE)
    recorder.cut()
    assert [len(episode) for episode in recorder.take()] == episodes


def test_time_that_goes_back_begins_anew():
    recorder = LiveRecorder(SPEC)
    feed(recorder, 15)
    recorder.observe(START - 100 * PERIOD, IMAGE, STATE)
    assert [len(episode) for episode in recorder.take()] == [15]


def test_images_that_jitter_are_taken_once_each():
    recorder = LiveRecorder(SPEC)
    feed(recorder, 15, late=30_000_000)
    recorder.observe(START + 15 * PERIOD + 40_000_000, IMAGE, STATE)
    recorder.cut()
    assert [len(episode) for episode in recorder.take()] == [15]


def test_standing_still_is_not_recorded_for_long():
    recorder = LiveRecorder(SPEC)
    actions = np.zeros((120, 2))
    actions[:15] = 0.5
    feed(recorder, 100, actions=actions)
    recorder.cut()
    assert [len(episode) for episode in recorder.take()] == [15]


def test_without_a_plan_nothing_is_recorded():
    recorder = LiveRecorder(SPEC)
    for number in range(60):
        recorder.observe(START + number * PERIOD, IMAGE, STATE)
    recorder.cut()
    assert recorder.take() == []


def test_a_robot_of_which_nothing_is_measured_is_recorded_too():
    spec = dataclasses.replace(
        SPEC, state=dataclasses.replace(SPEC.state, names=(), unit=()), history=2
    )
    recorder = LiveRecorder(spec)
    recorder.plan(START, np.full((50, 2), 0.5))
    for number in range(21):
        recorder.observe(START + number * PERIOD, IMAGE, np.zeros(0, np.float32))
    recorder.cut()
    (episode,) = recorder.take()
    assert episode.states.shape == (21, 0)


def test_episodes_that_would_always_be_dropped_are_refused():
    with pytest.raises(ValueError, match="longest is 5 steps; at least 10"):
        LiveRecorder(SPEC, longest=5)


def test_an_image_from_before_all_plans_ends_the_episode_of_a_position_robot():
    """The clock was set back: the plans of the time to come were replaced by one that is later."""
    action = dataclasses.replace(SPEC.action, kind="position")
    recorder = LiveRecorder(dataclasses.replace(SPEC, action=action))
    recorder.plan(START, np.linspace(0.0, 0.5, 20).repeat(2).reshape(20, 2))
    for number in range(5):
        recorder.observe(START + number * PERIOD, IMAGE, STATE)
    recorder.plan(START - 10 * PERIOD, np.zeros((0, 2)))
    recorder.plan(START + 9 * PERIOD, np.full((3, 2), 0.3))
    recorder.observe(START + 5 * PERIOD, IMAGE, STATE)
    assert not recorder._images
