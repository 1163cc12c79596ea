"""The tasks `point_maze` and `point_maze_medium` are environments of gymnasium-robotics as they are
published."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium")
if not {"gymnasium-robotics", "mujoco"} <= {d.name for d in importlib.metadata.distributions()}:
    pytest.skip("the packages of the extra `worlds` are not all here", allow_module_level=True)

from wm_mpc.sim.collection import record_episode
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.tasks.point_maze import MAX_FORCE, PointMaze, PointMazeMedium
from wm_mpc.sim.tasks.point_maze_explorer import Plan, Traveller

from ..conftest import mostly_slow

NAMES = ("point_maze", "point_maze_medium")
PUBLIC = {"point_maze": "PointMaze_UMaze", "point_maze_medium": "PointMaze_Medium"}
CORNERS = {"point_maze": (1.0, 1.0), "point_maze_medium": (2.5, 2.5)}


@pytest.fixture(scope="module", params=mostly_slow(NAMES))
def simulation(request, mujoco_draws):
    with simulate(make_task(request.param)) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def u_maze(mujoco_draws):
    with simulate(PointMaze()) as simulation:
        yield simulation


def put(simulation, place, velocity=(0.0, 0.0), target=(1.0, 1.0)):
    """The ball at a place, m and m/s."""
    return simulation.restore(
        np.zeros(0), np.array([*place, *velocity, 0, 0, 0, 0, *place, *target], np.float64)
    )


def environment_of(simulation):
    return simulation.world.env


def test_it_is_the_registered_environment(simulation):
    """The package registers this class, with this map, under the public name."""
    environment = environment_of(simulation)
    module = sys.modules[type(environment).__module__]
    text = (Path(module.__file__).parents[2] / "__init__.py").read_text(encoding="utf-8")
    task = simulation.task
    entry = text.split(f'id=f"{PUBLIC[task.spec.task]}{{suffix}}-v3"')[1].split("register(")[0]
    assert f'"{module.__name__}:{type(environment).__name__}"' in entry
    assert f'"maze_map": maps.{task.map_name},' in entry
    assert environment.maze.maze_map is getattr(
        sys.modules["gymnasium_robotics.envs.maze.maps"], task.map_name
    )


def test_start_and_target_are_those_of_its_own_reset(simulation):
    rng = episode_rng(3072, "collect", 5)
    simulation.reset(episode_rng(3072, "collect", 5), goal=False)
    state = simulation.state()
    observation, _ = environment_of(simulation).reset(seed=int(rng.integers(2**31 - 1)))
    assert state[:2].tolist() == observation["achieved_goal"].tolist()
    assert state[-2:].tolist() == observation["desired_goal"].tolist()


@pytest.mark.parametrize("action", [(100.0, 0.0), (0.0, -40.0), (-30.0, 60.0), (900.0, 0.0)])
def test_action_is_held_for_ten_steps_of_the_environment(u_maze, action):
    put(u_maze, (0.5, 1.0))
    u_maze.advance(np.array(action))
    ours = u_maze.measure()
    put(u_maze, (0.5, 1.0))
    for _ in range(10):
        theirs, *_ = environment_of(u_maze).step(np.clip(np.array(action) / MAX_FORCE, -1.0, 1.0))
    assert ours.tolist() == theirs["observation"].tolist()


def test_force_accelerates_the_ball_by_its_mass(u_maze):
    """A control step is 0.1 s, an action is in N, and the ball of water has 4.19 kg."""
    put(u_maze, (-0.9, 1.0))
    u_maze.advance(np.array([20.0, 0.0]))
    assert u_maze.measure()[2] == pytest.approx(20.0 * 0.1 / 4.19, rel=0.03)


@pytest.mark.parametrize("distance", [0.3, 0.449, 0.451, 0.8])
def test_success_is_that_of_the_environment(u_maze, distance):
    """It says success, and terminated, up to 0.45 m from its own target."""
    target = np.array([1.0, 0.9])
    put(u_maze, target, target=target)
    u_maze.set_goal(u_maze.task.sample_goal(u_maze.world, np.random.default_rng(0), "target"))
    put(u_maze, (1.0, 0.9 - distance), target=target)
    _, _, terminated, _, info = environment_of(u_maze).step(np.zeros(2))
    u_maze.world.observation = environment_of(u_maze)._get_obs(u_maze.state()[:4])
    assert u_maze.is_success() == terminated == info["success"] == (distance <= 0.45)


def test_target_stays_where_it_is(u_maze):
    """`continuing_task` of the environment is off, and play goes on through the target."""
    target = np.array([1.0, 1.0])
    put(u_maze, (1.0, 0.8), target=target)
    u_maze.advance(np.zeros(2))
    assert not u_maze.is_over
    assert u_maze.state()[-2:].tolist() == target.tolist()


def ball_of(image):
    """Middle of the green ball, columns to the right and rows upwards from the image's middle."""
    colours = image.astype(int)
    green = (colours[..., 1] - colours[..., 0] > 40) & (colours[..., 1] - colours[..., 2] > 40)
    rows, columns = green.nonzero()
    return np.array([columns.mean() + 0.5 - 32, 32 - rows.mean() - 0.5])


def test_x_points_right_and_y_up_in_the_picture(simulation):
    x, y = CORNERS[simulation.task.spec.task]
    metre = 32 / (np.tan(np.radians(22.5)) * simulation.task.camera_height)
    seen = ball_of(put(simulation, (x, y)).image)
    assert seen == pytest.approx(np.array([x, y]) * metre, abs=1.5)


def test_ball_is_seen_wherever_it_can_be(simulation):
    """No wall hides more than half of it from above, as walls do from the usual camera."""
    plan = Plan.of(environment_of(simulation).maze)
    for cell in sorted(plan.free):
        for aside in ((0.0, -0.4), (0.4, 0.4), (-0.4, 0.4)):
            place = plan.middle(cell) + aside
            if plan.is_free(place, 0.1):
                assert np.isfinite(ball_of(put(simulation, place).image)).all(), place


def test_target_is_not_in_the_picture(u_maze):
    one, other = (put(u_maze, (1.0, 0.0), target=t).image for t in ((1.0, 1.0), (-1.0, -1.0)))
    assert np.array_equal(one, other)


@pytest.mark.slow
@pytest.mark.usefixtures("mujoco_draws")
@pytest.mark.parametrize("kind", ["near", "after_50", "target"])
def test_goals_lie_where_their_kind_says(kind):
    with simulate(PointMaze(), goals=kind) as simulation:
        for index in range(3):
            simulation.reset(episode_rng(7, "evaluate", index))
            goal = simulation.goal
            if kind == "target":
                assert goal.pose.tolist() == simulation.state()[-2:].tolist()
                assert goal.observation.state[2:].tolist() == [0.0, 0.0]
            there = simulation.restore(np.zeros(0), goal.true_state)
            assert np.array_equal(there.image, goal.observation.image)
            assert simulation.is_success()


@pytest.mark.slow
def test_explorer_goes_everywhere_and_meets_walls(simulation):
    episodes = [record_episode(simulation, 3072, index, 100) for index in range(5)]
    places = np.concatenate([episode.poses for episode in episodes])
    plan = Plan.of(environment_of(simulation).maze)
    visited = {plan.cell(place) for place in places}
    assert visited <= plan.free
    assert len(visited) > 0.6 * len(plan.free)
    touching = [not plan.is_free(place, 0.12) for place in places]
    assert 0.005 < np.mean(touching) < 0.5
    speeds = np.linalg.norm(np.concatenate([e.states for e in episodes])[:, 2:], axis=1)
    assert np.quantile(speeds, 0.1) < 0.8 < 2.0 < np.quantile(speeds, 0.95)


def test_traveller_keeps_its_force_inside_the_limits():
    plan = Plan(frozenset({(1, 1), (1, 2)}), (1.5, 1.5))
    traveller = Traveller(plan, np.random.default_rng(0))
    forces = [traveller(np.array([0.4, 0.0]), np.array([5.0, -5.0])) for _ in range(300)]
    assert np.abs(forces).max() == MAX_FORCE


def test_next_cell_is_on_a_shortest_way():
    plan = Plan(frozenset({(1, 1), (1, 2), (1, 3), (2, 3), (3, 3), (3, 2), (3, 1)}), (2.5, 2.5))
    cells = [(3, 1)]
    while cells[-1] != (1, 1):
        cells.append(plan.next_cell(cells[-1], (1, 1)))
    assert cells == [(3, 1), (3, 2), (3, 3), (2, 3), (1, 3), (1, 2), (1, 1)]
    assert plan.next_cell((1, 1), (9, 9)) == (1, 1)


@pytest.mark.parametrize(
    "place", [(0.0, 0.0), (0.0, 1.45), (3.0, 0.0), (float("nan"), 0.0), (-0.95, 0.6 - 0.01)]
)
def test_goal_in_a_wall_is_refused(u_maze, place):
    u_maze.reset(np.random.default_rng(0), goal=False)
    with pytest.raises(ValueError, match=r"is in a wall or outside the maze \(accepted: "):
        u_maze.goal_at(*place, 0.0)


@pytest.mark.parametrize("place", [(1.0, 0.0), (-1.35, 1.35), (-1.0, -0.65), (1.35, -1.35)])
def test_goal_in_a_corridor_is_where_a_person_wants_it(u_maze, place):
    u_maze.reset(np.random.default_rng(0), goal=False)
    u_maze.set_goal(u_maze.goal_at(*place, 0.0))
    assert u_maze.goal.pose == pytest.approx(place, abs=1e-9)


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    """The environment writes its model into the temporary folder and forgets it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    simulate(PointMazeMedium()).close()
    assert not list(tmp_path.iterdir())


def test_only_what_is_needed_is_loaded():
    program = (
        "import sys\n"
        "from wm_mpc.sim.engines import simulate\n"
        "from wm_mpc.sim.tasks import make_task\n"
        "import numpy as np\n"
        "with simulate(make_task('point_maze')) as s:\n"
        "    s.reset(np.random.default_rng(0), goal=False)\n"
        "heavy = {'pettingzoo', 'pybullet', 'torchvision', 'stable_worldmodel', 'pygame'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert ast.literal_eval(done.stdout) == [], done.stderr
    assert "Warning" not in done.stderr
