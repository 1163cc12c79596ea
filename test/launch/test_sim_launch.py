"""The real launch file, as a user starts it: `ros2 launch wm_mpc sim.launch.py ...`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros import qos

pytestmark = [
    pytest.mark.launch,
    pytest.mark.ros,
    pytest.mark.skipif(shutil.which("ros2") is None, reason="no ros2 command: run make setup"),
]
SUMMARY = re.compile(
    r"episodes (\d+)  success (\d+)  mean steps (\d+\.\d|n/a)  mean plan (\d+\.\d ms|n/a)"
)


class Launched:
    """A running `ros2 launch`, its output so far, and its nodes' processes."""

    def __init__(self, domain_id, *arguments):
        self.lines = []
        self.process = subprocess.Popen(
            ["ros2", "launch", "wm_mpc", "sim.launch.py", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"ROS_DOMAIN_ID": str(domain_id), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def output(self):
        return "".join(self.lines)

    def pid_of(self, node):
        """Process id of a node's newest process, from the launch's own words; None before."""
        found = re.findall(rf"\[{node}-\d+\]: process started with pid \[(\d+)\]", self.output)
        return int(found[-1]) if found else None

    def pids(self):
        return [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", self.output)]

    def wait(self, timeout):
        code = self.process.wait(timeout)
        self._reader.join(timeout=5.0)
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pid in self.pids():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def launch(domain_id):
    running = []

    def start(*arguments):
        running.append(Launched(domain_id, *arguments))
        return running[-1]

    yield start
    for launched in running:
        launched.close()


@pytest.fixture
def robot(launch, observer):
    """A launch in real time, once the robot moves: (launched, plans, odometry)."""
    launched = launch("seed:=8")
    plans = observer.listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
    odometry = observer.listen(Odometry, "odom", qos.SENSOR_DATA)
    observer.wait_until(
        lambda: plans and plans[-1].points and odometry and is_moving(odometry[-1]), "motion", 60.0
    )
    return launched, plans, odometry


def is_moving(odometry):
    velocity = odometry.twist.twist.linear
    return abs(velocity.x) + abs(velocity.y) > 1e-3


def test_three_episodes_in_lockstep_end_by_themselves(launch):
    launched = launch("task:=wall", "lockstep:=true", "episodes:=3", "seed:=4242")
    assert launched.wait(120.0) == 0, launched.output
    summary = SUMMARY.search(launched.output)
    assert summary, launched.output
    assert summary[1] == "3"
    assert int(summary[2]) >= 2
    assert not any(is_alive(pid) for pid in launched.pids())


def test_interrupt_ends_everything_within_three_seconds(robot):
    launched, _, _ = robot
    started = time.monotonic()
    launched.process.send_signal(signal.SIGINT)
    launched.wait(10.0)
    assert time.monotonic() - started < 3.0, launched.output
    assert len(launched.pids()) == 2
    assert not any(is_alive(pid) for pid in launched.pids())
    assert "Traceback" not in launched.output


def test_a_node_that_dies_ends_the_launch_with_an_error(robot):
    launched, _, _ = robot
    os.kill(launched.pid_of("mpc"), signal.SIGKILL)
    assert launched.wait(20.0) != 0
    assert "mpc-2" in launched.output
    assert not any(is_alive(pid) for pid in launched.pids())


def test_simulation_killed_makes_the_controller_hold_and_returns_unnoticed(launch, observer):
    launched = launch("seed:=8", "respawn:=true")
    plans = observer.listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
    diagnostics = observer.listen(DiagnosticArray, "diagnostics", qos.STATUS)
    observer.wait_until(lambda: plans and plans[-1].points, "a plan", 60.0)
    controller, simulation = launched.pid_of("mpc"), launched.pid_of("sim")
    os.kill(simulation, signal.SIGKILL)
    killed = time.monotonic()
    observer.wait_until(lambda: not plans[-1].points, "the hold", 5.0)
    assert time.monotonic() - killed < 0.5 + 0.1 + 0.6  # timeout, period, slack of a busy machine
    observer.wait_until(
        lambda: any("no image for" in d.status[0].message for d in diagnostics), "the reason", 5.0
    )
    observer.wait_until(lambda: plans[-1].points, "plans for the restarted simulation", 30.0)
    assert launched.pid_of("sim") != simulation
    assert launched.pid_of("mpc") == controller
    assert is_alive(controller)


def test_controller_killed_leaves_the_robot_standing_within_the_watchdog(launch, observer):
    launched = launch("seed:=8", "respawn:=true")
    odometry = observer.listen(Odometry, "odom", qos.SENSOR_DATA)
    observer.wait_until(lambda: odometry and is_moving(odometry[-1]), "motion", 60.0)
    # Stopped, not killed: nobody restarts it, as nobody would on a robot.
    os.kill(launched.pid_of("mpc"), signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        observer.wait_until(lambda: not is_moving(odometry[-1]), "standing still", 5.0)
        assert time.monotonic() - stopped < 1.0 + 0.1 + 0.6  # plan_timeout, period, slack
        seen = len(odometry)
        observer.wait_until(lambda: len(odometry) > seen + 5, "more odometry")
        assert not any(is_moving(message) for message in odometry[seen:])
    finally:
        os.kill(launched.pid_of("mpc"), signal.SIGCONT)


def test_unknown_task_ends_with_an_error_that_names_it(launch):
    launched = launch("task:=no_such_task")
    assert launched.wait(60.0) != 0
    assert "no_such_task" in launched.output


def test_show_args_explains_every_argument():
    result = subprocess.run(
        ["ros2", "launch", "wm_mpc", "sim.launch.py", "--show-args"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0
    for name in ("task", "planner", "episodes", "lockstep", "gui", "seed", "model", "params_file"):
        assert f"'{name}'" in result.stdout
