"""The pushing task: an arm that goes where it is told, a block that moves only when pushed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.stick_table import CENTRE, GOAL_STEPS, MAX_SPEED, REACH, RIM
from wm_mpc.sim.tasks.push_t import POSITION_TOLERANCE, PushT


@pytest.fixture(scope="module")
def shared_simulation():
    with simulate(PushT()) as simulation:
        yield simulation


@pytest.fixture
def simulation(shared_simulation):
    shared_simulation.reset(episode_rng(0, "collect", 0))
    return shared_simulation


def place(simulation, tip, block=(CENTRE[0], CENTRE[1], 0.0)):
    """Tip at (x, y), block at (x, y, yaw), at rest."""
    task = simulation.task
    half = block[2] / 2
    state = np.concatenate(
        [
            task._arm.posture_at(*tip), np.zeros(7), [block[0], block[1], 0.02],
            [0.0, 0.0, math.sin(half), math.cos(half)], np.zeros(6),
        ]
    )  # fmt: skip
    simulation.restore(np.zeros(0), state)


@pytest.mark.parametrize("velocity", [(0.2, 0.0), (-0.2, 0.1), (0.0, -0.25), (0.05, 0.05)])
def test_tip_follows_commanded_velocity(simulation, velocity):
    place(simulation, CENTRE, block=(CENTRE[0] + 0.13, CENTRE[1] + 0.13, 0.0))
    before = simulation.task.measure()
    for _ in range(4):
        simulation.advance(velocity)
    moved = simulation.task.measure() - before
    np.testing.assert_allclose(moved, 0.4 * np.array(velocity), atol=0.003)


@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)])
def test_tip_stays_in_its_workspace_at_its_height(simulation, direction):
    aside = 0.15 * np.array([-direction[0] or 1, -direction[1] or 1])
    place(simulation, CENTRE, block=(*(CENTRE + aside), 0.3))
    for _ in range(40):
        simulation.advance(MAX_SPEED * np.array(direction))
        tip = simulation.task._arm.tip()
        assert np.abs(tip[:2] - CENTRE).max() < REACH + 0.005
        assert tip[2] == pytest.approx(0.015, abs=0.004)


@pytest.mark.slow
def test_joints_stay_inside_their_limits(simulation):
    rng = np.random.default_rng(0)
    arm = simulation.task._arm
    for _ in range(60):
        action = rng.uniform(-MAX_SPEED, MAX_SPEED, 2)
        for _ in range(10):
            simulation.advance(action)
            positions, _ = arm.positions()
            assert (positions >= arm._low - 0.01).all()
            assert (positions <= arm._high + 0.01).all()


def test_stick_pushes_block(simulation):
    place(simulation, CENTRE - np.array([0.1, 0.0]), block=(CENTRE[0], CENTRE[1], math.pi / 2))
    before = simulation.task.pose()
    for _ in range(8):
        simulation.advance((0.2, 0.0))
    assert simulation.task.pose()[0] - before[0] > 0.05


def test_untouched_block_does_not_move(simulation):
    place(simulation, CENTRE + np.array([0.15, 0.15]))
    before = simulation.task.pose()
    for _ in range(20):
        simulation.advance((-0.02, 0.02))
    np.testing.assert_allclose(simulation.task.pose(), before, atol=1e-4)


def test_rim_keeps_block_on_table(simulation):
    place(simulation, CENTRE, block=(CENTRE[0] + 0.1, CENTRE[1], math.pi / 2))
    for _ in range(40):
        simulation.advance((MAX_SPEED, 0.0))
    x, y = simulation.task.pose()[:2]
    assert abs(x - CENTRE[0]) < RIM
    assert abs(y - CENTRE[1]) < RIM
    assert simulation.task.get_state()[16] < 0.04  # m, still flat on the table


@pytest.mark.slow
def test_starts_and_goals_are_free_and_apart(simulation):
    for index in range(10):
        for kind in PushT.goal_kinds:
            simulation.goal_kind = kind
            simulation.reset(episode_rng(3, "evaluate", index))
            assert not simulation.is_success()
    simulation.goal_kind = "near"


def test_near_goal_is_where_exploration_gets_in_time(simulation):
    """The block cannot be farther than the stick can push it until then."""
    for index in range(5):
        simulation.reset(episode_rng(4, "evaluate", index))
        assert simulation.errors()["distance"] < GOAL_STEPS * 0.1 * MAX_SPEED * math.sqrt(2)


def test_success_needs_position_and_angle(simulation):
    task = simulation.task
    place(simulation, CENTRE + np.array([0.2, 0.2]), block=(CENTRE[0], CENTRE[1], 1.0))
    goal = task.get_state()
    assert task.is_success(goal)
    place(
        simulation,
        CENTRE + np.array([0.2, 0.2]),
        block=(CENTRE[0] + 1.1 * POSITION_TOLERANCE, 0.0, 1.0),
    )
    assert not task.is_success(goal)
    place(simulation, CENTRE + np.array([0.2, 0.2]), block=(CENTRE[0], 0.0, 1.0 + math.radians(21)))
    assert not task.is_success(goal)
    place(simulation, CENTRE + np.array([0.2, 0.2]), block=(CENTRE[0], 0.0, 1.0 + math.radians(19)))
    assert task.is_success(goal)


def test_goal_outside_the_workspace_is_refused(simulation):
    with pytest.raises(ValueError, match="accepted: within"):
        simulation.task.goal_at(CENTRE[0] + 0.3, 0.0, 0.0)
    with pytest.raises(ValueError, match="accepted: within"):
        simulation.task.goal_at(math.nan, 0.0, 0.0)
    goal = simulation.task.goal_at(CENTRE[0] + 0.1, 0.05, 1.0)
    np.testing.assert_allclose(goal[14:16], [CENTRE[0] + 0.1, 0.05])


def test_restored_state_continues_exactly(simulation):
    rng = episode_rng(0, "collect", 3)
    simulation.reset(rng)
    explore = simulation.task.explorer(rng)
    states, actions = [simulation.task.get_state()], []
    for _ in range(40):
        actions.append(explore())
        simulation.advance(actions[-1])
        states.append(simulation.task.get_state())
    for first in (3, 11, 27):
        simulation.restore(np.zeros(0), states[first])
        for action in actions[first : first + 10]:
            simulation.advance(action)
        np.testing.assert_allclose(simulation.task.get_state(), states[first + 10], atol=1e-9)


@pytest.mark.slow
def test_exploration_moves_the_block_in_most_windows(simulation):
    shares = []
    for index in range(4):
        rng = episode_rng(1, "collect", index)
        simulation.reset(rng)
        explore = simulation.task.explorer(rng)
        poses = []
        for _ in range(80):
            simulation.advance(explore())
            poses.append(simulation.task.pose())
        change = np.abs(np.array(poses[5:]) - np.array(poses[:-5])).max(1)
        shares.append((change > 1e-3).mean())
    assert np.mean(shares) > 0.5


def test_camera_sees_block_and_stick(simulation):
    place(simulation, CENTRE + np.array([0.15, 0.0]))
    image = simulation.observe().image.astype(int)
    red = (image[..., 0] > 120) & (image[..., 1] < 90)
    blue = (image[..., 2] > 100) & (image[..., 0] < 80)
    assert red.sum() > 30
    assert blue.sum() > 8


@pytest.mark.parametrize(
    ("tip", "low", "high"), [((0.30, 0.21), 1.0, 1.0), ((0.70, 0.0), 0.0, 0.5)]
)
def test_goal_shown_tells_how_much_of_the_block_the_arm_leaves_in_view(simulation, tip, low, high):
    place(simulation, tip)
    simulation.set_goal(simulation.state())
    place(simulation, (0.45, 0.1))
    assert low <= simulation.goal_shown() <= high


def test_asking_what_a_goal_shows_changes_nothing(simulation):
    simulation.new_goal(episode_rng(0, "collect", 1))
    place(simulation, (0.56, -0.06))
    start, ends, pictures = simulation.state(), [], []
    for asks in (False, True):
        simulation.restore(np.zeros(0), start)
        for step in range(15):
            simulation.advance(np.array([-0.2, 0.1]))
            if asks and step % 5 == 0:
                simulation.goal_shown()
        ends.append(simulation.state())
        pictures.append(simulation.observe().image)
    assert ends[0] == pytest.approx(ends[1], abs=1e-9)
    assert (pictures[0] == pictures[1]).all()
