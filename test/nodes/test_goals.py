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
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter
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

from ..conftest import Observer, free_domain

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

    def __init__(self, observer, folder):
        self.observer, self._goals_before = observer, 0
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
        self._tuned = None
        self.goals = observer.listen(DiagnosticArray, "mpc/goals", qos.LATCHED)
        self._direct = observer.node.create_publisher(Image, "goal/image", qos.LATCHED)
        self.robot = self._stack.enter_context(
            contextlib.closing(Robot(observer, simulation, start))
        )
        file = str(task_parameter_file("wall"))
        self._stack.enter_context(
            self.started("mpc", "--ros-args", "--params-file", file, "-p", "checkpoint:=wall")
        )
        observer.wait_until(self._is_there, "the node mpc", 60.0)

    def _is_there(self):
        return self.observer.node.count_subscribers("goal/append/image") > 0

    def begin(self, *, tolerance=None, timeout=0.0):
        """Without a goal; the goals that come count from 1. tolerance: None: as tuned for it."""
        if self._tuned is None:
            request = GetParameters.Request(names=["goal.tolerance"])
            answer = self.observer.call(GetParameters, "mpc/get_parameters", request)
            self._tuned = answer.values[0].double_value
        tolerance = self._tuned if tolerance is None else tolerance
        parameters = [
            Parameter("goal.tolerance", value=tolerance).to_parameter_msg(),
            Parameter("goal.timeout", value=timeout).to_parameter_msg(),
        ]
        request = SetParameters.Request(parameters=parameters)
        answer = self.observer.call(SetParameters, "mpc/set_parameters", request)
        assert all(result.successful for result in answer.results), answer
        self.observer.call(Trigger, "mpc/clear_goals")
        self._goals_before = 0
        self._goals_before = max(self.outcomes(), default=0)

    def number(self, goal):
        """Of a goal of this test, as the node counts them."""
        return self._goals_before + goal

    @contextlib.contextmanager
    def started(self, node, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", f"wm_mpc.nodes.{node}", *map(str, arguments)],
            env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, node, *arguments, timeout=90.0):
        """Exit code and output of a node."""
        with self.started(node, *arguments) as process:
            output = process.communicate(timeout=timeout)[0]
            return process.returncode, output

    def send(self, *arguments):
        """Exit code and output of `send_goal`."""
        return self.run("tools.send_goal", *arguments)

    def send_directly(self, path):
        image = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        now = self.observer.node.get_clock().now().nanoseconds
        self._direct.publish(rgb_to_image(image, to_stamp(now)))

    def outcomes(self):
        """The newest word on every goal of this test, by its number."""
        status = self.goals[-1].status if self.goals else []
        outcomes = {int(s.name.split()[1]) - self._goals_before: s.message for s in status}
        return {number: message for number, message in outcomes.items() if number > 0}

    def wait_for(self, condition, what, timeout=30.0):
        self.observer.wait_until(lambda: self.goals and condition(self.outcomes()), what, timeout)

    def close(self):
        self._stack.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """All tests share it. Each begins with `scene.begin`."""
    with contextlib.ExitStack() as stack:
        domain = stack.enter_context(contextlib.contextmanager(free_domain)())
        observer = stack.enter_context(contextlib.closing(Observer(domain)))
        folder = tmp_path_factory.mktemp("scene")
        yield stack.enter_context(contextlib.closing(Scene(observer, folder)))


def test_pictures_are_reached_one_after_another(scene):
    scene.begin()
    code, output = scene.send(*scene.pictures[:2], "--wait")
    assert code == 0, output
    for picture in scene.pictures[:2]:
        assert f"{picture.name}: reached after" in output
    assert scene.outcomes() == {1: "reached", 2: "reached"}


@pytest.mark.slow
def test_a_picture_that_was_taken_is_what_the_camera_sees(scene, tmp_path):
    images = scene.observer.listen(Image, "camera/image_raw", qos.SENSOR_DATA)
    path = tmp_path / "taken.png"
    code, output = scene.run("tools.take_picture", path)
    assert (code, output.strip().splitlines()[-1]) == (
        0, f"{path}: 64x64 pixels of /camera/image_raw",
    )  # fmt: skip
    taken = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    assert any(bytes(image.data) == taken.tobytes() for image in images)
    code, output = scene.run("tools.take_picture", path, "--compressed", "--timeout", "0.5")
    assert "no picture came on /camera/image_raw/compressed" in output
    assert code == 1


def test_goals_can_be_skipped_cleared_and_replaced(scene):
    scene.begin(tolerance=0.0)  # none is ever reached
    code, output = scene.send(*scene.pictures)
    assert (code, output.strip().splitlines()[-1]) == (0, "3 goals sent")
    scene.wait_for(
        lambda outcomes: outcomes == {1: "executing", 2: "waiting", 3: "waiting"}, "goals"
    )
    summary = scene.observer.call(Trigger, "mpc/skip_goal").message
    assert summary == f"goal {scene.number(2)} executing, 1 waiting"
    scene.wait_for(lambda outcomes: outcomes[1] == "cancelled: skipped", "the next goal")
    scene.send_directly(scene.pictures[0])
    scene.wait_for(lambda outcomes: outcomes.get(4) == "executing", "the goal on goal/image")
    assert reasons_of(scene.outcomes(), 2, 3) == {"cancelled: another goal came in its place"}
    assert scene.observer.call(Trigger, "mpc/clear_goals").message == "1 goals cancelled"
    scene.wait_for(lambda outcomes: outcomes[4] == "cancelled: cleared", "no goal")
    assert not scene.observer.call(Trigger, "mpc/skip_goal").success
    scene.send(scene.pictures[1], "--append")
    scene.wait_for(lambda outcomes: outcomes.get(5) == "executing", "a goal after all")


def reasons_of(outcomes, *numbers):
    return {outcomes[number] for number in numbers}


def test_a_goal_that_takes_too_long_is_given_up_for_the_next(scene):
    scene.begin(tolerance=0.0, timeout=1.0)
    code, output = scene.send(*scene.pictures[:2], "--wait")
    assert code == 1
    assert output.count("aborted: not reached within 1 s") == 2


def test_what_is_no_goal_is_refused_and_nothing_is_lost(scene, tmp_path):
    scene.begin(tolerance=0.0)
    assert scene.send(*scene.pictures[:2])[0] == 0
    tiny = tmp_path / "tiny.png"
    cv2.imwrite(str(tiny), np.zeros((8, 8, 3), np.uint8))
    code, output = scene.send(tiny, "--append", "--timeout", 5)
    assert code == 1
    assert "send_goal: not all goals were taken; goals refused: 1; last: goal image is " in output
    assert scene.outcomes() == {1: "executing", 2: "waiting"}
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
