"""The reaching task: an arm in space, seen from the side."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.panda import JOINTS
from wm_mpc.sim.tasks.reach import HIGH, LOW, MAX_SPEED, TOLERANCE, Reach

MIDDLE = (LOW + HIGH) / 2


@pytest.fixture(scope="module")
def shared_simulation():
    with simulate(Reach()) as simulation:
        yield simulation


@pytest.fixture
def simulation(shared_simulation):
    shared_simulation.reset(episode_rng(0, "collect", 0))
    return shared_simulation


def place(simulation, tip):
    simulation.task.set_state(simulation.task._at_rest(np.array(tip)))


@pytest.mark.parametrize(
    "velocity", [(0.2, 0.0, 0.0), (-0.2, 0.1, 0.05), (0.0, -0.25, 0.1), (0.0, 0.0, -0.25)]
)
def test_tip_follows_commanded_velocity(simulation, velocity):
    place(simulation, MIDDLE)
    before = simulation.task.pose()
    for _ in range(4):
        simulation.advance(velocity)
    moved = simulation.task.pose() - before
    np.testing.assert_allclose(moved, 0.4 * np.array(velocity), atol=0.005)


@pytest.mark.parametrize("corner", list(itertools.product((0, 1), repeat=3)))
def test_every_corner_of_the_workspace_is_reached_and_not_left(simulation, corner):
    target = np.where(corner, HIGH, LOW)
    place(simulation, MIDDLE)
    for _ in range(30):
        simulation.advance(np.where(corner, MAX_SPEED, -MAX_SPEED))
        assert (simulation.task.pose() > LOW - 0.01).all()
        assert (simulation.task.pose() < HIGH + 0.01).all()
    assert np.linalg.norm(simulation.task.pose() - target) < 0.015


def test_tip_stands_still_without_a_command(simulation):
    place(simulation, MIDDLE)
    for _ in range(20):
        simulation.advance(np.zeros(3))
    assert np.linalg.norm(simulation.task.pose() - MIDDLE) < 0.005


def test_measured_are_joint_velocities_and_no_place(simulation):
    states = []
    for tip in (MIDDLE, LOW + 0.02):
        place(simulation, tip)
        states.append(simulation.task.measure())
    np.testing.assert_array_equal(states[0], states[1])
    assert simulation.task.spec.state.names[0] == "panda_joint1/velocity"
    place(simulation, MIDDLE)
    for _ in range(3):
        simulation.advance((0.2, 0.0, 0.0))
    expected = [velocity for _, velocity in simulation.task.joints().values()]
    assert simulation.task.measure() == pytest.approx(expected)
    assert np.abs(simulation.task.measure()).max() > 0.1
    assert tuple(simulation.task.joints()) == JOINTS


def test_asking_for_the_distance_changes_nothing(simulation):
    runs = []
    for asks in (False, True):
        place(simulation, MIDDLE)
        goal = simulation.task._at_rest(LOW + 0.05)
        place(simulation, MIDDLE)
        for _ in range(5):
            simulation.advance((0.1, -0.2, 0.1))
            if asks:
                simulation.task.errors(goal)
        runs.append(simulation.task.get_state())
    np.testing.assert_array_equal(runs[0], runs[1])


def test_success_is_being_within_the_tolerance(simulation):
    goal = simulation.task._at_rest(MIDDLE)
    for distance, success in ((0.9 * TOLERANCE, True), (1.1 * TOLERANCE, False)):
        place(simulation, MIDDLE + np.array([0.0, distance, 0.0]))
        assert simulation.task.is_success(goal) is success
        assert simulation.task.errors(goal)["distance"] == pytest.approx(distance, abs=1e-4)


def test_starts_and_goals_are_inside_and_apart(simulation):
    for number in range(20):
        simulation.reset(episode_rng(number, "evaluate", 0))
        assert not simulation.is_success()
        assert simulation.errors()["distance"] > 1.9 * TOLERANCE
        tip = simulation.task.pose()
        assert ((tip > LOW - 0.01) & (tip < HIGH + 0.01)).all()


@pytest.mark.parametrize("place_", [(0.2, 0.0), (0.5, 0.3), (math.nan, 0.0)])
def test_goal_out_of_reach_is_refused(simulation, place_):
    with pytest.raises(ValueError, match=r"out of reach \(accepted: x from 0.35"):
        simulation.task.goal_at(*place_, 0.0)


def test_goal_by_a_pose_leaves_the_arm_where_it_is(simulation):
    before = simulation.task.get_state()
    goal = simulation.task.goal_at(0.5, 0.1, 0.0)
    np.testing.assert_array_equal(simulation.task.get_state(), before)
    simulation.task.set_state(goal)
    np.testing.assert_allclose(simulation.task.pose(), [0.5, 0.1, MIDDLE[2]], atol=0.003)


def test_every_axis_is_seen_by_the_camera(simulation):
    place(simulation, MIDDLE)
    picture = simulation.observe().image
    for axis in np.eye(3):
        place(simulation, MIDDLE + TOLERANCE * axis)
        assert (simulation.observe().image != picture).any(-1).sum() > 20
    reddish = (picture[..., 0].astype(int) - picture[..., 2]) > 100
    assert reddish.sum() >= 6  # the ball at the tip


@pytest.mark.slow
def test_exploration_fills_the_workspace(simulation):
    tips = []
    for number in range(10):
        rng = episode_rng(0, "collect", number)
        simulation.reset(rng, goal=False)
        explorer = simulation.task.explorer(rng)
        for _ in range(80):
            action = explorer()
            assert np.abs(action).max() <= MAX_SPEED
            simulation.advance(action)
            tips.append(simulation.task.pose())
    octants = {tuple(tip > MIDDLE) for tip in tips}
    assert len(octants) == 8


def test_goals_can_be_reached_in_time(simulation):
    for number in range(10):
        simulation.reset(episode_rng(5, "evaluate", number))
        present = simulation.task.get_state()
        simulation.task.set_state(simulation.goal.true_state)
        target = simulation.task.pose()
        simulation.task.set_state(present)
        for _ in range(100):
            simulation.advance(3.0 * (target - simulation.task.pose()))
            if simulation.is_success():
                break
        assert simulation.is_success()
