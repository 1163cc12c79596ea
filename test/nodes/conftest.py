"""Fixtures of the node `sim`: the real node, the real physics, a planner in the hands of a test."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]


class RunningSim:
    """The node `sim` running in this process, in a context of its own, and what it says.

    images, states, goals, episodes: messages received so far. Times are nanoseconds.
    """

    def __init__(self, observer: Any, **parameters: Any) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticStatus
        from nav_msgs.msg import Odometry
        from rclpy.parameter import Parameter
        from sensor_msgs.msg import Image
        from trajectory_msgs.msg import JointTrajectory

        from wm_mpc.nodes.sim import Sim
        from wm_mpc.ros import qos
        from wm_mpc.ros.running import spinning
        from wm_mpc.sim.tasks.wall import Wall

        self.observer, self.spec = observer, Wall.spec
        self._plans = observer.node.create_publisher(
            JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS
        )
        self.goals = observer.listen(Odometry, "goal/state", qos.LATCHED)
        self.states = observer.listen(Odometry, "odom", qos.ROBOT_STATE)
        self.images = observer.listen(Image, "camera/image_raw", qos.SENSOR_DATA)
        self.episodes = observer.listen(DiagnosticStatus, "sim/episode", qos.STATUS)

        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=observer.domain_id)
        self.node = Sim(
            context=self._context,
            parameter_overrides=[Parameter(name, value=v) for name, v in parameters.items()],
        )
        self._stop = threading.Event()
        self._failures: list[BaseException] = []

        def work() -> None:
            try:
                with spinning(self.node) as ended:
                    self.node.run(lambda: self._stop.is_set() or ended())
            except BaseException as error:
                self._failures.append(error)

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        self.wait_until(lambda: self._plans.get_subscription_count() > 0, "the connection")
        self.wait_until(lambda: self.goals and self.images and self.states, "an observation")

    def wait_until(self, condition: Callable[[], Any], what: str, timeout: float = 10.0) -> Any:
        def checked() -> Any:
            if self._failures:
                raise self._failures[0]
            return condition()

        return self.observer.wait_until(checked, what, timeout)

    def plan(self, stamp: int, action: tuple[float, float], points: int = 10) -> None:
        """Publish the same action for so many points."""
        from wm_mpc.ros.messages import actions_to_trajectory
        from wm_mpc.ros.timing import to_stamp

        actions = np.tile(np.asarray(action, np.float64), (points, 1))
        # Not `actions_to_trajectory` alone: tests also send what that would refuse.
        message = actions_to_trajectory(
            np.nan_to_num(actions), self.spec.action, self.spec.control_period, to_stamp(stamp)
        )
        for point, values in zip(message.points, actions, strict=True):
            point.velocities = values.tolist()
        self._plans.publish(message)

    @property
    def stamp(self) -> int:
        """The stamp of the newest image."""
        from wm_mpc.ros.timing import to_nanoseconds

        return to_nanoseconds(self.images[-1].header.stamp)

    def answer(self, action: tuple[float, float], points: int = 10) -> int:
        """In lockstep: plan for the newest observation and wait for the next; its stamp."""
        stamp = self.stamp
        self.plan(stamp, action, points)
        self.wait_until(lambda: self.stamp != stamp, "the next observation")
        return self.stamp

    def position(self) -> np.ndarray:
        """x, y (m) of the newest state."""
        return position(self.states[-1])

    def episode(self) -> dict[str, str]:
        """The newest `sim/episode`, its text under "message"."""
        newest = self.episodes[-1]
        return {entry.key: entry.value for entry in newest.values} | {"message": newest.message}

    def join(self) -> None:
        """Wait until the node has come to its end by itself."""
        self.wait_until(lambda: not self._thread.is_alive(), "the end of the run")

    def close(self) -> None:
        import rclpy

        self._stop.set()
        self._thread.join(timeout=5.0)
        assert not self._thread.is_alive(), "the loop did not stop"
        self.node.close()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)
        if self._failures:
            raise self._failures[0]


def position(message: Any) -> np.ndarray:
    """x, y (m) of an Odometry message."""
    point = message.pose.pose.position
    return np.array([point.x, point.y])


@pytest.fixture
def start_sim(observer: Any) -> Iterator[Callable[..., RunningSim]]:
    """Start the node `sim` with these parameters; it is stopped after the test."""
    running: list[RunningSim] = []

    def start(**parameters: Any) -> RunningSim:
        running.append(RunningSim(observer, **parameters))
        return running[-1]

    yield start
    for sim in running:
        sim.close()


@pytest.fixture
def sim_process(domain_id: int) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the node `sim` as a process of its own with these parameters."""
    processes: list[subprocess.Popen[str]] = []

    def start(**parameters: Any) -> subprocess.Popen[str]:
        arguments = [f"{name}:={value}" for name, value in parameters.items()]
        options = [word for argument in arguments for word in ("-p", argument)]
        environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain_id),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "wm_mpc.nodes.sim", "--ros-args", *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
