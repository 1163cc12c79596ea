"""The reaching task whose actions are joint positions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.panda import JOINTS, MAX_SPEED
from wm_mpc.sim.reaching import HIGH, LOW, TOLERANCE
from wm_mpc.sim.tasks.reach_joints import MIDDLE, RATE_LIMIT, REACH, ReachJoints

SPEC = ReachJoints.spec
CHANGE = RATE_LIMIT * SPEC.control_period  # rad, of one command to the next


@pytest.fixture(scope="module")
def shared_simulation():
    with simulate(ReachJoints()) as simulation:
        yield simulation


@pytest.fixture
def simulation(shared_simulation):
    shared_simulation.reset(episode_rng(0, "collect", 0))
    return shared_simulation


def place(simulation, positions):
    state = np.concatenate([positions, np.zeros(len(JOINTS))])
    simulation.restore(np.zeros(0), state)


def test_actions_and_state_are_the_seven_joint_positions():
    assert SPEC.action.names == SPEC.state.names == tuple(f"panda_joint{n}" for n in range(1, 8))
    assert SPEC.action.kind == "position"
    assert SPEC.action.unit == "rad"
    assert set(SPEC.state.unit) == {"rad"}
    assert (np.array(SPEC.action.rate_limit) < MAX_SPEED).all()
    assert SPEC.rest_is_measured


def test_rest_is_where_the_joints_are_measured(simulation):
    measured = SPEC.measured_positions(simulation.observe().state)
    rest = SPEC.rest(measured)
    before = simulation.task.measure()
    for _ in range(20):
        simulation.advance(rest)
    np.testing.assert_allclose(simulation.task.measure(), before, atol=1e-4)


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("sign", [-1, 1])
def test_every_joint_is_where_it_was_commanded_a_period_later(simulation, joint, sign):
    place(simulation, MIDDLE)
    target = MIDDLE.copy()
    for _ in range(5):
        target[joint] += sign * CHANGE
        simulation.advance(target)
        np.testing.assert_allclose(simulation.task.measure(), target, atol=0.005)


def test_no_command_makes_a_joint_faster_than_the_panda(simulation):
    place(simulation, MIDDLE - REACH)
    for _ in range(10):
        before = simulation.task.measure()
        simulation.advance(MIDDLE + REACH)  # no planner sends this: it jumps
        moved = np.abs(simulation.task.measure() - before)
        assert (moved <= 1.1 * MAX_SPEED * SPEC.control_period).all()
    np.testing.assert_allclose(simulation.task.measure(), MIDDLE + REACH, atol=0.01)


def test_restored_state_goes_on_as_it_did(simulation):
    rng = np.random.default_rng(1)
    commands = MIDDLE + np.cumsum(rng.uniform(-CHANGE, CHANGE, (6, 7)), 0)
    place(simulation, MIDDLE)
    simulation.advance(commands[0])
    kept = simulation.task.get_state()
    ends = []
    for _ in range(2):
        simulation.restore(np.zeros(0), kept)
        for command in commands[1:]:
            simulation.advance(command)
        ends.append(simulation.task.measure())
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-9)


def test_asking_for_the_distance_changes_nothing(simulation):
    goal = simulation.goal.true_state
    runs = []
    for asks in (False, True):
        place(simulation, MIDDLE)
        for number in range(1, 6):
            simulation.advance(MIDDLE + 0.5 * number * CHANGE)
            if asks:
                simulation.task.errors(goal)
        runs.append(simulation.task.get_state())
    np.testing.assert_array_equal(runs[0], runs[1])


def test_success_is_the_tip_within_the_tolerance_whatever_the_posture(simulation):
    goal = np.concatenate([MIDDLE, np.zeros(7)])
    turned = MIDDLE.copy()
    turned[6] += 0.3  # the stick turns about itself
    place(simulation, turned)
    assert simulation.task.errors(goal)["distance"] < 1e-3
    assert simulation.task.is_success(goal)
    swung = MIDDLE.copy()
    swung[0] += 0.15
    place(simulation, swung)
    assert simulation.task.errors(goal)["distance"] > TOLERANCE
    assert not simulation.task.is_success(goal)


def test_starts_and_goals_are_inside_and_apart(simulation):
    low, high = np.array(SPEC.action.low), np.array(SPEC.action.high)
    for number in range(20):
        simulation.reset(episode_rng(number, "evaluate", 0))
        assert not simulation.is_success()
        assert simulation.errors()["distance"] > 1.9 * TOLERANCE
        for state in (simulation.task.get_state(), simulation.goal.true_state):
            assert ((state[:7] >= low) & (state[:7] <= high)).all()
            place(simulation, state[:7])
            tip = simulation.task.pose()
            assert ((tip > LOW) & (tip < HIGH)).all()


@pytest.mark.parametrize("place_", [(0.2, 0.0), (0.5, 0.3), (math.nan, 0.0)])
def test_goal_out_of_reach_is_refused(simulation, place_):
    with pytest.raises(ValueError, match=r"out of reach \(accepted: x from 0.35"):
        simulation.task.goal_at(*place_, 0.0)


@pytest.mark.parametrize("x", [0.35, 0.58])
@pytest.mark.parametrize("y", [-0.25, 0.25])
def test_goal_by_a_pose_can_be_commanded_and_leaves_the_arm_where_it_is(simulation, x, y):
    before = simulation.task.get_state()
    goal = simulation.task.goal_at(x, y, 0.0)
    np.testing.assert_array_equal(simulation.task.get_state(), before)
    np.testing.assert_array_less(np.array(SPEC.action.low) - 1e-9, goal[:7])
    np.testing.assert_array_less(goal[:7], np.array(SPEC.action.high) + 1e-9)
    simulation.task.set_state(goal)
    np.testing.assert_allclose(simulation.task.pose()[:2], [x, y], atol=0.006)


def test_every_axis_is_seen_by_the_camera(simulation):
    place(simulation, MIDDLE)
    picture = simulation.observe().image
    for joint in range(4):
        moved = MIDDLE.copy()
        moved[joint] += 0.1
        place(simulation, moved)
        assert (simulation.observe().image != picture).any(-1).sum() > 20


@pytest.mark.slow
def test_exploration_keeps_the_rate_limit_from_where_the_joints_are_and_fills_the_workspace(
    simulation,
):
    tips, slow, fast = [], 0, 0
    for number in range(12):
        rng = episode_rng(0, "collect", number)
        simulation.reset(rng, goal=False)
        explorer = simulation.task.explorer(rng)
        before = simulation.task.measure()
        for _ in range(80):
            command = explorer()
            change = np.abs(command - before).max()
            assert change <= CHANGE + 1e-9
            slow, fast = slow + (change < 0.5 * CHANGE), fast + (change > 0.9 * CHANGE)
            simulation.advance(command)
            assert np.abs(simulation.task.measure() - command).max() < 0.2
            before = command
            tips.append(simulation.task.pose())
    octants = {tuple(tip > (LOW + HIGH) / 2) for tip in tips}
    assert len(octants) == 8
    assert min(slow, fast) > 100


def test_goals_can_be_reached_in_time_at_the_rate_limit(simulation):
    for number in range(10):
        simulation.reset(episode_rng(5, "evaluate", number))
        command, goal = simulation.task.measure(), simulation.goal.true_state[:7]
        for _ in range(20):
            command = np.clip(goal, command - CHANGE, command + CHANGE)
            simulation.advance(command)
            if simulation.is_success():
                break
        assert simulation.is_success()
