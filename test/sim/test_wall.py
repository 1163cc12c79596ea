"""The wall task in real physics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wm_mpc.sim.engines import simulate
from wm_mpc.sim.planar import TOLERANCE
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.tasks.wall import (
    DOOR_HALF_WIDTH,
    HALF_WIDTH,
    RADIUS,
    WALL_HALF_THICKNESS,
    Wall,
)

DENT = 0.01  # m, how deep contacts may sink in


@pytest.fixture(scope="module")
def simulation():
    with simulate(Wall()) as simulation:
        yield simulation


def place(simulation, x, y, door=0.0):
    simulation.set_layout(np.array([door]))
    simulation.task.set_state(np.array([x, y, 0.0, 0.0]))


def drive(simulation, velocity, steps):
    """The positions (steps, 2) after each step."""
    positions = []
    for _ in range(steps):
        simulation.advance(np.array(velocity))
        positions.append(simulation.task.pose())
    return np.array(positions)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("y", [-0.85, -0.5, 0.5, 0.85])
def test_robot_cannot_pass_the_wall(simulation, side, y):
    place(simulation, side * 0.5, y)
    x = drive(simulation, (-side, 0.0), 40)[:, 0] * side
    assert x[-1] == pytest.approx(WALL_HALF_THICKNESS + RADIUS, abs=DENT)
    assert x.min() > WALL_HALF_THICKNESS + RADIUS - DENT


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("door", [-0.65, 0.0, 0.4])
def test_robot_passes_the_door(simulation, side, door):
    place(simulation, side * 0.5, door, door)
    x = drive(simulation, (-side, 0.0), 15)[:, 0] * side
    assert x[-1] < -0.5


@pytest.mark.parametrize("edge", [-1, 1])
def test_door_is_as_wide_as_stated(simulation, edge):
    through = edge * (DOOR_HALF_WIDTH - RADIUS - 0.01)
    place(simulation, -0.5, through)
    assert drive(simulation, (1.0, 0.0), 15)[-1, 0] > 0.5
    place(simulation, -0.5, edge * (DOOR_HALF_WIDTH + RADIUS))
    assert drive(simulation, (1.0, 0.0), 15)[-1, 0] < 0.0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 20]))
def test_base_stays_inside_the_arena_under_any_action(simulation, seed, hold):
    rng = np.random.default_rng(seed)
    place(simulation, 0.5, 0.0, rng.uniform(-0.65, 0.65))
    for _ in range(60 // hold):
        positions = drive(simulation, rng.choice([-1.0, 1.0, rng.uniform(-1, 1)], size=2), hold)
        assert np.abs(positions).max() < HALF_WIDTH - RADIUS + DENT


@pytest.mark.parametrize("corner", [(-1, -1), (-1, 1), (1, -1), (1, 1)])
def test_base_stays_inside_the_arena_when_pressed_into_a_corner(simulation, corner):
    place(simulation, 0.6 * corner[0], 0.6 * corner[1])
    positions = drive(simulation, corner, 40)
    assert np.abs(positions).max() < HALF_WIDTH - RADIUS + DENT


def test_robot_moves_as_fast_as_it_is_told(simulation):
    place(simulation, -0.8, 0.0)
    positions = drive(simulation, (0.4, 0.3), 15)
    assert (positions[-1] - positions[4]) / 1.0 == pytest.approx([0.4, 0.3], abs=0.01)
    assert simulation.task.measure() == pytest.approx([0.4, 0.3], abs=0.01)


def test_measured_state_holds_no_position(simulation):
    """Where the robot is has to be seen in the picture."""
    place(simulation, -0.8, 0.3)
    here = simulation.task.measure()
    place(simulation, 0.8, -0.3)
    assert (simulation.task.measure() == here).all()
    assert set(simulation.task.spec.state.names) == {"vx", "vy"}


@pytest.mark.parametrize(
    "position", [(0.0, 0.5), (0.1, -0.5), (0.95, 0.0), (0.0, 0.2), (-3.0, 0.0), (np.nan, 0.0)]
)
def test_goal_in_a_wall_is_refused(simulation, position):
    place(simulation, 0.5, 0.0)
    with pytest.raises(ValueError, match="inside a wall or outside the arena"):
        simulation.task.goal_at(*position, 0.0)


@pytest.mark.parametrize("position", [(0.5, 0.5), (-0.85, -0.85), (0.0, 0.0)])
def test_goal_in_free_space_is_accepted(simulation, position):
    place(simulation, 0.5, 0.0)
    assert simulation.task.goal_at(*position, 0.0).tolist() == [*position, 0.0, 0.0]


@pytest.mark.parametrize(("distance", "success"), [(0.0, True), (0.99, True), (1.01, False)])
def test_success_is_being_within_the_tolerance(simulation, distance, success):
    goal = np.array([-0.5, 0.0, 0.0, 0.0])
    place(simulation, -0.5 + 0.6 * distance * TOLERANCE, 0.8 * distance * TOLERANCE)
    assert simulation.task.is_success(goal) is success
    assert simulation.task.errors(goal) == {"distance": pytest.approx(distance * TOLERANCE)}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_starts_and_goals_are_free_and_apart(simulation, seed):
    rng, task = np.random.default_rng(seed), simulation.task
    simulation.set_layout(task.sample_layout(rng))
    start = task.sample_state(rng)
    goal = task.sample_goal(rng, start, "random")
    assert np.linalg.norm(start[:2] - goal[:2]) > TOLERANCE
    for state in (start, goal):
        assert (state[2:] == 0).all()
        task.set_state(state)
        settled = drive(simulation, (0.0, 0.0), 3)[-1]
        assert settled == pytest.approx(state[:2], abs=1e-4)  # no wall pushes it away


def test_explorer_stays_within_limits_and_often_passes_the_door(simulation):
    limits, passed = simulation.task.spec.action, 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        simulation.set_layout(simulation.task.sample_layout(rng))
        simulation.task.set_state(simulation.task.sample_state(rng))
        explore = simulation.task.explorer(rng)
        sides = []
        for _ in range(80):
            action = explore()
            assert (action >= limits.low).all()
            assert (action <= limits.high).all()
            simulation.advance(action)
            sides.append(np.sign(simulation.task.pose()[0]))
        passed += len(set(sides)) > 1
    assert passed >= 3


def test_unknown_task_is_named():
    with pytest.raises(ValueError, match=r"unknown task 'wal'; known tasks: .*wall"):
        make_task("wal")


def test_world_that_cannot_park_its_robot_does_not_know_what_a_goal_shows(simulation):
    simulation.reset(np.random.default_rng(0))
    assert simulation.goal_shown() is None
