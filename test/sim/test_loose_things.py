"""The tasks with loose things: a rope and grains that move only when the stick pushes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.loose_things import TOLERANCE, chamfer_distance
from wm_mpc.sim.panda import STICK_RADIUS
from wm_mpc.sim.stick_table import CENTRE, RIM
from wm_mpc.sim.tasks.granular import HALF, Granular
from wm_mpc.sim.tasks.rope import LINK, RADIUS, Rope

points = st.lists(st.tuples(*[st.floats(-1.0, 1.0)] * 2), min_size=1, max_size=8).map(np.array)


@pytest.fixture(scope="module", params=[Rope, Granular], ids=["rope", "granular"])
def shared_simulation(request):
    with simulate(request.param()) as simulation:
        yield simulation


@pytest.fixture
def simulation(shared_simulation):
    shared_simulation.reset(episode_rng(3, "collect", 0), goal=False)
    return shared_simulation


@given(points, points)
def test_chamfer_distance_is_the_same_in_both_directions_and_order_does_not_matter(first, second):
    distance = chamfer_distance(first, second)
    assert distance == pytest.approx(chamfer_distance(second, first))
    assert distance == pytest.approx(chamfer_distance(first[::-1], second))
    assert chamfer_distance(first, first) == 0.0


@given(points, st.floats(-1.0, 1.0))
def test_chamfer_distance_is_at_most_how_far_all_points_move(some, far):
    assert chamfer_distance(some, some + np.array([far, 0.0])) <= abs(far) + 1e-9


def test_chamfer_distance_of_one_stray_point_of_four():
    line = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    stray = line.copy()
    stray[3] = [3.0, 0.8]
    # From the stray point 0.8 to (3, 0), and back 0.8; the others are 0 away from each other.
    assert chamfer_distance(line, stray) == pytest.approx(0.2)


def test_nothing_moves_without_the_stick(simulation):
    things = simulation.task.things()
    for _ in range(10):
        simulation.advance(np.zeros(2))
    assert np.abs(simulation.task.things() - things).max() < 1e-3


def test_things_lie_apart_from_each_other_and_from_the_rim_at_the_start(simulation):
    for number in range(10):
        simulation.reset(episode_rng(3, "collect", number), goal=False)
        things = simulation.task.things()
        assert np.abs(things - CENTRE).max() < RIM - 0.02
        apart = np.linalg.norm(things[:, None] - things[None], axis=-1)
        least = 2 * HALF if isinstance(simulation.task, Granular) else LINK / 2
        assert (apart + np.eye(len(things))).min() > least


def test_stick_moves_what_it_is_driven_through(simulation):
    task = simulation.task
    things = task.things()
    while np.abs(offset := things.mean(0) - task.measure()).max() > 0.01:
        simulation.advance(np.clip(offset / 0.1, -0.25, 0.25))
    moved = np.linalg.norm(task.things() - things, axis=1)
    assert moved.max() > 0.01


@pytest.mark.slow
def test_exploration_keeps_things_where_the_stick_gets_behind_them(simulation):
    explore = simulation.explorer(np.random.default_rng(1))
    moved = 0
    for _ in range(150):
        before = simulation.task.things()
        simulation.advance(explore())
        moved += np.linalg.norm(simulation.task.things() - before, axis=1).max() > 0.002
    assert moved > 30
    assert np.median(np.abs(simulation.task.things() - CENTRE).max(1)) < RIM - 0.04


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["near", "random"])
def test_goal_is_not_reached_at_the_start_and_is_reached_at_itself(simulation, kind):
    start = simulation.state()
    goal = simulation.task.sample_goal(episode_rng(5, "collect", 7), start, kind)
    simulation.restore(simulation.layout, start)
    assert simulation.task.errors(goal)["distance"] >= TOLERANCE
    simulation.restore(simulation.layout, goal)
    assert simulation.task.errors(goal)["distance"] < 1e-6
    assert simulation.task.is_success(goal)


def test_goal_of_a_person_lies_where_it_is_asked_for(simulation):
    goal = simulation.goal_at(0.53, -0.02, 0.4)
    simulation.restore(simulation.layout, goal)
    assert simulation.task.things().mean(0) == pytest.approx([0.53, -0.02], abs=0.02)


def test_goal_beyond_the_rim_is_refused_with_what_is_accepted(simulation):
    with pytest.raises(ValueError, match=r"goal \(0\.80, 0\.00\) m.*accepted: .*0\.51, 0\.00"):
        simulation.goal_at(0.8, 0.0, 0.0)


def test_a_puck_reaches_cubes_beside_the_stick():
    with simulate(Granular()) as simulation:
        simulation.reset(episode_rng(3, "collect", 0), goal=False)
        task, tip = simulation.task, simulation.task.measure()
        # No stick touches a cube there.
        beside = tip + np.array([0.06, STICK_RADIUS + HALF + 0.005])
        state = simulation.state()
        state[14:17] = [*beside, HALF]
        state[17:21] = [0.0, 0.0, 0.0, 1.0]
        simulation.restore(simulation.layout, state)
        for _ in range(5):
            simulation.advance(np.array([0.2, 0.0]))
        assert np.linalg.norm(task.things()[0] - beside) > 0.01
        assert task.robot_description().count("<cylinder") > Rope().robot_description().count(
            "<cylinder"
        )


def test_rope_stays_one_rope_on_the_table():
    with simulate(Rope()) as simulation:
        simulation.reset(episode_rng(3, "collect", 1), goal=False)
        explore = simulation.explorer(np.random.default_rng(2))
        for _ in range(60):
            simulation.advance(explore())
            links = simulation.task.things()
            assert np.linalg.norm(np.diff(links, axis=0), axis=1).max() < LINK + 1e-3
            height = simulation.state()[16]
            assert height == pytest.approx(RADIUS, abs=0.004)


def test_share_of_the_things_that_a_goal_shows_is_known(simulation):
    simulation.new_goal(episode_rng(5, "collect", 3))
    assert 0.0 <= simulation.goal_shown() <= 1.0
