"""What leaves the node `mpc` besides plans: whoever executes it is left at rest."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from geometry_msgs.msg import Twist, TwistStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.nodes.mpc.outputs import PlanPublisher
from wm_mpc.nodes.mpc.outputs.registry import OutputSettings
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.ros import qos
from wm_mpc.ros.running import spinning
from wm_mpc.settings.build import build, nested
from wm_mpc.sim.tasks import make_task

pytestmark = pytest.mark.ros
VALUES = {
    "output.cmd_vel": False,
    "output.commands": False,
    "output.joint_trajectory": False,
    "frame_id": "odom",
    "rate": 0.5,
    "limits.lag": 0.3,
}


class Outputs:
    """A `PlanPublisher` in a node that runs, and what is heard of it."""

    def __init__(
        self, observer, task, kind=None, limit=None, control_period=None, twist="twist_stamped"
    ):
        self.observer, self.present, self.measured = observer, {}, {}
        spec = make_task(task).spec
        action = spec.action
        if kind is not None:
            action = dataclasses.replace(action, kind=kind, rate_limit=limit)
        period = control_period or spec.control_period
        self.spec = dataclasses.replace(spec, action=action, control_period=period)
        self.twists = observer.listen(
            Twist if twist == "twist" else TwistStamped, "cmd_vel", qos.COMMAND
        )
        self.commands = observer.listen(Float64MultiArray, "commands", qos.COMMAND)
        self.trajectories = observer.listen(
            JointTrajectory, "joint_trajectory", qos.PLANNED_ACTIONS
        )
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=observer.domain_id)
        self.node = rclpy.create_node("outputs", context=self.context)
        self.plans = PlanPublisher(self.node, self.spec, OutputSettings(cmd_vel_type=twist))
        for name in ("cmd_vel", "commands", "joint_trajectory"):
            observer.wait_until(lambda n=name: self.node.count_subscribers(n), f"ears for {name}")

    def use(self, *outputs, **changes):
        values = VALUES | {f"output.{name}": True for name in outputs} | changes
        self.plans.use(build(MpcSettings, nested(values)), lambda: self.present)

    def now(self):
        return self.node.get_clock().now().nanoseconds

    def move(self, points=40, share=0.5):
        """A plan of so many times the same action; the action."""
        action = np.full(self.spec.action.size, share) * self.spec.action.high
        self.plans.publish(self.now(), np.tile(action, (points, 1)), self.measured)
        return action

    def wait_until(self, condition, what, timeout=20.0):
        return self.observer.wait_until(condition, what, timeout)


LISTENER = """
import sys, rclpy
from trajectory_msgs.msg import JointTrajectory
from wm_mpc.ros import qos
rclpy.init()
node = rclpy.create_node("slow")
hear = lambda message: print(len(message.points), flush=True)
node.create_subscription(JointTrajectory, "planned_actions", hear, qos.PLANNED_ACTIONS)
rclpy.spin(node)
"""


@pytest.fixture
def start(observer):
    started = []

    def begin(task, **changes):
        outputs = Outputs(observer, task, **changes)
        running = spinning(outputs.node)
        running.__enter__()
        started.append((outputs, running))
        return outputs

    yield begin
    for outputs, running in started:
        running.__exit__(None, None, None)
        outputs.node.destroy_node()
        outputs.context.try_shutdown()


def velocity(twist):
    return [twist.twist.linear.x, twist.twist.linear.y]


def test_a_setting_of_an_output_counts_from_the_next_message(start):
    outputs = start("wall")
    outputs.use("cmd_vel")
    outputs.move()
    outputs.wait_until(lambda: outputs.twists, "a twist")
    assert {twist.header.frame_id for twist in outputs.twists} == {"odom"}
    outputs.use("cmd_vel", frame_id="base_link")
    outputs.wait_until(lambda: outputs.twists[-1].header.frame_id == "base_link", "the new frame")
    assert any(velocity(outputs.twists[-1])), "the plan goes on"


@pytest.mark.parametrize("end", ["close", "switched off"])
def test_the_last_word_on_a_stream_is_to_rest(start, end):
    outputs = start("wall")
    outputs.use("cmd_vel", "commands")
    action = outputs.move()
    outputs.wait_until(
        lambda: (
            outputs.twists
            and velocity(outputs.twists[-1]) == action.tolist()
            and outputs.commands
            and list(outputs.commands[-1].data) == action.tolist()
        ),
        "motion",
    )
    if end == "close":
        outputs.plans.hold(outputs.now(), outputs.measured)
        outputs.plans.close()
    else:
        outputs.use()
    outputs.wait_until(
        lambda: not any(velocity(outputs.twists[-1])) and not any(outputs.commands[-1].data),
        "rest",
    )
    said = len(outputs.twists), len(outputs.commands)
    time.sleep(0.4)
    assert (len(outputs.twists), len(outputs.commands)) == said


def test_one_output_may_end_while_another_goes_on(start):
    outputs = start("wall")
    outputs.use("cmd_vel", "commands")
    action = outputs.move()
    outputs.wait_until(lambda: outputs.commands and any(outputs.commands[-1].data), "motion")
    outputs.use("cmd_vel")
    outputs.wait_until(lambda: not any(outputs.commands[-1].data), "rest")
    heard = len(outputs.twists)
    outputs.wait_until(lambda: len(outputs.twists) > heard + 2, "the other stream")
    assert velocity(outputs.twists[-1]) == action.tolist()


def test_streams_last_as_long_as_plans_are_wanted_seldom(start):
    outputs = start("wall")
    outputs.use("commands")
    action = outputs.move(points=40)
    time.sleep(1.5)
    assert list(outputs.commands[-1].data) == action.tolist()


@pytest.mark.timing
@pytest.mark.parametrize("task", ["wall"])
def test_plans_and_holds_leave_at_once_at_any_period(start, task):
    """Not with the next tick of the stream, half a second later."""
    outputs = start(task, control_period=0.5)
    outputs.use("cmd_vel", "commands")
    late = []
    for _ in range(6):
        for tell in (outputs.move, lambda: outputs.plans.hold(outputs.now())):
            time.sleep(0.13)  # anywhere between two ticks
            heard, began = len(outputs.twists), time.monotonic()
            tell()
            outputs.wait_until(lambda n=heard: len(outputs.twists) > n, "a twist")
            late.append(time.monotonic() - began)
            moves = any(velocity(outputs.twists[heard]))
            assert moves == (tell == outputs.move)
    assert sorted(late)[len(late) // 2] < 0.05


def test_before_it_is_measured_nothing_is_streamed_to_a_position_robot(start):
    outputs = start("wall", kind="position", limit=(1.0, 1.0))
    plans = outputs.observer.listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
    outputs.use("commands", "joint_trajectory")
    outputs.plans.hold(outputs.now())
    outputs.wait_until(lambda: plans, "the request to hold")
    time.sleep(0.4)
    assert outputs.commands == []
    assert outputs.trajectories == []
    outputs.measured = {"vx": 0.4, "vy": -0.2}
    assert outputs.plans.hold(outputs.now(), outputs.measured).tolist() == [0.4, -0.2]
    outputs.wait_until(lambda: outputs.commands and outputs.trajectories, "rest")
    assert all(list(message.data) == [0.4, -0.2] for message in outputs.commands)
    assert reached(outputs.trajectories[0]).tolist() == [0.4, -0.2]


def joint_plan(outputs):
    outputs.use("joint_trajectory")
    names = outputs.spec.action.names
    outputs.measured = dict.fromkeys(names, 0.25)
    action = outputs.move(points=20)
    outputs.wait_until(lambda: outputs.trajectories, "a trajectory")
    return names, action


def reached(trajectory):
    return np.array(trajectory.points[-1].positions)


def test_a_hold_is_where_the_joints_are_now(start):
    outputs = start("reach")
    names, _ = joint_plan(outputs)
    outputs.measured = dict.fromkeys(names, 0.4)
    outputs.plans.hold(outputs.now(), outputs.measured)
    outputs.wait_until(lambda: len(outputs.trajectories) == 2, "the hold")
    np.testing.assert_allclose(reached(outputs.trajectories[-1]), 0.4)


def test_a_hold_stays_where_it_began(start):
    """Joints under load sag a little; aimed at where they are, they would sag for ever."""
    outputs = start("reach")
    names, _ = joint_plan(outputs)
    for number, place in enumerate((0.4, 0.39, 0.38)):
        outputs.measured = dict.fromkeys(names, place)
        outputs.plans.hold(outputs.now(), outputs.measured)
        outputs.wait_until(lambda n=number: len(outputs.trajectories) == n + 2, "the hold")
    np.testing.assert_allclose(reached(outputs.trajectories[-1]), 0.4)
    outputs.move()
    outputs.wait_until(lambda: len(outputs.trajectories) == 5, "motion")
    outputs.plans.hold(outputs.now(), outputs.measured)
    outputs.wait_until(lambda: len(outputs.trajectories) == 6, "another hold")
    np.testing.assert_allclose(reached(outputs.trajectories[-1]), 0.38)


def test_an_output_that_ends_holds_joints_where_they_are_now(start):
    outputs = start("reach")
    names, _ = joint_plan(outputs)
    outputs.present = dict.fromkeys(names, 0.3)
    outputs.use()
    outputs.wait_until(lambda: len(outputs.trajectories) == 2, "the hold")
    np.testing.assert_allclose(reached(outputs.trajectories[-1]), 0.3)
    # Others may move them now: what was wanted is forgotten.
    outputs.use("joint_trajectory")
    outputs.measured = {}
    outputs.plans.hold(outputs.now(), outputs.measured)
    outputs.wait_until(lambda: len(outputs.trajectories) == 3, "a hold")
    assert not outputs.trajectories[-1].points[-1].positions


@pytest.mark.parametrize("missing", [1, 2])
def test_joints_of_which_some_are_not_known_are_held_where_they_are_wanted(start, missing):
    outputs = start("reach")
    names, _ = joint_plan(outputs)
    outputs.measured = dict.fromkeys(names[missing:], 2.0)
    outputs.plans.hold(outputs.now(), outputs.measured)
    outputs.wait_until(lambda: len(outputs.trajectories) == 2, "the hold")
    np.testing.assert_allclose(reached(outputs.trajectories[-1]), 0.25, atol=0.1)


@pytest.mark.parametrize("end", ["hold", "switched off"])
def test_where_joints_are_not_known_now_a_hold_is_where_they_are_wanted(start, end):
    outputs = start("reach")
    before = outputs.now()
    _, action = joint_plan(outputs)
    outputs.measured = {}
    time.sleep(0.55)
    if end == "hold":
        outputs.plans.hold(outputs.now(), outputs.measured)
    else:
        outputs.use()
    outputs.wait_until(lambda: len(outputs.trajectories) == 2, "the hold")
    hold = outputs.trajectories[-1]
    seconds = (outputs.now() - before) / 1e9
    moved = reached(hold) - 0.25
    # Neither back where the plan began, nor on to its end.
    assert (np.abs(moved) > 0.4 * 0.55 * np.abs(action)).all()
    assert (np.abs(moved) <= seconds * np.abs(action) + 1e-6).all()
    assert not any(hold.points[-1].velocities)


def test_cmd_vel_may_be_twists_without_a_stamp(start):
    outputs = start("wall", twist="twist")
    outputs.use("cmd_vel")
    action = outputs.move()
    outputs.wait_until(lambda: outputs.twists and outputs.twists[-1].linear.x, "motion")
    assert [outputs.twists[-1].linear.x, outputs.twists[-1].linear.y] == action.tolist()
    outputs.plans.hold(outputs.now())
    outputs.plans.end()
    outputs.wait_until(lambda: outputs.twists[-1] == Twist(), "rest")


def test_after_a_pause_a_position_robot_is_measured_again(start):
    """Meanwhile others may have moved it."""
    outputs = start("wall", kind="position", limit=(1.0, 1.0))
    outputs.use("commands")
    outputs.measured = {"vx": 0.4, "vy": -0.2}
    assert outputs.plans.hold(outputs.now(), outputs.measured).tolist() == [0.4, -0.2]
    outputs.plans.end()
    outputs.plans.begin()
    outputs.use("commands")
    time.sleep(0.3)  # until all that was sent is heard
    heard = len(outputs.commands)
    assert outputs.plans.hold(outputs.now()) is None
    time.sleep(0.4)
    assert len(outputs.commands) == heard
    outputs.measured = {"vx": -0.3, "vy": 0.1}
    assert outputs.plans.hold(outputs.now(), outputs.measured).tolist() == [-0.3, 0.1]


@contextlib.contextmanager
def listening_process(outputs):
    """A process that prints how many points a plan has; connected."""
    environment = os.environ | {"ROS_DOMAIN_ID": str(outputs.observer.domain_id)}
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            ears = outputs.node.count_subscribers
            before = ears("planned_actions")
            outputs.wait_until(lambda: ears("planned_actions") > before, "the process", 40.0)
            outputs.move(points=3)
            assert process.stdout.readline() == "3\n"
            yield process
        finally:
            process.kill()


def ended_after(outputs, pause, *, hears=True):
    """How long (s) the end takes while the listener is stopped for `pause` s. hears: whether it
    must have heard the last word; who is stopped for longer than the end waits may have missed
    it."""
    with listening_process(outputs) as process:
        process.send_signal(signal.SIGSTOP)
        awake = threading.Timer(pause, process.send_signal, [signal.SIGCONT])
        awake.start()
        outputs.plans.hold(outputs.now())
        began = time.monotonic()
        outputs.plans.close()
        lasted = time.monotonic() - began
        awake.join()
        if hears:
            assert process.stdout.readline() == "0\n"
    return lasted


@pytest.mark.timing
def test_the_end_waits_until_a_slow_listener_has_the_last_word(start):
    assert 0.1 < ended_after(start("wall"), 0.15) < 0.3


@pytest.mark.timing
def test_the_end_does_not_wait_for_ever(start):
    assert 0.29 < ended_after(start("wall"), 1.0, hears=False) < 0.7
