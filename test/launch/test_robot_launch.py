"""A real robot's controller as a user starts it; the simulation, started apart, is the robot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros import qos

from ..conftest import wait_until

LAUNCH_FILE = "robot.launch.py"
pytestmark = [
    pytest.mark.launch,
    pytest.mark.ros,
    pytest.mark.skipif(shutil.which("ros2") is None, reason="no ros2 command: run make setup"),
]
RENAMED = {
    "camera/image_raw": "/front/image",
    "odom": "/base/odom",
    "goal/image": "/wanted/image",
    "goal/state": "/wanted/state",
    "planned_actions": "/base/plan",
}


@pytest.fixture
def robot(domain_id):
    """The simulation of `wall` under names of its own."""
    command = [sys.executable, "-m", "wm_mpc.nodes.sim", "--ros-args", "-p", "task:=wall"]
    command += [part for old, new in RENAMED.items() for part in ("-r", f"{old}:={new}")]
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain_id)}
    process = subprocess.Popen(command, env=environment)
    yield process
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()


@pytest.mark.slow
def test_a_robot_with_names_of_its_own_is_driven_to_its_goals(launch, robot, observer):
    episodes = observer.listen(DiagnosticStatus, "sim/episode", qos.STATUS)
    # Not the robot's profile, which keeps one message: a busy observer would miss what an empty
    # plan, that of a stop, has pushed out.
    plans = observer.listen(JointTrajectory, "/base/plan", qos.ALL_PLANS)
    twists = observer.listen(TwistStamped, "/base/cmd_vel", qos.COMMAND)
    launched = launch(
        "model:=wall", "namespace:=arm", "output:=cmd_vel", "cmd_vel_topic:=/base/cmd_vel",
        "frame_id:=base_link", "rate:=9.5", "planned_actions_topic:=/base/plan",
        "image_topic:=/front/image", "odom_topic:=/base/odom", "goal_image_topic:=/wanted/image",
        "goal_state_topic:=/wanted/state",
    )  # fmt: skip

    def reached():
        return any(
            entry.key == "success" and entry.value.lower() == "true"
            for status in episodes
            for entry in status.values
        )

    observer.wait_until(reached, "a goal that was reached", 90.0)

    def moving():
        return [twist for twist in list(twists) if abs(twist.twist.linear.x) > 0.01]

    # The next episode has begun, so both go on: what a busy machine delays still comes.
    observer.wait_until(lambda: any(plan.points for plan in list(plans)), "a plan", 30.0)
    observer.wait_until(moving, "a command that moves the robot", 30.0)
    assert moving()[0].header.frame_id == "base_link"
    speeds = np.array([[t.twist.linear.x, t.twist.linear.y] for t in twists])
    assert np.abs(speeds).max() <= 1.0 + 1e-6
    assert "arm/mpc" in subprocess.run(
        ["ros2", "node", "list"], capture_output=True, text=True,
        env=os.environ | {"ROS_DOMAIN_ID": str(observer.domain_id)},
    ).stdout  # fmt: skip
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait(40.0) == 0


def test_arguments_win_over_the_file_and_the_file_over_the_defaults(launch, observer, tmp_path):
    from rcl_interfaces.srv import GetParameters

    file = tmp_path / "mine.yaml"
    file.write_text("/**/mpc:\n  ros__parameters:\n    rate: 5.0\n    planner: {horizon: 3}\n")
    launch(
        "model:=wall", f"params_file:={file}", "rate:=8", "output:=commands,joint_trajectory",
        "image_topic:=/cam/image_raw", "image_transport:=compressed",
    )  # fmt: skip
    names = ["rate", "planner.horizon", "planner.restarts", "output.commands", "output.cmd_vel"]
    request = GetParameters.Request(names=[*names, "output.joint_trajectory"])
    found = observer.call(GetParameters, "mpc/get_parameters", request).values
    assert [v.double_value for v in found[:1]] == [8.0]
    assert [v.integer_value for v in found[1:3]] == [3, 8]
    assert [v.bool_value for v in found[3:]] == [True, False, True]
    # The compressed topic follows the image topic.
    graph = observer.node
    wait_until(
        lambda: graph.get_subscriptions_info_by_topic("/cam/image_raw/compressed"),
        "the subscription", 40.0,
    )  # fmt: skip
    assert not graph.get_subscriptions_info_by_topic("/camera/image_raw/compressed")


@pytest.mark.slow
def test_further_cameras_have_topics_of_their_own(launch, observer):
    launch(
        "model:=reach_two", "image_topic:=/front/image", "camera_topics:=side=/left/image",
        "image_transport:=compressed", "namespace:=arm",
    )  # fmt: skip
    graph = observer.node
    for topic in ("/front/image/compressed", "/left/image/compressed"):
        wait_until(lambda topic=topic: graph.get_subscriptions_info_by_topic(topic), topic, 40.0)
    assert not graph.get_subscriptions_info_by_topic("/arm/side/image_raw/compressed")


@pytest.mark.slow
def test_a_live_learner_begins_with_the_model_and_its_checkpoints_are_used(
    launch, observer, tmp_path, monkeypatch
):
    from rcl_interfaces.srv import GetParameters

    monkeypatch.chdir(tmp_path)
    launch("model:=maze", "learner:=live")
    request = GetParameters.Request(names=["auto_reload"])
    assert observer.call(GetParameters, "mpc/get_parameters", request).values[0].bool_value
    request = GetParameters.Request(names=["mode", "checkpoint"])
    found = observer.call(GetParameters, "learner/get_parameters", request).values
    assert [value.string_value for value in found] == ["live", "maze"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "model"),
        (("model:=wall", "output:=cmd_vel,wheels"), "output is 'wheels'; accepted: commands, "),
        (("model:=wall", "rate:=fast"), "rate is 'fast'; a number is needed"),
        (("model:=wall", "network:=world"), "network"),
        (("model:=wall", "params_file:=/nothere.yaml"), "params_file is '/nothere.yaml'; there is"),
        (("model:=wall", "camera_topics:=/left"), "camera_topics has '/left'; accepted: camera="),
        (("model:=/nope.safetensors",), "model is '/nope.safetensors'; there is no such file"),
        (("model:=wall", "learner:=no"), "learner is 'no'; accepted: true, false, live"),
    ],
    ids=["no model", "output", "rate", "network", "params_file", "cameras", "model", "learner"],
)
def test_a_wrong_argument_is_named(launch, arguments, reason):
    launched = launch(*arguments)
    assert launched.wait() != 0
    assert reason in launched.output


@pytest.mark.parametrize(
    ("argument", "environment", "expected"),
    [
        (None, "OFF", "OFF"),
        ("lan", "LOCALHOST", "SUBNET"),
    ],
)
def test_only_this_computer_sees_the_nodes_unless_told(
    launch, monkeypatch, argument, environment, expected
):
    """Without both: see test_included.py."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", environment)
    launched = launch("model:=wall", *([f"network:={argument}"] if argument else []))
    wait_until(lambda: launched.pid_of("mpc"), "the node", 30.0)
    with open(f"/proc/{launched.pid_of('mpc')}/environ", "rb") as file:
        assert f"ROS_AUTOMATIC_DISCOVERY_RANGE={expected}".encode() in file.read().split(b"\0")
