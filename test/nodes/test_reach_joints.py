"""The node `mpc` moves an arm through a joint_trajectory_controller that rejects jumps."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wm_mpc.experiments.common.settings import mpc_parameters, task_parameter_file
from wm_mpc.nodes.mpc.node import Mpc
from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image
from wm_mpc.ros.timing import to_duration, to_stamp
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.reach_joints import ReachJoints

from .running import RunningNode

SPEC = ReachJoints.spec
LIMIT = np.array(SPEC.action.rate_limit)


def _stand_in():
    path = Path(__file__).with_name("stand_in_controller.py")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module
    specification.loader.exec_module(module)
    return module


stand_in = _stand_in()


def trajectory(*points, start=0, velocities=()):
    """Points (time ms, positions) as a message."""
    message = JointTrajectory(joint_names=["a", "b"])
    message.header.stamp = to_stamp(start)
    message.points = [
        JointTrajectoryPoint(positions=place, time_from_start=to_duration(time * 1_000_000))
        for time, place in points
    ]
    message.points[-1].velocities = list(velocities)
    return message


def test_stand_in_is_at_each_point_at_its_time():
    controller = stand_in.Interpolator(["a", "b"], [0.0, 1.0], [1.0, 1.0])
    start = 5_000_000_000
    controller.receive(trajectory((100, [0.1, 1.0]), (200, [0.1, 0.9]), start=start), start)
    np.testing.assert_allclose(controller.at(start + 50_000_000), [0.05, 1.0])
    np.testing.assert_allclose(controller.at(start + 150_000_000), [0.1, 0.95])
    np.testing.assert_allclose(controller.at(start + 900_000_000), [0.1, 0.9])


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (trajectory((100, [0.11, 0.0])), "a would go at 1.10 rad/s"),
        (trajectory((100, [0.1, 0.0]), (200, [0.1, 0.2])), "point 1: b would go at 2.00"),
        (trajectory((100, [0.0, 0.0]), start=4_850_000_000), "point 0 is 50.0 ms late"),
        (trajectory((100, [0.0, 0.0]), (90, [0.0, 0.0])), "point 1 is 10.0 ms late"),
        (trajectory((100, [0.05, 0.0]), velocities=[0.5, 0.0]), "ends in motion"),
        (trajectory((100, [0.0, float("nan")])), "point 0 has positions"),
    ],
)
def test_stand_in_rejects(message, why):
    controller = stand_in.Interpolator(["a", "b"], [0.0, 0.0], [1.0, 1.0])
    with pytest.raises(stand_in.RejectedError, match=why):
        controller.receive(message, 5_000_000_000)
    np.testing.assert_array_equal(controller.at(9_000_000_000), [0.0, 0.0])


def start_mpc(observer):
    """The node `mpc` with the shipped checkpoint and settings, in this process."""
    found = mpc_parameters(task_parameter_file(SPEC.task))
    settings = {f"{where}.{name}": v for where, part in found.items() for name, v in part.items()}
    settings |= {"checkpoint": SPEC.task, "rate": 10.0, "output.joint_trajectory": True}
    return RunningNode(observer, Mpc, Mpc.work, settings)


@pytest.mark.ros
def test_goals_are_reached_through_a_controller_that_rejects_jumps(observer):
    """From a posture far from the middle of the range, without one rejection, the first motion
    included."""
    diagnostics = observer.listen(DiagnosticArray, "diagnostics", qos.STATUS)
    goals = observer.node.create_publisher(Image, "goal/image", qos.LATCHED)
    with simulate(ReachJoints()) as simulation, simulate(ReachJoints()) as judge:
        simulation.reset(episode_rng(1, "node", 0))
        speed = 1.05 * LIMIT  # a point's time is a whole number of nanoseconds, and so on
        arm = stand_in.StandInController(observer, simulation, speed)
        begin = arm.positions()
        assert np.abs(SPEC.normalise_action(begin)).max() > 0.5
        with contextlib.closing(start_mpc(observer)), contextlib.closing(arm):
            arm.start()
            for number in range(3):
                judge.reset(episode_rng(1, "node", number))
                goal = judge.goal

                def reached(goal=goal):
                    at = np.concatenate([arm.positions(), np.zeros(len(begin))])
                    judge.task.set_state(at)
                    return judge.task.is_success(goal.true_state)

                if number == 0:
                    observer.wait_until(lambda: diagnostics, "the node")
                    assert not arm.steps or np.abs(arm.positions() - begin).max() < 1e-3
                goals.publish(rgb_to_image(goal.observation.image, to_stamp(arm.now())))
                observer.wait_until(reached, f"goal {number}; rejected: {arm.rejected}", 30.0)
    assert arm.rejected == []
    assert arm.accepted >= 10
    assert (np.max(arm.speeds, axis=0) <= speed).all()
    assert (np.max(arm.steps, axis=0) <= LIMIT * SPEC.control_period * (1 + 1e-4)).all()
