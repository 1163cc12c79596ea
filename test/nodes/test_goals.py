"""Goals one after another: the real nodes `mpc` and `send_goal`, and a robot in real physics."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.control.following import PlanFollower
from wm_mpc.experiments.common.settings import task_parameter_file
from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image, state_to_odometry
from wm_mpc.ros.timing import to_nanoseconds, to_stamp
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.wall import Wall

pytestmark = pytest.mark.ros
ROOT = Path(__file__).parents[2]
SPEC = Wall.spec


class Robot:
    """Drives as planned, in real time, and shows what its camera sees; gives no goals."""

    def __init__(self, observer, simulation, start):
        self._observer, self._simulation, self._observation = observer, simulation, start
        create = observer.node.create_publisher
        self._images = create(Image, "camera/image_raw", qos.SENSOR_DATA)
        self._states = create(Odometry, "odom", qos.ROBOT_STATE)
        self._follower = PlanFollower(SPEC.action, SPEC.control_period)
        self._plans = observer.listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        seen, due = 0, time.monotonic()
        while not self._stop.is_set():
            now = self._observer.node.get_clock().now().nanoseconds
            stamp = to_stamp(now)
            state = dict(zip(SPEC.state.names, self._observation.state.tolist(), strict=True))
            self._states.publish(state_to_odometry(state, stamp))
            self._images.publish(rgb_to_image(self._observation.image, stamp))
            for plan in self._plans[seen:]:
                seen += 1
                actions = np.array([point.velocities for point in plan.points]).reshape(-1, 2)
                self._follower.offer(to_nanoseconds(plan.header.stamp), actions, now)
            self._observation = self._simulation.step(self._follower.action_at(now))
            due += SPEC.control_period
            time.sleep(max(0.0, due - time.monotonic()))

    def close(self):
        self._stop.set()
        self._thread.join(timeout=5.0)


class Scene:
    """A robot, pictures of places it can reach, and the nodes that take it there."""

    def __init__(self, observer, folder, **parameters):
        self.observer = observer
        self._environment = os.environ | {
            "ROS_DOMAIN_ID": str(observer.domain_id),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        self._stack = contextlib.ExitStack()
        simulation = self._stack.enter_context(simulate(Wall()))
        start = simulation.reset(episode_rng(4, "node", 0))
        self.pictures = []
        for number in range(3):
            goal = simulation.new_goal(episode_rng(4, "node", number)).observation.image
            self.pictures.append(folder / f"goal{number}.png")
            cv2.imwrite(str(self.pictures[-1]), goal[..., ::-1])
        self.goals = observer.listen(DiagnosticArray, "mpc/goals", qos.LATCHED)
        self._direct = observer.node.create_publisher(Image, "goal/image", qos.LATCHED)
        self.robot = self._stack.enter_context(
            contextlib.closing(Robot(observer, simulation, start))
        )
        values = {"checkpoint": "wall", **parameters}
        self.start(
            "mpc", "--ros-args", "--params-file", str(task_parameter_file("wall")),
            *(word for name, value in values.items() for word in ("-p", f"{name}:={value}")),
        )  # fmt: skip
        observer.wait_until(lambda: self.goals or self._is_there(), "the node mpc", 30.0)

    def _is_there(self):
        return self.observer.node.count_subscribers("goal/append/image") > 0

    def start(self, node, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", f"wm_mpc.nodes.{node}", *arguments],
            env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

        def end():
            process.kill()
            process.communicate()

        self._stack.callback(end)
        return process

    def send(self, *arguments, timeout=90.0):
        """Exit code and output of `send_goal`."""
        process = self.start("tools.send_goal", *map(str, arguments))
        output = process.communicate(timeout=timeout)[0]
        return process.returncode, output

    def send_directly(self, path):
        image = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        now = self.observer.node.get_clock().now().nanoseconds
        self._direct.publish(rgb_to_image(image, to_stamp(now)))

    def told(self):
        """The newest word on every goal, by its number."""
        return {int(s.name.split()[1]): s.message for s in self.goals[-1].status}

    def wait_for(self, condition, what, timeout=30.0):
        self.observer.wait_until(lambda: self.goals and condition(self.told()), what, timeout)

    def close(self):
        self._stack.close()


@pytest.fixture
def start_scene(observer, tmp_path):
    with contextlib.ExitStack() as stack:

        def start(**parameters):
            return stack.enter_context(contextlib.closing(Scene(observer, tmp_path, **parameters)))

        yield start


def test_pictures_are_reached_one_after_another(start_scene):
    scene = start_scene()
    code, output = scene.send(*scene.pictures, "--wait")
    assert code == 0, output
    for picture in scene.pictures:
        assert f"{picture.name}: reached after" in output
    assert scene.told() == {1: "reached", 2: "reached", 3: "reached"}


def test_a_picture_that_was_taken_is_what_the_camera_sees(start_scene, tmp_path):
    scene = start_scene(**{"goal.tolerance": 0.0})
    images = scene.observer.listen(Image, "camera/image_raw", qos.SENSOR_DATA)
    path = tmp_path / "taken.png"
    process = scene.start("tools.take_picture", str(path))
    output = process.communicate(timeout=30.0)[0]
    assert (process.returncode, output.strip().splitlines()[-1]) == (
        0, f"{path}: 64x64 pixels of /camera/image_raw",
    )  # fmt: skip
    taken = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    assert any(bytes(image.data) == taken.tobytes() for image in images)
    process = scene.start("tools.take_picture", str(path), "--compressed", "--timeout", "0.5")
    assert "no picture came on /camera/image_raw/compressed" in process.communicate(timeout=30.0)[0]
    assert process.returncode == 1


def test_goals_can_be_skipped_cleared_and_replaced(start_scene):
    scene = start_scene(**{"goal.tolerance": 0.0})  # none is ever reached
    code, output = scene.send(*scene.pictures)
    assert (code, output.strip().splitlines()[-1]) == (0, "3 goals sent")
    scene.wait_for(lambda told: told == {1: "executing", 2: "waiting", 3: "waiting"}, "goals")
    assert scene.observer.call(Trigger, "mpc/skip_goal").message == "goal 2 executing, 1 waiting"
    scene.wait_for(lambda told: told[1] == "cancelled: skipped", "the next goal")
    scene.send_directly(scene.pictures[0])
    scene.wait_for(lambda told: told.get(4) == "executing", "the goal on goal/image")
    assert told_reasons(scene.told(), 2, 3) == {"cancelled: another goal came in its place"}
    assert scene.observer.call(Trigger, "mpc/clear_goals").message == "1 goals cancelled"
    scene.wait_for(lambda told: told[4] == "cancelled: cleared", "no goal")
    assert not scene.observer.call(Trigger, "mpc/skip_goal").success
    scene.send(scene.pictures[1], "--append")
    scene.wait_for(lambda told: told.get(5) == "executing", "a goal after all")


def told_reasons(told, *numbers):
    return {told[number] for number in numbers}


def test_a_goal_that_takes_too_long_is_given_up_for_the_next(start_scene):
    scene = start_scene(**{"goal.tolerance": 0.0, "goal.timeout": 1.0})
    code, output = scene.send(*scene.pictures[:2], "--wait")
    assert code == 1
    assert output.count("aborted: not reached within 1 s") == 2


def test_what_is_no_goal_is_refused_and_nothing_is_lost(start_scene, tmp_path):
    scene = start_scene(**{"goal.tolerance": 0.0})
    assert scene.send(*scene.pictures[:2])[0] == 0
    tiny = tmp_path / "tiny.png"
    cv2.imwrite(str(tiny), np.zeros((8, 8, 3), np.uint8))
    code, output = scene.send(tiny, "--append", "--timeout", 5)
    assert code == 1
    assert "send_goal: not all goals were taken (the log of mpc says why)" in output
    assert scene.told() == {1: "executing", 2: "waiting"}
    text = tmp_path / "text.png"
    text.write_text("no picture")
    assert "text.png is not a picture" in scene.send(text)[1]
    assert "nowhere.png cannot be read" in scene.send(tmp_path / "nowhere.png")[1]


def test_without_a_controller_goals_are_not_sent(observer, tmp_path, monkeypatch):
    path = tmp_path / "goal.png"
    cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    monkeypatch.setenv("ROS_DOMAIN_ID", str(observer.domain_id))
    process = subprocess.run(
        [sys.executable, "-m", "wm_mpc.nodes.tools.send_goal", str(path), "--timeout", "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert process.returncode == 1
    assert "send_goal: no node mpc takes goals" in process.stderr
