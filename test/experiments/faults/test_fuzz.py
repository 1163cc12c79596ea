"""Messages that make no sense, on everything the nodes listen to: none ends a node, none moves the
robot beyond its limits, and afterwards it works as before.
"""

from __future__ import annotations

import array
import contextlib
import math
import random
import time

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros import qos

from ...nodes.running import RunningMpc
from ...nodes.running_sim import RunningSim
from ...nodes.test_mpc import SPEC, velocities

pytestmark = pytest.mark.ros
EXAMPLES = settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    phases=[Phase.generate],  # what nodes have been through cannot be taken back to shrink it
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, math.nan, math.inf, -math.inf)
TEXTS = ("", "rgb8", "bgr8", "mono8", "16UC1", "vx", "vy", "odom", "jpeg", "\x00", "ü" * 300, "/")


def fill(message, rng, depth=0):
    """A message with random numbers, texts, sequences and bytes in every field."""
    for field, kind in message.get_fields_and_field_types().items():
        with contextlib.suppress(AssertionError):  # rclpy refuses to hold it
            setattr(message, field, _value(getattr(message, field), kind, rng, depth))
    return message


def _value(present, kind, rng, depth):
    if hasattr(present, "get_fields_and_field_types"):
        return fill(present, rng, depth + 1)
    if isinstance(present, str):
        return rng.choice(TEXTS)
    if isinstance(present, bool):
        return rng.random() < 0.5
    if isinstance(present, float):
        return rng.choice(NUMBERS)
    if isinstance(present, int):
        bits, is_signed = int("".join(filter(str.isdigit, kind))), kind.startswith("i")
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
        return max(low, min(high, rng.choice((0, 1, 2, 64, 192, 255, 2**31 - 1, 2**32 - 1, -1))))
    if isinstance(present, np.ndarray):
        return np.array([rng.choice(NUMBERS) for _ in present])
    count = rng.choice((0, 1, 2, 3, 64))
    if "uint8" in kind:
        head = rng.choice((b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"))
        return array.array("B", head + rng.randbytes(rng.choice((0, 1, 100, 12288))))
    if "double" in kind or "float" in kind:
        return array.array("d", [rng.choice(NUMBERS) for _ in range(count)])
    if "string" in kind:
        return [rng.choice(TEXTS) for _ in range(count)]
    if "JointTrajectoryPoint" in kind:
        from trajectory_msgs.msg import JointTrajectoryPoint

        return [fill(JointTrajectoryPoint(), rng, depth + 1) for _ in range(min(count, 3))]
    return present


def plausible(message, now, rng):
    """Half of them get a stamp of now, so that what is behind it is looked at, too."""
    if rng.random() < 0.5 and hasattr(message, "header"):
        message.header.stamp = now
    if isinstance(message, Image) and rng.random() < 0.5:
        message.height = message.width = rng.choice((63, 64, 65, 128))
        message.encoding = rng.choice(("rgb8", "mono8", "rgba8"))
        message.step = rng.choice((0, 64, 192, 193, 2**32 - 1))
        message.data = array.array("B", rng.randbytes(rng.choice((0, 12287, 12288, 12289))))
    if isinstance(message, JointTrajectory) and rng.random() < 0.5:
        message.joint_names = list(SPEC.action.names)
    return message


def attack(observer, topics, check):
    """Publishes random messages on topics: (type, name, quality of service)."""
    publishers = [
        (kind, observer.node.create_publisher(kind, name, profile))
        for kind, name, profile in topics
    ]
    time.sleep(1.0)  # until they are connected

    @EXAMPLES
    @given(st.integers(0, 2**32 - 1))
    def publish(seed):
        rng = random.Random(seed)
        for kind, publisher in publishers:
            now = observer.node.get_clock().now().to_msg()
            publisher.publish(plausible(fill(kind(), rng), now, rng))
        time.sleep(0.02)
        check()

    publish()
    for _, publisher in publishers:
        observer.node.destroy_publisher(publisher)


def assert_inside(plans):
    for plan in plans:
        if plan.points:
            actions = velocities(plan)
            assert np.isfinite(actions).all()
            assert (actions >= SPEC.action.low).all()
            assert (actions <= SPEC.action.high).all()


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_mpc_survives_whatever_comes(observer, transport):
    image = (Image, "camera/image_raw", qos.SENSOR_DATA)
    if transport == "compressed":
        image = (CompressedImage, "camera/image_raw/compressed", qos.SENSOR_DATA)
    topics = [
        image,
        (Odometry, "odom", qos.ROBOT_STATE),
        (Image, "goal/image", qos.LATCHED),
        (Odometry, "goal/state", qos.LATCHED),
        (Image, "goal/append/image", qos.APPENDED),
        (Odometry, "goal/append/state", qos.APPENDED),
        (String, "learner/checkpoint", qos.LATCHED),
        (JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS),
    ]
    with contextlib.closing(
        RunningMpc(observer, **{"image.transport": transport, "auto_reload": True})
    ) as mpc:
        if transport == "raw":
            mpc.start()

        def check():
            assert not mpc.failures, mpc.failures

        attack(observer, topics, check)
        time.sleep(1.5)  # until nobody else seems to plan for this robot
        mark = len(mpc.plans)
        if transport == "raw":
            good = Odometry()
            good.pose.pose.orientation.w = 1.0
            goal = observer.node.create_publisher(Odometry, "goal/state", qos.LATCHED)
            goal.publish(good)
            mpc.send_goal(mpc.goal)
            mpc.wait_until(lambda: mpc.plans[-1].points, "a plan after all that")
            assert_inside(mpc.plans[mark:])
        assert mpc.state() == "active"


def test_sim_survives_whatever_comes(observer):
    with contextlib.closing(RunningSim(observer)) as sim:
        sim.wait_until(lambda: sim.images, "an image")

        def check():
            assert not sim.failures, sim.failures

        attack(
            observer,
            [
                (JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS),
                (PoseStamped, "goal_pose", qos.COMMAND),
            ],
            check,
        )
        mark = len(sim.images)
        sim.wait_until(lambda: len(sim.images) > mark + 10, "images after all that")
        speeds = [(s.twist.twist.linear.x, s.twist.twist.linear.y) for s in sim.states]
        assert np.isfinite(speeds).all()
        assert np.abs(speeds).max() <= max(SPEC.action.high) + 0.05
