"""The simulation engine: restorable states, seeds, goals and limits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wm_mpc.sim.engine import STREAMS, episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.wall import Wall


@pytest.fixture(scope="module")
def simulation():
    with simulate(Wall()) as simulation:
        yield simulation


def record(simulation, seed, steps=40):
    rng = np.random.default_rng(seed)
    simulation.reset(rng)
    states, images, actions = [simulation.task.get_state()], [simulation.observe().image], []
    action = np.zeros(2)
    for number in range(steps):
        if number % 8 == 0:  # long enough to hit the walls
            action = rng.uniform(-1.0, 1.0, 2).round()
        images.append(simulation.step(action).image)
        states.append(simulation.task.get_state())
        actions.append(action)
    return np.array(states), np.array(images), np.array(actions), simulation.layout


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("first", [0, 7, 13, 29])
def test_restored_state_reproduces_the_recording(simulation, seed, first):
    states, images, actions, layout = record(simulation, seed)
    record(simulation, seed + 100)  # something else in between
    seen = [simulation.restore(layout, states[first]).image]
    again = [simulation.task.get_state()]
    for action in actions[first:]:
        seen.append(simulation.step(action).image)
        again.append(simulation.task.get_state())
    assert np.array(again)[:, :2] == pytest.approx(states[first:, :2], abs=1e-6)
    assert np.array_equal(seen, images[first:])


def test_other_simulation_gives_the_same(simulation):
    expected = record(simulation, 3)
    with simulate(Wall()) as other:
        for one, same in zip(expected, record(other, 3), strict=True):
            assert np.array_equal(one, same)


def test_robot_hits_walls_in_these_recordings(simulation):
    """Restoring is easy in free space."""
    contacts = 0
    for seed in range(4):
        states, _, actions, _ = record(simulation, seed)
        contacts += (np.abs(actions - states[1:, 2:]) > 0.5).sum()
    assert contacts > 10


@pytest.mark.parametrize("action", [(9.0, -9.0), (1.0, -1.0), (np.inf, -np.inf)])
def test_actions_are_clipped_to_their_limits(simulation, action):
    layout = np.array([0.0])
    simulation.restore(layout, np.array([-0.8, 0.5, 0.0, 0.0]))
    for _ in range(5):
        simulation.advance(np.array(action))
    assert simulation.task.measure() == pytest.approx([1.0, -1.0], abs=0.02)


def test_step_is_advance_and_observe(simulation):
    states = []
    for how in ("advance", "step"):
        simulation.restore(np.array([0.0]), np.array([-0.8, 0.5, 0.0, 0.0]))
        getattr(simulation, how)(np.array([0.5, 0.0]))
        states.append((simulation.task.get_state().tolist(), simulation.observe().image.sum()))
    assert states[0] == states[1]


def test_action_lasts_one_control_period(simulation):
    simulation.restore(np.array([0.0]), np.array([-0.8, 0.5, 0.5, 0.0]))
    simulation.advance(np.array([0.5, 0.0]))
    period = simulation.task.spec.control_period
    assert simulation.task.pose()[0] == pytest.approx(-0.8 + 0.5 * period, abs=1e-4)


def test_streams_of_random_numbers_differ():
    """Evaluation never sees what training saw, whatever the seeds."""
    draws = {
        tuple(episode_rng(seed, stream, index).random(3))
        for seed in range(3)
        for stream in STREAMS
        for index in range(50)
    }
    assert len(draws) == 3 * len(STREAMS) * 50


def test_episode_is_repeatable_by_its_seed(simulation):
    first = simulation.reset(episode_rng(1, "evaluate", 2))
    goal = simulation.goal.true_state
    simulation.reset(episode_rng(1, "evaluate", 3))
    assert not np.array_equal(simulation.goal.true_state, goal)
    again = simulation.reset(episode_rng(1, "evaluate", 2))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(simulation.goal.true_state, goal)


@pytest.mark.parametrize("seed", range(5))
def test_goal_rendering_leaves_the_state_unchanged(simulation, seed):
    rng = np.random.default_rng(seed)
    simulation.reset(rng)
    for _ in range(7):
        simulation.advance(rng.uniform(-1, 1, 2))
    before, image = simulation.task.get_state(), simulation.observe().image
    goal = simulation.new_goal(rng)
    assert np.array_equal(simulation.task.get_state(), before)
    assert np.array_equal(simulation.observe().image, image)
    assert not np.array_equal(goal.observation.image, image)


def test_goal_picture_shows_the_robot_at_the_goal(simulation):
    simulation.reset(np.random.default_rng(0))
    goal = simulation.goal
    there = simulation.restore(simulation.layout, goal.true_state)
    assert np.array_equal(there.image, goal.observation.image)
    assert np.array_equal(there.state, goal.observation.state)
    assert simulation.is_success()
    assert simulation.errors() == {"distance": pytest.approx(0.0, abs=1e-9)}


def test_start_is_no_success(simulation):
    for seed in range(20):
        simulation.reset(np.random.default_rng(seed))
        assert not simulation.is_success()


def test_there_is_no_success_without_a_goal():
    with simulate(Wall()) as fresh, pytest.raises(RuntimeError, match="no goal yet"):
        fresh.is_success()


def test_observation_is_as_the_robot_is_described(simulation):
    spec = simulation.task.spec
    observation = simulation.reset(np.random.default_rng(0))
    assert observation.image.shape == (spec.image.height, spec.image.width, 3)
    assert observation.image.dtype == np.uint8
    assert observation.state.shape == (spec.state.size,)
    assert observation.state.dtype == np.float32


def test_picture_shows_the_robot_where_it_is(simulation):
    """x to the right, y up, by the camera's own intrinsics; the robot is the only red thing."""
    camera, height = simulation.camera, simulation.task.view.position[2]
    focal, _, centre_x, _, _, centre_y, *_ = camera.intrinsics()
    for x, y in ((-0.7, -0.6), (0.6, 0.7), (0.5, -0.4)):
        image = simulation.restore(np.array([0.0]), np.array([x, y, 0.0, 0.0])).image.astype(int)
        red = (image[..., 0] - image[..., 1] > 60) & (image[..., 0] - image[..., 2] > 60)
        row, column = np.argwhere(red).mean(0) + 0.5
        depth = height - 0.2  # to the top of the robot
        assert column == pytest.approx(centre_x + focal * x / depth, abs=1.5)
        assert row == pytest.approx(centre_y - focal * y / depth, abs=1.5)


def test_control_period_must_be_whole_physics_steps():
    task = Wall()
    task.spec = dataclasses.replace(Wall.spec, control_period=0.0123)
    with pytest.raises(ValueError, match=r"0\.0123 s is not a whole number of physics steps"):
        simulate(task)


def test_closed_simulation_can_be_closed_again():
    simulation = simulate(Wall())
    simulation.close()
    simulation.close()
