"""The node `explore`: random motion that a robot may execute."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from wm_mpc.nodes.tools.explore import Explore, Wanderer
from wm_mpc.ros import qos
from wm_mpc.ros.messages import trajectory_to_actions
from wm_mpc.ros.running import spinning
from wm_mpc.sim.tasks import TASKS, make_task
from wm_mpc.sim.tasks.wall import Wall


@pytest.mark.parametrize("task", sorted(TASKS))
def test_actions_stay_inside_the_limits_and_use_them(task):
    spec = make_task(task).spec
    wander = Wanderer(spec, 1.0, np.random.default_rng(0))
    actions = np.stack([wander() for _ in range(2000)])
    assert (actions >= spec.action.low).all()
    assert (actions <= spec.action.high).all()
    spread = np.asarray(spec.action.high) - np.asarray(spec.action.low)
    assert (np.ptp(actions, axis=0) > 0.9 * spread).all()


def test_the_same_seed_wanders_the_same_way():
    first, second = (Wanderer(Wall.spec, 0.7, np.random.default_rng(4)) for _ in range(2))
    assert all(np.array_equal(first(), second()) for _ in range(50))


@pytest.mark.ros
def test_a_plan_is_the_rest_of_the_one_before_and_a_new_point(observer):
    import rclpy
    from trajectory_msgs.msg import JointTrajectory

    plans = observer.listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=observer.domain_id)
    node = Explore(context=context)
    try:
        with spinning(node):
            observer.wait_until(lambda: len(plans) > 5, "plans")
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
    period = Wall.spec.control_period
    actions = [trajectory_to_actions(plan, Wall.spec.action, period)[1] for plan in plans[:6]]
    assert len(actions[0]) == 5
    for before, after in itertools.pairwise(actions):
        np.testing.assert_array_equal(before[1:], after[:-1])
