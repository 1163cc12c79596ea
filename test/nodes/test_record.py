"""The node `record` over the real middleware, and what `import_bag` makes of its recordings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image
from std_msgs.msg import Empty
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.cli import import_bag
from wm_mpc.data.bag import Bag
from wm_mpc.data.episodes import Dataset
from wm_mpc.ros import qos
from wm_mpc.ros.messages import actions_to_trajectory, rgb_to_image, state_to_odometry
from wm_mpc.ros.timing import to_stamp
from wm_mpc.spec import ActionSpec

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]
PERIOD = 100_000_000  # ns
SPEC = ActionSpec(("vx", "vy"), "velocity", "m/s", (-1.0, -1.0), (1.0, 1.0))


@pytest.fixture
def record(domain_id, tmp_path):
    """Start the node as a process of its own."""
    processes = []

    def start(*arguments):
        environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain_id),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, "-m", "wm_mpc.nodes.tools.record", *arguments]
        processes.append(
            subprocess.Popen(
                command, cwd=tmp_path, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def stop(process):
    """Ctrl-C; the exit code and what it said."""
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def test_what_was_recorded_is_imported_with_the_same_numbers(
    observer, record, tmp_path, monkeypatch
):
    node = observer.node
    image = node.create_publisher(Image, "camera/image_raw", qos.SENSOR_DATA)
    state = node.create_publisher(Odometry, "odom", qos.ROBOT_STATE)
    plan = node.create_publisher(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
    process = record("--output", "bag", "/camera/image_raw", "/odom", "/planned_actions", "/nobody")
    publishers = (image, state, plan)
    observer.wait_until(
        lambda: all(p.get_subscription_count() for p in publishers), "the recorder", 30.0
    )

    rng = np.random.default_rng(0)
    steps = 24
    actions = rng.uniform(-1, 1, (steps, 2))
    speeds = rng.uniform(-1, 1, (steps + 1, 2)).astype(np.float32)
    pictures = rng.integers(0, 255, (steps + 1, 32, 32, 3), np.uint8)
    heard = [observer.listen(Odometry, "odom", qos.ROBOT_STATE)]
    # Ahead of time, so that plans are there before they begin, as those of `mpc` are.
    begin = node.get_clock().now().nanoseconds + 20 * PERIOD
    for k in range(steps + 1):
        stamp = to_stamp(begin + k * PERIOD)
        if k < steps:
            rest_of_plan = np.concatenate([actions[k : k + 1], np.full((3, 2), 0.99)])
            plan.publish(actions_to_trajectory(rest_of_plan, SPEC, PERIOD / 1e9, stamp))
        values = dict(zip(("vx", "vy"), speeds[k].tolist(), strict=True))
        state.publish(state_to_odometry(values, stamp))
        image.publish(rgb_to_image(pictures[k], stamp))
        observer.wait_until(lambda k=k: len(heard[0]) > k, "its own state")
    code, out, _ = stop(process)
    assert code == 0
    assert "/camera/image_raw  sensor_msgs/msg/Image  25 messages" in out
    assert "/planned_actions  trajectory_msgs/msg/JointTrajectory  24 messages" in out
    assert "/nobody  nobody published it" in out

    monkeypatch.chdir(tmp_path)
    options = (
        "bag --dataset data --image-size 32x32 --action-low=-1,-1 --action-high=1,1 --frame-skip 2"
    )
    assert import_bag.main(options.split()) == 0
    (episode,) = Dataset("data")
    assert np.array_equal(episode.images, pictures)
    np.testing.assert_allclose(episode.states, speeds, atol=1e-6)
    np.testing.assert_allclose(episode.actions, actions, atol=1e-6)
    spec = Dataset("data").spec
    assert (spec.action.names, spec.control_period) == (("vx", "vy"), 0.1)


@pytest.mark.slow
def test_recording_ends_by_itself(observer, record, tmp_path):
    publisher = observer.node.create_publisher(Twist, "/cmd_vel", 10)
    process = record("--output", "bag", "--duration", "6", "/cmd_vel")
    observer.wait_until(publisher.get_subscription_count, "the recorder", 30.0)
    for k in range(5):
        message = Twist()
        message.linear.x = float(k)
        publisher.publish(message)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "/cmd_vel  geometry_msgs/msg/Twist  5 messages" in out
    with Bag(tmp_path / "bag") as bag:
        speeds = [item.message.linear.x for item in bag.messages(["/cmd_vel"])]
    assert speeds == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_what_was_latched_before_is_recorded(observer, record, tmp_path):
    publisher = observer.node.create_publisher(Empty, "/started", qos.LATCHED)
    publisher.publish(Empty())
    process = record("--output", "bag", "--duration", "4", "/started")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "/started  std_msgs/msg/Empty  1 messages" in out


def test_nothing_is_overwritten(record, tmp_path):
    (tmp_path / "bag").mkdir()
    process = record("--output", "bag", "/cmd_vel")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "record: cannot record to bag: bag exists already, not overwriting" in error


def test_a_recording_of_nothing_is_a_failure(record):
    process = record("--output", "bag", "--duration", "0.5", "/nobody")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "/nobody  nobody published it" in out


def test_without_rosbags_it_says_what_to_install(tmp_path):
    (tmp_path / "rosbags.py").write_text("raise ModuleNotFoundError(\"No module named 'rosbags'\")")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    result = subprocess.run(
        [sys.executable, "-m", "wm_mpc.nodes.tools.record", "--help"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == (
        "record: No module named 'rosbags'; install it: pip install rosbags"
    )
