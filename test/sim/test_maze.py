"""The maze task: a base with inertia between walls, of which a camera is all that is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.planar import TOLERANCE
from wm_mpc.sim.tasks.maze import DAMPING, MASS, Maze
from wm_mpc.sim.tasks.maze_explorer import MAX_FORCE
from wm_mpc.sim.tasks.maze_plan import (
    CELLS,
    HALF_WIDTH,
    RADIUS,
    WALL_HALF_THICKNESS,
    WALLS,
    cell_of,
    centre_of,
    is_free,
    way,
)

DENT = 0.015  # m, how deep contacts may sink in
ALL_CELLS = list(itertools.product(range(CELLS), repeat=2))


@pytest.fixture(scope="module")
def simulation():
    with simulate(Maze()) as simulation:
        yield simulation


def place(simulation, x, y, vx=0.0, vy=0.0):
    simulation.task.set_state(np.array([x, y, vx, vy]))


def push(simulation, force, steps):
    """The states (steps, 4) after each step."""
    states = []
    for _ in range(steps):
        simulation.advance(np.array(force))
        states.append(simulation.task.get_state())
    return np.array(states)


def test_base_gathers_speed_and_coasts_when_the_force_ends(simulation):
    place(simulation, -0.75, -0.8)
    pushed = push(simulation, (0.0, 3.0), 10)
    assert (np.diff(pushed[:, 3]) > 0).all()
    expected = 3.0 / DAMPING * (1 - math.exp(-DAMPING / MASS))  # m/s after a second
    assert pushed[-1, 3] == pytest.approx(expected, rel=0.05)
    coasted = push(simulation, (0.0, 0.0), 5)
    assert coasted[0, 1] > pushed[-1, 1] + 0.04
    assert coasted[-1, 3] == pytest.approx(pushed[-1, 3] * math.exp(-1.0), rel=0.1)


def test_base_comes_to_rest_without_a_force(simulation):
    place(simulation, 0.25, -0.75, -0.5, 0.3)
    assert np.abs(push(simulation, (0.0, 0.0), 40)[-1, 2:]).max() < 0.01


def test_one_picture_does_not_show_the_velocity_but_two_do(simulation):
    pictures = []
    for speed in (0.0, 0.6):
        place(simulation, -0.75, 0.0, 0.0, speed)
        pictures.append([simulation.observe().image, simulation.step(np.zeros(2)).image])
    np.testing.assert_array_equal(pictures[0][0], pictures[1][0])
    assert (pictures[0][1] != pictures[1][1]).any()
    assert Maze.spec.history > 1
    assert simulation.observe().state.shape == (0,)


@pytest.mark.parametrize(("start", "end"), WALLS)
def test_base_cannot_pass_a_wall(simulation, start, end):
    across = np.array([start[1] != end[1], start[0] != end[0]], float)  # normal of the wall
    for side in (-1, 1):
        place(simulation, *((start + end) / 2 + side * 0.2 * across))
        states = push(simulation, -side * MAX_FORCE * across, 15)
        offset = (states[:, :2] - (start + end) / 2) @ across * side
        assert offset.min() > WALL_HALF_THICKNESS + RADIUS - DENT


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_base_stays_inside_the_arena_under_any_force(simulation, seed):
    rng = np.random.default_rng(seed)
    simulation.task.set_state(simulation.task.sample_state(rng))
    for force in rng.choice([-MAX_FORCE, 0.0, MAX_FORCE], size=(10, 2)):
        states = push(simulation, force, 5)
        assert np.abs(states[:, :2]).max() < HALF_WIDTH - RADIUS + DENT


def test_every_cell_is_reached_from_every_other_through_open_sides():
    for start, end in itertools.product(ALL_CELLS, repeat=2):
        cells = way(start, end)
        assert (cells[0], cells[-1]) == (start, end)
        for one, other in itertools.pairwise(cells):
            for share in np.linspace(0, 1, 11):
                assert is_free((1 - share) * centre_of(one) + share * centre_of(other))
        assert len(cells) == len(way(end, start))


def test_ways_are_far_longer_than_the_straight_line():
    """Otherwise no maze would be needed."""
    steps = [len(way(a, b)) - 1 for a, b in itertools.product(ALL_CELLS, repeat=2)]
    straight = [sum(abs(np.subtract(a, b))) for a, b in itertools.product(ALL_CELLS, repeat=2)]
    assert max(np.subtract(steps, straight)) >= 5


@pytest.mark.parametrize("position", [(0.0, 0.0), (0.99, 0.0), (-0.5, -0.5), (math.nan, 0.0)])
def test_goal_in_a_wall_is_refused(simulation, position):
    with pytest.raises(ValueError, match=r"inside a wall or outside.*accepted: free space"):
        simulation.task.goal_at(*position, 0.0)


def test_success_is_being_within_the_tolerance(simulation):
    goal = simulation.task.goal_at(0.25, 0.25, 0.0)
    for distance, success in ((0.9 * TOLERANCE, True), (1.1 * TOLERANCE, False)):
        place(simulation, 0.25 + distance, 0.25)
        assert simulation.task.is_success(goal) is success
        assert simulation.task.errors(goal)["distance"] == pytest.approx(distance)


def test_starts_and_goals_are_free_and_apart(simulation):
    for number in range(50):
        simulation.reset(episode_rng(number, "evaluate", 0))
        start, goal = simulation.task.get_state(), simulation.goal.true_state
        assert is_free(start[:2])
        assert is_free(goal[:2])
        assert not simulation.is_success()


def test_exploration_sees_every_cell_at_many_speeds(simulation):
    seen, speeds = set(), []
    for number in range(20):
        rng = episode_rng(0, "collect", number)
        simulation.reset(rng, goal=False)
        explorer = simulation.task.explorer(rng)
        for _ in range(80):
            force = explorer()
            assert np.abs(force).max() <= MAX_FORCE
            simulation.advance(force)
            state = simulation.task.get_state()
            seen.add(cell_of(state[:2]))
            speeds.append(np.hypot(*state[2:]))
    assert seen == set(ALL_CELLS)
    assert np.percentile(speeds, 10) < 0.25
    assert np.percentile(speeds, 90) > 0.6


def test_goals_can_be_reached_in_time(simulation):
    """By the way from cell to cell, which no planner knows."""
    reached = 0
    for number in range(20):
        rng = episode_rng(5, "evaluate", number)
        simulation.reset(rng)
        guide = simulation.task.explorer(rng)
        guide._haste = 1.0
        for _ in range(100):
            state = simulation.task.get_state()
            simulation.advance(guide._towards(simulation.goal.true_state[:2], state[:2], state[2:]))
            if simulation.is_success():
                reached += 1
                break
    assert reached == 20
