"""The task `two_room` is the environment swm/TwoRoom-v1 as it is published."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium")
if "stable-worldmodel" not in {d.name for d in importlib.metadata.distributions()}:
    pytest.skip("stable-worldmodel is not installed (the extra `worlds`)", allow_module_level=True)

from wm_mpc.sim import stable_worldmodel
from wm_mpc.sim.collection import _record, record_episode
from wm_mpc.sim.engine import EngineError, episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.two_room import TwoRoom, to_metres, to_pixels


@pytest.fixture(scope="module")
def simulation():
    with simulate(TwoRoom()) as simulation:
        yield simulation


@pytest.fixture
def environment(simulation):
    return simulation.world.env


def put(simulation, agent, target=(180.0, 180.0)):
    """The agent at a place, pixels."""
    return simulation.restore(np.zeros(0), np.array([*agent, *target], np.float64))


def test_it_is_the_registered_environment(environment):
    """The package registers this class under the public name, without arguments of its own."""
    module = sys.modules[type(environment).__module__]
    registry = Path(module.__file__).parents[1] / "__init__.py"
    entry = f"{module.__name__}:{type(environment).__name__}"
    wanted = f"register(\n    id='swm/TwoRoom-v1',\n    entry_point='{entry}',\n)"
    assert wanted in registry.read_text(encoding="utf-8")


def test_start_and_target_are_those_of_its_own_reset(simulation, environment):
    rng = episode_rng(3072, "collect", 5)
    simulation.reset(episode_rng(3072, "collect", 5), goal=False)
    state = simulation.state()
    _, info = environment.reset(seed=int(rng.integers(2**31 - 1)))
    assert state[:2].tolist() == info["state"].tolist()
    assert state[2:].tolist() == info["goal_state"].tolist()


@pytest.mark.parametrize("pixels", [(112.0, 112.0), (20.0, 200.0), (180.5, 33.25)])
def test_metres_and_pixels_say_the_same(pixels):
    assert to_pixels(to_metres(pixels)).tolist() == pytest.approx(pixels)


def test_x_points_right_and_y_up_in_the_picture(simulation):
    image = put(simulation, to_pixels((0.6, 0.5))).image.astype(int)
    red = (image[..., 0] - image[..., 1] > 60) & (image[..., 0] - image[..., 2] > 60)
    row, column = np.argwhere(red).mean(0) + 0.5
    assert column == pytest.approx(32 + 60 * 64 / 224, abs=0.7)
    assert row == pytest.approx(32 - 50 * 64 / 224, abs=0.7)


@pytest.mark.parametrize(
    ("action", "way"),
    [((0.5, 0.0), (5, 0)), ((0.0, 0.5), (0, -5)), ((-0.25, -0.1), (-2.5, 1)), ((9, 0), (5, 0))],
)
def test_action_moves_the_agent_as_far_as_the_environment_would(simulation, action, way):
    put(simulation, (60.0, 112.0))
    simulation.advance(np.array(action))
    assert simulation.state()[:2] - (60.0, 112.0) == pytest.approx(way, abs=1e-4)
    assert simulation.measure() == pytest.approx(to_metres(simulation.state()[:2]), abs=1e-6)


@pytest.mark.parametrize("distance", [15.0, 15.9, 16.1, 30.0])
def test_success_is_that_of_the_environment(simulation, environment, distance):
    """It says terminated when its own target is nearer than 16 pixels."""
    target = (60.0, 150.0)
    put(simulation, (60.0, 150.0 - distance), target)
    simulation.set_goal(np.array([*target, *target]))
    simulation.advance(np.zeros(2))
    assert simulation.is_over == simulation.is_success() == (distance < 16.0)


def test_environment_goes_on_after_its_target(simulation):
    put(simulation, (60.0, 150.0), (60.0, 150.0))
    simulation.advance(np.zeros(2))
    assert simulation.is_over
    simulation.advance(np.array([0.5, 0.0]))
    assert simulation.state()[0] == pytest.approx(65.0)


@pytest.mark.parametrize("kind", ["near", "after_50", "after_75", "target"])
def test_goals_lie_where_their_kind_says(kind):
    with simulate(TwoRoom(), goals=kind) as simulation:
        distances = []
        for index in range(4):
            simulation.reset(episode_rng(7, "evaluate", index))
            distances.append(simulation.errors()["distance"])
            goal = simulation.goal
            if kind == "target":
                assert np.array_equal(goal.true_state[:2], simulation.state()[2:])
            there = simulation.restore(np.zeros(0), goal.true_state)
            assert np.array_equal(there.image, goal.observation.image)
        steps = TwoRoom.goal_steps.get(kind, np.inf)
        assert 0.0 < max(distances) <= 0.5 * 2**0.5 * 0.1 * steps


def test_recorded_episodes_end_at_the_target(simulation):
    episodes = [record_episode(simulation, 3072, index, 100) for index in range(6)]
    for episode in episodes:
        ends = episode.simulator_states
        near = np.linalg.norm(ends[:, :2] - ends[:, 2:], axis=1) < 16.0
        assert not near[:-1].any()
        assert near[-1] or len(episode) == 100
    assert min(map(len, episodes)) < 100


def test_expert_is_noisy_as_the_field_has_it(simulation):
    """Most actions are at a limit, and the agent comes nearer all the same."""
    episode = record_episode(simulation, 3072, 1, 100)
    assert (np.abs(episode.actions) > 0.499).mean() > 0.5
    ends = episode.simulator_states[[0, -1]]
    first, last = np.linalg.norm(ends[:, :2] - ends[:, 2:], axis=1)
    assert last < first / 2


@pytest.mark.parametrize("place", [(0.0, -0.5), (1.2, 0.0), (float("nan"), 0.0)])
def test_goal_in_a_wall_is_refused(simulation, place):
    with pytest.raises(ValueError, match=r"is in a wall or outside the rooms \(accepted: "):
        simulation.goal_at(*place, 0.0)


def test_goal_in_free_space_is_where_a_person_wants_it(simulation):
    simulation.set_goal(simulation.goal_at(0.6, -0.5, 0.0))
    assert simulation.goal.pose == pytest.approx([0.6, -0.5], abs=1e-6)


@pytest.mark.slow
def test_worker_processes_record_it(two_workers, simulation):
    recorded = dict(two_workers.map(functools.partial(_record, "two_room", 3072, 12, ""), range(3)))
    for index, episode in recorded.items():
        same = record_episode(simulation, 3072, index, 12)
        assert np.array_equal(episode.images, same.images)
        assert np.array_equal(episode.simulator_states, same.simulator_states)


@pytest.mark.slow
def test_only_what_is_needed_is_loaded():
    program = (
        "import sys\n"
        "from wm_mpc.sim.engines import simulate\n"
        "from wm_mpc.sim.tasks import make_task\n"
        "import numpy as np\n"
        "with simulate(make_task('two_room')) as s:\n"
        "    s.reset(np.random.default_rng(0)); s.explorer(np.random.default_rng(0))()\n"
        "heavy = {'torchvision', 'lancedb', 'pyarrow', 'pygame', 'pymunk', 'pybullet'}\n"
        "print(heavy & set(sys.modules) or 'none')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "none\n", done.stderr
    assert "Warning" not in done.stderr


def test_other_version_is_refused(monkeypatch):
    other = dataclasses.replace(stable_worldmodel.PACKAGE, version="0.0.9")
    monkeypatch.setattr(stable_worldmodel, "PACKAGE", other)
    with pytest.raises(EngineError, match=r"0\.1\.1 is installed; the task is defined by 0\.0\.9"):
        simulate(TwoRoom())


def test_missing_package_is_named_with_how_to_install_it(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(EngineError, match="is not installed: pip install --no-deps"):
        simulate(TwoRoom())
