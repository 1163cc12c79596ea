"""The task `pusht` is the environment swm/PushT-v1 as it is published."""

from __future__ import annotations

import importlib.metadata
import math
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium")
if not {"stable-worldmodel", "pymunk", "pygame", "shapely"} <= {
    d.name for d in importlib.metadata.distributions()
}:
    pytest.skip("the packages of the extra `worlds` are not all here", allow_module_level=True)

from wm_mpc.sim.collection import record_episode
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.pusht import METRES, PushTWorld, to_metres, to_pixels
from wm_mpc.sim.tasks.pusht_explorer import distance_to_block


@pytest.fixture(scope="module")
def simulation():
    with simulate(PushTWorld()) as simulation:
        yield simulation


@pytest.fixture
def environment(simulation):
    return simulation.world.env


@pytest.fixture(scope="module")
def episodes(simulation):
    return [record_episode(simulation, 3072, index, 60) for index in range(6)]


def put(simulation, agent, block, angle=0.0):
    """Agent and block at rest at places, pixels and rad."""
    simulation.reset(np.random.default_rng(0), goal=False)
    state = np.zeros_like(simulation.state())
    state[:5] = [*agent, *block, angle]
    return simulation.restore(np.zeros(0), state)


def test_it_is_the_registered_environment(environment):
    """The package registers this class under the public name, without arguments of its own."""
    module = sys.modules[type(environment).__module__]
    registry = Path(module.__file__).parents[1] / "__init__.py"
    entry = f"{module.__name__}:{type(environment).__name__}"
    wanted = f"register(\n    id='swm/PushT-v1',\n    entry_point='{entry}',\n)"
    assert wanted in registry.read_text(encoding="utf-8")


def test_start_is_that_of_its_own_reset(simulation, environment):
    rng = episode_rng(3072, "collect", 5)
    simulation.reset(episode_rng(3072, "collect", 5), goal=False)
    ours = simulation.state()[:5]
    observation, _ = environment.reset(seed=int(rng.integers(2**31 - 1)))
    assert ours[:4].tolist() == observation["state"][:4].tolist()
    assert math.cos(ours[4] - observation["state"][4]) == pytest.approx(1.0)


@pytest.mark.parametrize("pixels", [(256.0, 256.0), (20.0, 400.0), (180.5, 33.25)])
def test_metres_and_pixels_say_the_same(pixels):
    assert to_pixels(to_metres(pixels)).tolist() == pytest.approx(pixels)


def test_x_points_right_and_y_up_in_the_picture(simulation):
    image = put(simulation, to_pixels((0.3, 0.2)), (150.0, 400.0)).image.astype(int)
    blue = (image[..., 2] - image[..., 0] > 80) & (image[..., 2] > 150)
    row, column = np.argwhere(blue).mean(0) + 0.5
    assert column == pytest.approx((256 + 150) * 64 / 512, abs=0.7)
    assert row == pytest.approx((256 - 100) * 64 / 512, abs=0.7)


@pytest.mark.parametrize("action", [(0.8, 0.0), (0.0, 0.8), (-0.4, -0.2), (5.0, 0.0)])
def test_action_does_what_it_does_in_the_environment(simulation, environment, action):
    put(simulation, (200.0, 300.0), (400.0, 100.0))
    simulation.advance(np.array(action))
    ours = simulation.state()[:2]
    put(simulation, (200.0, 300.0), (400.0, 100.0))
    theirs = np.clip(np.array(action) / 0.8, -1, 1) * (1, -1)
    environment.step(theirs.astype(np.float32))
    assert ours == pytest.approx(np.array(environment.agent.position))


def test_kept_up_action_moves_the_agent_at_that_velocity(simulation):
    put(simulation, (100.0, 256.0), (256.0, 60.0))
    for _ in range(6):
        before = simulation.measure()
        simulation.advance(np.array([0.4, 0.0]))
    speed = (simulation.measure()[0] - before[0]) / 0.1
    assert speed == pytest.approx(0.4, rel=0.03)
    assert simulation.measure()[2] == pytest.approx(0.4, rel=0.15)


@pytest.mark.parametrize(
    ("agent", "block", "degrees"),
    [
        ((0, 0), (0, 0), 0),
        ((19, 0), (0, 0), 0),
        ((21, 0), (0, 0), 0),
        ((0, 0), (0, 15), 19),
        ((0, 0), (0, 15), 21),
        ((0, 0), (0, 15), -19),
        ((15, 0), (15, 0), 0),  # together more than 20 pixels
        ((13, 0), (13, 0), 340.5),
    ],
)
def test_success_is_that_of_the_environment(simulation, environment, agent, block, degrees):
    put(simulation, (150.0, 150.0), (300.0, 300.0), 0.1)
    goal = simulation.state()
    simulation.set_goal(goal)
    start = np.add((150.0, 150.0), agent), np.add((300.0, 300.0), block)
    put(simulation, *start, 0.1 + math.radians(degrees))
    theirs, _ = environment.eval_state(np.r_[goal[:5], 0, 0], environment._get_obs())
    assert simulation.is_success() == theirs


def test_yaw_is_that_seen_in_the_picture(simulation):
    """The stem of the T points against y; a quarter turn against the clock points it to x."""
    put(simulation, (60.0, 60.0), (256.0, 256.0), 0.0)
    assert simulation.pose()[4] == pytest.approx(0.0)
    put(simulation, (60.0, 60.0), (256.0, 256.0), -math.pi / 2)
    assert simulation.pose()[4] == pytest.approx(math.pi / 2)
    image = simulation.observe().image.astype(int)
    grey = (abs(image - (119, 136, 153)).sum(-1) < 40).nonzero()
    assert grey[1].max() - 32 > 10 > 32 - grey[1].min()


@pytest.mark.parametrize("kind", ["near", "after_50"])
def test_goals_are_some_steps_later_on_the_same_way(kind):
    with simulate(PushTWorld(), goals=kind) as simulation:
        simulation.reset(episode_rng(7, "evaluate", 1))
        there = simulation.restore(np.zeros(0), simulation.goal.true_state)
        assert np.array_equal(there.image, simulation.goal.observation.image)
        assert simulation.is_success()


def test_explorer_stays_inside_and_moves_the_block(episodes):
    poses = np.concatenate([episode.poses for episode in episodes])
    assert np.abs(poses[:, :2]).max() < 250 * METRES
    moved = [np.linalg.norm(e.poses[25:, 2:4] - e.poses[:-25, 2:4], axis=1) for e in episodes]
    assert (np.concatenate(moved) > 10 * METRES).mean() > 0.4


def test_weak_explorer_is_the_policy_of_the_environment(simulation, environment):
    import gymnasium

    from wm_mpc.sim import stable_worldmodel

    policy = stable_worldmodel.load("envs.pusht.expert_policy").WeakPolicy
    simulation.reset(np.random.default_rng(3), goal=False)
    explore = simulation.explorer(np.random.default_rng(4), "weak")
    theirs = policy(seed=int(np.random.default_rng(4).integers(2**31)))
    vector = gymnasium.vector.SyncVectorEnv([lambda: environment])
    theirs.env, theirs.discrete = vector, False  # set_env wants a registered environment
    for _ in range(20):
        wanted = theirs.get_action({})[0]
        given = explore()
        assert np.allclose(simulation.task.to_environment(simulation.world, given), wanted)
        simulation.step(given)


def test_weak_explorer_stays_near_the_block(simulation):
    episode = record_episode(simulation, 3072, 0, 60, "weak")
    away = np.abs(episode.poses[10:, :2] - episode.poses[10:, 2:4]).max(1)
    assert (away < 130 * METRES).mean() > 0.9
    own = record_episode(simulation, 3072, 0, 60)
    assert not np.array_equal(own.actions, episode.actions)


def touches(state, shapes):
    """Whether a pair of shapes in contact begins with one of these (1 to 4: walls, 5: agent)."""
    return np.isin(state[10::13], shapes).any()


def test_restored_contact_goes_on_as_recorded(simulation, episodes):
    """It would not without the velocity that pushes the block away, which pymunk hides."""
    complete, without = [], []
    for episode in episodes:
        states = episode.simulator_states
        for step, action in enumerate(episode.actions):
            is_free = np.abs(states[step : step + 2, 2:4] - 256.0).max() < 120.0  # of walls
            if not is_free or not touches(states[step], [5]):
                continue
            at_rest = states[step].copy()
            at_rest[7:10] = 0.0
            for start, errors in ((states[step], complete), (at_rest, without)):
                simulation.restore(np.zeros(0), start)
                simulation.advance(action)
                errors.append(np.abs(simulation.state()[:5] - states[step + 1][:5]).max())
    assert len(complete) > 10
    assert max(complete) < 1e-9
    assert max(without) > 1e-3


def test_pictures_show_restored_contacts(simulation, episodes):
    """The environment draws points of contact, also those with a wall."""
    shown = 0
    for episode in episodes:
        for state, image in zip(episode.simulator_states, episode.images, strict=True):
            if touches(state, range(1, 6)):
                assert np.array_equal(simulation.restore(np.zeros(0), state).image, image)
                shown += 1
    assert shown > 20


@pytest.mark.parametrize(
    ("point", "distance"), [((0, 15), 0), ((0, -10), 10), ((75, 15), 15), ((0, 130), 10)]
)
def test_distance_to_the_block_is_to_its_outline(point, distance):
    turned = np.array([-point[1], point[0]], float)
    assert distance_to_block(np.zeros(2), 0.0, np.array(point, float)) == pytest.approx(distance)
    assert distance_to_block(np.zeros(2), math.pi / 2, turned) == pytest.approx(distance)


@pytest.mark.parametrize("place", [(0.0, 0.6, 0.0), (-0.6, 0.0, 0.0), (0.0, 0.0, math.nan)])
def test_goal_outside_the_table_is_refused(simulation, place):
    with pytest.raises(ValueError, match=r"is outside the table \(accepted: x and y from"):
        simulation.goal_at(*place)


def test_goal_by_its_pose_is_where_a_person_wants_the_block(simulation):
    put(simulation, (150.0, 150.0), (300.0, 300.0), 0.1)
    simulation.set_goal(simulation.goal_at(0.1, -0.05, 0.5))
    assert simulation.goal.pose[2:] == pytest.approx([0.1, -0.05, 0.5], abs=1e-6)
