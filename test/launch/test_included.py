"""Our launch files as parts of somebody else's bring-up: they change nothing else in it."""

from __future__ import annotations

import os
import re
import shutil
import signal

import pytest

from ..conftest import mostly_slow, wait_until

pytestmark = [
    pytest.mark.launch,
    pytest.mark.ros,
    pytest.mark.skipif(shutil.which("ros2") is None, reason="no ros2 command: run make setup"),
]
HEAD = """
from launch import LaunchDescription
from launch.actions import *
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushROSNamespace, SetParameter
from launch_ros.substitutions import FindPackageShare
def ours(file="robot", **arguments):
    share = FindPackageShare("wm_mpc")
    return IncludeLaunchDescription([share, f"/launch/{file}.launch.py"],
                                    launch_arguments=list(arguments.items()))
def shell(name, script):
    return ExecuteProcess(cmd=["sh", "-c", script], name=name, output="screen")
def generate_launch_description():
    return LaunchDescription([
"""
# What another launch file may have set for itself before, and what it reads after the include.
BEFORE = 'SetLaunchConfiguration("output", "screen"),'
OTHERS = """
        shell("spawner", "sleep 1; echo spawned"),
        shell("driver", "echo range [$ROS_AUTOMATIC_DISCOVERY_RANGE]; exec sleep 60"),
        LogInfo(msg=["frame ", LaunchConfiguration("frame_id", default="untouched")]),
    ])
"""
XML = """
<launch>
  <let name="output" value="screen"/>
  <include file="$(find-pkg-share wm_mpc)/launch/robot.launch.py">
    <arg name="model" value="wall"/>
  </include>
  <executable name="spawner" cmd="sh -c 'sleep 1; echo spawned'" output="screen"/>
  <executable name="driver" output="screen"
              cmd="sh -c 'echo range [$ROS_AUTOMATIC_DISCOVERY_RANGE]; exec sleep 60'"/>
  <log message="frame $(var frame_id untouched)"/>
</launch>
"""
YAML = """
launch:
- let: {name: output, value: screen}
- include:
    file: $(find-pkg-share wm_mpc)/launch/robot.launch.py
    arg: [{name: model, value: wall}]
- executable: {name: spawner, cmd: "sh -c 'sleep 1; echo spawned'", output: screen}
- executable:
    name: driver
    output: screen
    cmd: sh -c 'echo range [$ROS_AUTOMATIC_DISCOVERY_RANGE]; exec sleep 60'
- log: {message: frame $(var frame_id untouched)}
"""
BRING_UPS = {
    "plain.launch.py": HEAD + BEFORE + 'ours(model="wall"),' + OTHERS,
    "included.launch.xml": XML,
    "included.launch.yaml": YAML,
}


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def has(launched, text, timeout=40.0):
    wait_until(lambda: text in launched.output, f"{text!r} in the output", timeout)


def leaves_the_rest_as_it_is(launched):
    wait_until(
        lambda: re.search(r"\[spawner-\d\]: process has finished cleanly", launched.output),
        "the spawner's end", 40.0,
    )  # fmt: skip
    assert "] range []\n" in launched.output, "our environment is ours alone"
    assert "frame untouched" in launched.output, "our arguments end with our file"
    assert "the argument output, set for other nodes" in launched.output


@pytest.mark.parametrize("name", mostly_slow(BRING_UPS))
def test_an_include_leaves_the_rest_of_a_bring_up_as_it_is(
    launch_path, monkeypatch, tmp_path, name
):
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    launched = launch_path(write(tmp_path, name, BRING_UPS[name]))
    has(launched, "waiting for the camera")
    leaves_the_rest_as_it_is(launched)
    mpc, driver = launched.pid_of("mpc"), launched.pid_of("driver")
    with open(f"/proc/{mpc}/environ", "rb") as file:
        assert b"ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST" in file.read().split(b"\0")
    os.kill(driver, signal.SIGTERM)
    has(launched, "[ERROR] [driver-3]: process has died")
    assert launched.is_alive(mpc), "what else ends, even badly, does not end our node"
    assert launched.process.poll() is None
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait(40.0) == 0


@pytest.mark.slow
def test_a_node_of_one_of_two_robots_is_restarted_and_the_other_never_notices(
    launch_path, monkeypatch, tmp_path
):
    """Each in a group of its own."""
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    robots = "".join(
        f'GroupAction([PushROSNamespace("{side}"), ours(model="wall", respawn="true")]),'
        for side in ("left", "right")
    )
    shared = 'SetParameter("robot_description", "of every node"),'
    text = HEAD + shared + BEFORE + robots + OTHERS
    launched = launch_path(write(tmp_path, "two.launch.py", text))
    has(launched, "[left.mpc]: waiting for the camera")
    has(launched, "[right.mpc]: waiting for the camera")
    leaves_the_rest_as_it_is(launched)
    started = re.findall(r"\[mpc-\d\]: process started with pid \[(\d+)\]", launched.output)
    left, right = map(int, started)
    os.kill(left, signal.SIGKILL)
    wait_until(lambda: launched.output.count("process started with pid") == 5, "a restart", 40.0)
    assert "Caught exception" not in launched.output
    assert launched.is_alive(right)
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait(40.0) == 0


@pytest.mark.slow
def test_a_simulation_that_is_over_ends_its_controller_and_nothing_else(launch_path, tmp_path):
    text = HEAD + 'ours("sim", task="wall", lockstep="true", episodes="1", respawn="true"),'
    text += 'shell("driver", "exec sleep 60"),])'
    launched = launch_path(write(tmp_path, "over.launch.py", text))
    wait_until(
        lambda: launched.output.count("process has finished cleanly") == 2, "both ended", 60.0
    )
    assert launched.is_alive(launched.pid_of("driver"))
    assert launched.process.poll() is None
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait(40.0) == 0
    assert launched.output.count("process started with pid") == 3, "nothing was restarted"


def test_a_node_that_is_not_required_may_die_alone(launch_path, tmp_path):
    text = HEAD + 'ours(model="wall", required="false"), shell("driver", "exec sleep 60"),])'
    launched = launch_path(write(tmp_path, "alone.launch.py", text))
    wait_until(lambda: launched.pid_of("mpc"), "the node", 40.0)
    os.kill(launched.pid_of("mpc"), signal.SIGKILL)
    has(launched, "[ERROR] [mpc-1]: process has died")
    assert launched.is_alive(launched.pid_of("driver"))
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait(40.0) == 0


def test_a_mistyped_argument_is_said_with_the_right_one(launch_path, tmp_path):
    text = HEAD + 'ours(model="wall", namespace="no good"), ])'
    launched = launch_path(write(tmp_path, "typo.launch.py", text), "modle:=maze")
    assert launched.wait() != 0
    assert "there is no launch argument modle here" in launched.output
    assert "did you mean model?" in launched.output
