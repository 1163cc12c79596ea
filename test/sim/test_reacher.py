"""The task `reacher` is the environment swm/ReacherDMControl-v0 as it is published."""

from __future__ import annotations

import importlib.metadata
import math
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium")
if not {"stable-worldmodel", "mujoco", "dm-control"} <= {
    d.name.replace("_", "-") for d in importlib.metadata.distributions()
}:
    pytest.skip("the packages of the extra `worlds` are not all here", allow_module_level=True)

from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.reacher import MAX_TORQUE, WRIST, Reacher


@pytest.fixture(scope="module")
def simulation(mujoco_draws):
    with simulate(Reacher()) as simulation:
        yield simulation


@pytest.fixture
def environment(simulation):
    return simulation.world.env


def put(simulation, angles, velocities=(0.0, 0.0)):
    """The arm in a posture, rad and rad/s."""
    return simulation.restore(np.zeros(0), np.array([*angles, *velocities, 0, 0, 0, 0], float))


def test_it_is_the_registered_environment(environment):
    """The package registers this class under the public name; `qpos_match` is one of its tasks."""
    module = sys.modules[type(environment).__module__]
    registry = Path(module.__file__).parents[1] / "__init__.py"
    entry = f"{module.__name__}:{type(environment).__name__}"
    wanted = f"id='swm/ReacherDMControl-v0',\n    entry_point='{entry}',\n"
    assert wanted in registry.read_text(encoding="utf-8")
    assert "qpos_match" in module._TASKS


def test_start_is_that_of_its_own_reset(simulation, environment):
    rng = episode_rng(3072, "collect", 5)
    simulation.reset(episode_rng(3072, "collect", 5), goal=False)
    ours = simulation.pose()
    _, info = environment.reset(seed=int(rng.integers(2**31 - 1)))
    assert ours.tolist() == info["qpos"].tolist()


@pytest.mark.parametrize("action", [(0.05, 0.0), (-0.02, 0.04), (0.5, -0.5)])
def test_action_is_the_torque_of_the_environment(simulation, environment, action):
    put(simulation, (0.3, 0.5))
    simulation.advance(np.array(action))
    ours = simulation.state()[:4]
    put(simulation, (0.3, 0.5))
    environment.step(np.clip(np.array(action) / MAX_TORQUE, -1.0, 1.0))
    assert ours == pytest.approx(simulation.state()[:4], abs=1e-6)


def test_gear_of_the_motors_is_the_largest_torque(environment):
    assert environment.env.physics.model.actuator_gear[:, 0].tolist() == [MAX_TORQUE] * 2
    assert environment.env.physics.model.jnt_range[1].tolist() == pytest.approx([-WRIST, WRIST])


@pytest.mark.parametrize(
    "offset",
    [(0, 0), (0.04, -0.04), (0.06, 0), (0, 0.06), (-0.049, 0.049), (math.tau, 0)],
)
def test_success_is_that_of_the_environment(simulation, environment, offset):
    """A whole turn of the shoulder is another posture, there and here."""
    goal = np.array([0.4, -0.7])
    put(simulation, goal)
    simulation.set_goal(simulation.state())
    put(simulation, goal + offset)
    task = environment.env.task
    task.target_qpos = goal
    try:
        theirs = task.get_termination(environment.env.physics) is not None
    finally:
        task.target_qpos = None
    assert simulation.is_success() == theirs


def test_measured_shoulder_wraps_as_its_spec_says(simulation):
    put(simulation, (math.tau + 0.3, 0.5), (0.1, -0.2))
    assert simulation.measure() == pytest.approx([0.3, 0.5, 0.1, -0.2])
    assert simulation.pose()[0] == pytest.approx(math.tau + 0.3)
    assert simulation.joints() == {
        "shoulder": pytest.approx((0.3, 0.1)),
        "wrist": pytest.approx((0.5, -0.2)),
    }


def test_pictures_show_the_posture(simulation):
    """The finger of a stretched arm is 0.24 m from the middle, on the side of the angle."""
    for angle in (0.0, 1.0, 2.5, -1.2):
        image = put(simulation, (angle, 0.0)).image.astype(int)
        rows, columns = (image[..., 0] > 160).nonzero()
        seen = math.atan2(31.5 - rows.mean(), columns.mean() - 31.5)
        assert seen == pytest.approx(angle, abs=0.15)


@pytest.mark.parametrize("kind", ["near", "after_50"])
def test_goals_are_some_steps_later_on_the_same_way(kind, mujoco_draws):
    with simulate(Reacher(), goals=kind) as simulation:
        simulation.reset(episode_rng(7, "evaluate", 1))
        there = simulation.restore(np.zeros(0), simulation.goal.true_state)
        assert np.array_equal(there.image, simulation.goal.observation.image)
        assert simulation.is_success()


def test_data_are_those_of_the_random_policy(simulation):
    """Actions fill their limits evenly, each new, and differ from episode to episode."""
    simulation.reset(np.random.default_rng(0), goal=False)
    ways = [
        np.array([explore() for _ in range(2000)]) / MAX_TORQUE
        for explore in (simulation.explorer(np.random.default_rng(seed)) for seed in (0, 0, 1))
    ]
    assert np.array_equal(ways[0], ways[1])
    assert not np.array_equal(ways[0], ways[2])
    even = np.linspace(-1.0, 1.0, 2000)[:, None]
    assert np.abs(np.sort(ways[0], 0) - even).max() < 0.1
    assert abs(np.corrcoef(ways[0][:-1, 0], ways[0][1:, 0])[0, 1]) < 0.1
    assert abs(np.corrcoef(ways[0].T)[0, 1]) < 0.1


def test_arm_goes_on_after_the_suites_20_seconds(simulation):
    put(simulation, (0.0, 0.0))
    for _ in range(520):
        simulation.advance(np.array([0.02, 0.0]))
    assert simulation.pose()[0] > math.tau
    assert not simulation.is_over
