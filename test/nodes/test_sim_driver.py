"""The simulation drives itself, as a person would, while it is recorded."""

from __future__ import annotations

import numpy as np
import pytest
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.nodes.sim.parameters import SimSettings
from wm_mpc.ros import qos
from wm_mpc.ros.messages import trajectory_to_actions
from wm_mpc.ros.timing import from_seconds, to_nanoseconds
from wm_mpc.settings.fields import SettingError
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.wall import Wall

PERIOD = from_seconds(Wall.spec.control_period)


@pytest.mark.ros
def test_driver_publishes_each_action_at_the_step_in_which_it_acts(start_sim, observer):
    plans = observer.listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
    sim = start_sim(driver="explorer", episode_steps=1000)
    sim.plan(0, (0.0, 0.0), points=100)  # of somebody else, who counts for nothing
    sim.wait_until(lambda: len(sim.states) > 20, "two seconds of driving")
    # What it did: the exploration of this seed, one step ahead.
    actions, speeds = explored(sim.spec.action, 60)
    first = to_nanoseconds(sim.states[0].header.stamp)
    driven = {
        to_nanoseconds(plan.header.stamp) - first: trajectory_to_actions(
            plan, sim.spec.action, 0.1
        )[1]
        for plan in plans
        if len(plan.points) == 2
    }
    seen = {to_nanoseconds(s.header.stamp) - first: s.twist.twist.linear for s in sim.states}
    late = np.flatnonzero([np.allclose(action, driven[PERIOD][0]) for action in actions])[0] - 1
    for step in range(1, 18):
        number, now = step + late, step * PERIOD
        np.testing.assert_allclose(driven[now], actions[number : number + 2], atol=1e-6)
        velocity = seen[now + PERIOD]
        np.testing.assert_allclose((velocity.x, velocity.y), speeds[number], atol=1e-3)


def explored(limits, steps):
    """Actions of the first episode of seed 0, each chosen a step before it acts, and the speeds
    after each."""
    actions, speeds = [], []
    with simulate(Wall()) as simulation:
        rng = episode_rng(0, "node", 0)
        simulation.reset(rng)
        explore = simulation.explorer(rng)
        actions.append(np.clip(explore(), limits.low, limits.high))
        for step in range(steps):
            actions.append(np.clip(explore(), limits.low, limits.high))
            speeds.append(simulation.step(actions[step]).state)
    return np.array(actions), np.array(speeds)


def test_driver_and_lockstep_exclude_each_other():
    with pytest.raises(SettingError, match="lockstep waits for plans"):
        SimSettings(driver="explorer", lockstep=True)


def test_unknown_driver_is_refused():
    with pytest.raises(SettingError, match="accepted: topics, explorer"):
        SimSettings(driver="me")
