"""The real launch file, as a user starts it: `ros2 launch wm_mpc sim.launch.py ...`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros import qos

from ..conftest import Observer, free_domain
from ..nodes.viewer import conftest as viewer
from .conftest import Launched

LAUNCH_FILE = "sim.launch.py"
pytestmark = [
    pytest.mark.launch,
    pytest.mark.ros,
    pytest.mark.skipif(shutil.which("ros2") is None, reason="no ros2 command: run make setup"),
]
CHECKPOINT = Path(__file__).resolve().parents[2] / "checkpoints" / "wall.safetensors"
browser = viewer.browser  # the fixture
# On two idle cores it takes less than 3 s; this leaves room for slower ones.
PAGE = 10.0  # s
SUMMARY = re.compile(
    r"episodes (\d+)  success (\d+)  mean steps (\d+\.\d|n/a)  mean plan (\d+\.\d ms|n/a)"
)


@dataclasses.dataclass
class Robot:
    """A launch in real time, the pids of its nodes, and what they say."""

    observer: Observer
    launched: Launched
    plans: list[JointTrajectory]
    odometry: list[Odometry]
    diagnostics: list[DiagnosticArray]

    def pids(self):
        """Of all that runs."""
        return [pid for pid in self.launched.pids() if self.launched.is_alive(pid)]

    def wait_for_motion(self):
        self.observer.wait_until(
            lambda: (
                self.plans
                and self.plans[-1].points
                and self.odometry
                and is_moving(self.odometry[-1])
            ),
            "motion",
            60.0,
        )


@pytest.fixture(scope="module")
def start_robot():
    """Gives the robot that drives already, or starts one."""
    with contextlib.ExitStack() as stack:
        domain = stack.enter_context(contextlib.contextmanager(free_domain)())
        observer = stack.enter_context(contextlib.closing(Observer(domain)))
        listen = observer.listen
        heard = (
            listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS),
            listen(Odometry, "odom", qos.SENSOR_DATA),
            listen(DiagnosticArray, "diagnostics", qos.STATUS),
        )
        running = []

        def start():
            if not running or running[-1].launched.process.poll() is not None:
                for messages in heard:
                    messages.clear()
                launched = Launched(
                    domain, LAUNCH_FILE, "task:=wall", "seed:=8", "respawn:=true", "viewer:=true"
                )
                stack.callback(launched.close)
                running.append(Robot(observer, launched, *heard))
            return running[-1]

        yield start


@pytest.fixture
def robot(start_robot):
    """A robot that drives; the tests share it, and the last one ends it."""
    robot = start_robot()
    robot.wait_for_motion()
    return robot


def is_moving(odometry):
    velocity = odometry.twist.twist.linear
    return abs(velocity.x) + abs(velocity.y) > 1e-3


@pytest.mark.slow
def test_arm_pushes_the_block_by_default_and_everything_ends_with_its_episodes(launch, observer):
    """The viewer included."""
    launched = launch("lockstep:=true", "episodes:=3", "seed:=1", "viewer:=true")
    joints = observer.listen(JointState, "joint_states", qos.SENSOR_DATA)
    assert launched.wait(120.0) == 0, launched.output
    summary = SUMMARY.search(launched.output)
    assert summary, launched.output
    assert summary[1] == "3"
    assert int(summary[2]) >= 2
    assert {"panda_joint1", "tool_x"} <= set(joints[-1].name)
    assert len(launched.pids()) == 3, "sim, mpc and viewer"
    assert not any(launched.is_alive(pid) for pid in launched.pids())


@pytest.mark.slow
def test_a_node_that_dies_ends_the_launch_with_an_error(launch, observer):
    launched = launch("task:=wall", "seed:=8")
    odometry = observer.listen(Odometry, "odom", qos.SENSOR_DATA)
    observer.wait_until(lambda: odometry and launched.pid_of("mpc"), "the simulation", 60.0)
    os.kill(launched.pid_of("mpc"), signal.SIGKILL)
    assert launched.wait(40.0) != 0
    assert "mpc-2" in launched.output
    assert not any(launched.is_alive(pid) for pid in launched.pids())


@pytest.mark.timing
def test_controller_killed_leaves_the_robot_standing_within_the_watchdog(robot):
    # Stopped, not killed: nobody restarts it, as nobody would on a robot.
    odometry = robot.odometry
    os.kill(robot.launched.pid_of("mpc"), signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        robot.observer.wait_until(lambda: not is_moving(odometry[-1]), "standing still", 5.0)
        assert time.monotonic() - stopped < 1.0 + 0.1 + 0.6  # plan_timeout, period, slack
        seen = len(odometry)
        robot.observer.wait_until(lambda: len(odometry) > seen + 5, "more odometry")
        assert not any(is_moving(message) for message in odometry[seen:])
    finally:
        os.kill(robot.launched.pid_of("mpc"), signal.SIGCONT)


@pytest.mark.timing
def test_simulation_killed_makes_the_controller_hold_and_returns_unnoticed(robot):
    launched, plans, wait_until = robot.launched, robot.plans, robot.observer.wait_until
    controller, simulation = launched.pid_of("mpc"), launched.pid_of("sim")
    said = len(robot.diagnostics)
    os.kill(simulation, signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: not plans[-1].points, "the hold", 5.0)
    assert time.monotonic() - killed < 0.5 + 0.1 + 0.6  # timeout, period, slack of a busy machine
    wait_until(
        lambda: any("no image for" in d.status[0].message for d in robot.diagnostics[said:]),
        "the reason",
        5.0,
    )
    wait_until(lambda: plans[-1].points, "plans for the restarted simulation", 30.0)
    assert launched.pid_of("sim") != simulation
    assert launched.pid_of("mpc") == controller
    assert launched.is_alive(controller)


@pytest.mark.timing
@pytest.mark.slow
def test_the_page_of_the_viewer_is_there_soon(robot, browser):
    """One page at a time: a browser without a graphics card draws them on the processor."""
    opened = re.search(r"viewer: open (http://\S+) in a browser", robot.launched.output)
    assert opened, robot.launched.output
    with contextlib.closing(viewer.Tab(browser, opened[1])):
        pass  # the browser has read it once
    with contextlib.closing(viewer.Tab(browser, opened[1], sharpness=1.0)) as again:
        assert again.seconds < PAGE, f"{again.seconds:.1f} s"
        assert again.page.title() == "wm_mpc viewer"


@pytest.mark.timing
def test_interrupt_ends_everything_within_three_seconds(robot):
    """Last: it ends the robot of the tests before, and nothing is restarted."""
    launched, pids = robot.launched, robot.pids()
    assert len(pids) == 3, "sim, mpc and viewer"
    count = len(launched.pids())
    started = time.monotonic()
    launched.process.send_signal(signal.SIGINT)
    launched.wait(10.0)
    assert time.monotonic() - started < 3.0, launched.output
    assert not any(launched.is_alive(pid) for pid in pids)
    assert len(launched.pids()) == count
    assert "Traceback" not in launched.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("task:=wall", "model:=/nope.safetensors"), "model is '/nope.safetensors'; there is no"),
        (("task:=push_t", "model:=wall"), "model 'wall' is of task wall, task is push_t"),
        (("task:=wal",), "task is 'wal'; did you mean wall?; accepted: granular, maze"),
        (("planner:=adamm",), "planner is 'adamm'; did you mean adam?; accepted: adam, cem"),
        (("params_file:=/nope.yaml",), "params_file is '/nope.yaml'; there is no such file"),
        (("tsak:=wall",), "there is no launch argument tsak; did you mean task?"),
    ],
)
def test_an_argument_that_does_not_fit_ends_the_launch_before_a_node_starts(
    launch, arguments, says
):
    launched = launch(*arguments)
    assert launched.wait() != 0
    assert says in launched.output
    assert not launched.pids()


@pytest.mark.slow
def test_a_controller_that_cannot_start_ends_a_run_of_some_episodes(launch, tmp_path):
    """A file with a good header and nothing behind it passes the launch file, not the node."""
    size = int.from_bytes((shipped := CHECKPOINT.read_bytes())[:8], "little")
    path = tmp_path / "cut.safetensors"
    path.write_bytes(shipped[: 8 + size])
    launched = launch("task:=wall", f"model:={path}", "episodes:=1", "lockstep:=true")
    assert launched.wait() != 0
    assert "cannot configure" in launched.output
    assert "ros2 lifecycle set /mpc configure" in launched.output
    assert "mpc-2 died with exit code 1" in launched.output


def test_show_args_explains_every_argument():
    result = subprocess.run(
        ["ros2", "launch", "wm_mpc", "sim.launch.py", "--show-args"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0
    for name in ("task", "planner", "episodes", "lockstep", "gui", "seed", "model", "params_file"):
        assert f"'{name}'" in result.stdout
