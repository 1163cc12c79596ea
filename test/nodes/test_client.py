"""The client for programs, with the real nodes `sim` and `mpc` on the other side."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
import rclpy

from wm_mpc.client import Client, ClientError, GoalCode, HoldCode
from wm_mpc.experiments.common.settings import task_parameter_file
from wm_mpc.ros.running import spinning

pytestmark = pytest.mark.ros
ROOT = Path(__file__).parents[2]


class Robot:
    """A simulated robot and its controller, in processes of their own."""

    def __init__(self, domain_id):
        self._environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain_id),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        self._stack = contextlib.ExitStack()
        self.start("sim", "task:=wall", "seed:=3", "episode_steps:=100000")
        self.mpc = self.start("mpc", "checkpoint:=wall")

    def start(self, node, *parameters):
        words = [word for parameter in parameters for word in ("-p", parameter)]
        process = subprocess.Popen(
            [sys.executable, "-m", f"wm_mpc.nodes.{node}", "--ros-args", "--params-file",
             str(task_parameter_file("wall")), *words],
            env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

        def end():
            process.kill()
            process.wait()

        self._stack.callback(end)
        return process

    def run(self, path, *arguments):
        return subprocess.run(
            [sys.executable, str(path), *map(str, arguments)], env=self._environment, cwd=ROOT,
            capture_output=True, text=True, timeout=120.0,
        )  # fmt: skip

    def close(self):
        self._stack.close()


@pytest.fixture
def robot(domain_id):
    with contextlib.closing(Robot(domain_id)) as robot:
        yield robot


def until(condition, seconds=40.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timing
def test_a_program_drives_the_robot(robot, domain_id, tmp_path):
    with Client(domain_id=domain_id, timeout=40.0) as client:
        until(lambda: client.status.is_planning, 60.0)
        here = client.take_picture()
        assert (here.shape, here.dtype) == ((64, 64, 3), np.uint8)
        time.sleep(0.7)  # it drives to the goal that the simulation has drawn
        client.set_goal(here, state={"vx": 0.0, "vy": 0.0})
        back = client.wait(timeout=60.0)
        assert back.is_reached, back
        # From here on the goal of the simulation is never reached, so that it draws no other.
        cv2.imwrite(str(tmp_path / "here.png"), here[..., ::-1])
        ended = robot.run(ROOT / "docs" / "examples" / "drive.py", tmp_path / "here.png")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stdout.count("holding: hold.person") == 2
        assert "there: goal.reached after" in ended.stdout
        assert "back: goal.reached after" in ended.stdout

        # A picture that the camera will never see is a goal that is never reached.
        noise = np.random.default_rng(0).integers(0, 255, here.shape, np.uint8)
        first = client.set_goal(noise)
        assert first.code is GoalCode.EXECUTING
        second = client.append(255 - noise)
        assert [goal.code for goal in client.goals[-2:]] == [GoalCode.EXECUTING, GoalCode.WAITING]
        assert not client.wait(timeout=0.5).is_final
        assert client.skip_goal()
        until(lambda: client.report(first.stamp).code is GoalCode.CANCELLED)
        assert client.report(first.stamp).reason == "skipped"
        until(lambda: client.report(second.stamp).code is GoalCode.EXECUTING)

        client.hold()
        until(lambda: client.status.code is HoldCode.PERSON)
        client.resume()
        until(lambda: client.status.is_planning)
        client.clear_goals()
        assert client.wait(timeout=10.0).code is GoalCode.CANCELLED
        assert not client.skip_goal()
        until(lambda: client.status.code is HoldCode.NO_GOAL)

        with pytest.raises(ClientError, match=r"nowhere.png cannot be read"):
            client.set_goal("nowhere.png")
        with pytest.raises(ClientError, match=r"float64 \(3,\); accepted: uint8"):
            client.set_goal(np.zeros(3))
        with pytest.raises(ClientError, match=r"odometry has no field 'elbow'"):
            client.set_goal(here, state={"elbow": 1.0})
        with pytest.raises(ClientError, match=r"2 states for 1 images"):
            client.send([here], [None, None])
        with Client("left", domain_id=domain_id, timeout=8.0) as other:
            elsewhere = r"no node mpc takes goals in the namespace /left; there is one in: /$"
            with pytest.raises(ClientError, match=elsewhere):
                other.set_goal(here)
            with pytest.raises(ClientError, match=r"the node /left/mpc says nothing"):
                _ = other.status

        _with_a_node_of_our_own(domain_id, here)

        client.set_goal(noise)
        robot.mpc.kill()
        with pytest.raises(ClientError, match=r"the node /mpc has gone"):
            client.wait(timeout=60.0)


def _with_a_node_of_our_own(domain_id, picture):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = rclpy.create_node("mine", context=context, namespace="/somewhere")
    with spinning(node), Client("/", node=node) as root, Client(node=node, timeout=5.0) as own:
        with pytest.raises(ClientError, match=r"in the namespace /somewhere; there is one in: /$"):
            own.set_goal(picture)
        with pytest.raises(ClientError, match=r"no goal was sent with this client"):
            root.wait(1.0)
        assert root.skip_goal() is False
    node.destroy_node()
    context.try_shutdown()


def test_without_a_controller_a_client_says_so_in_time(domain_id):
    began = time.monotonic()
    with Client(domain_id=domain_id, timeout=0.5) as client:
        for ask, told in (
            (lambda: client.set_goal(np.zeros((8, 8, 3), np.uint8)), "no node mpc takes goals$"),
            (lambda: client.status, "the node /mpc says nothing on /diagnostics"),
            (lambda: client.goals, "the node /mpc tells no goals"),
            (client.hold, "there is no service mpc/hold"),
            (client.take_picture, "no picture came on /camera/image_raw"),
        ):
            with pytest.raises(ClientError, match=told):
                ask()
    assert time.monotonic() - began < 15.0
