"""Nodes that meet on a topic and cannot hear each other are named, with the reason."""

from __future__ import annotations

import contextlib

import pytest
import rclpy
from geometry_msgs.msg import Twist, TwistStamped
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from wm_mpc.ros import qos
from wm_mpc.ros.connections import Connections

pytestmark = pytest.mark.ros


@pytest.fixture
def node(observer):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=observer.domain_id)
    node = rclpy.create_node("subject", namespace="/left", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def connections(node):
    return Connections(node, lambda topic, own, theirs: f"try {theirs.rpartition('/')[2]}")


def fault(observer, connections, unused=()):
    """The one fault that is found, as soon as it is."""

    def look():
        connections.look(unused)
        # The name of a node that was just discovered comes a moment later.
        return [found for found in connections.faults if "/observer" in found]

    observer.wait_until(look, "a fault")
    (found,) = connections.faults
    return found


def is_well(observer, connections, unused=()):
    """Whether some looks in a row find no fault."""
    looks = []

    def look():
        connections.look(unused)
        looks.append(connections.faults)
        return len(looks) > 5 and not any(looks[-4:])

    return observer.wait_until(look, "no fault")


def test_a_subscriber_of_another_type_is_named_with_advice(node, observer, connections):
    node.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)
    observer.node.create_subscription(Twist, "/left/cmd_vel", id, 10)
    assert fault(observer, connections) == (
        "/left/cmd_vel: /observer reads geometry_msgs/msg/Twist, but this node publishes "
        "geometry_msgs/msg/TwistStamped: nobody hears it; try Twist"
    )
    assert is_well(observer, connections, unused=["cmd_vel"])


def test_one_that_hears_is_enough(node, observer, connections):
    publisher = node.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)
    observer.node.create_subscription(TwistStamped, "/left/cmd_vel", id, 10)
    observer.wait_until(publisher.get_subscription_count, "the connection")
    # Of one participant, all endpoints of a topic have one type.
    with contextlib.closing(type(observer)(observer.domain_id)) as other:
        other.node.create_subscription(Twist, "/left/cmd_vel", id, 10)
        observer.wait_until(lambda: node.count_subscribers("cmd_vel") == 2, "the other")
        assert is_well(observer, connections)


def test_a_publisher_of_another_type_is_named(node, observer, connections):
    node.create_subscription(Image, "camera", id, qos.SENSOR_DATA)
    observer.node.create_publisher(CompressedImage, "/left/camera", 10)
    found = fault(observer, connections)
    assert found.startswith("/left/camera: /observer publishes sensor_msgs/msg/CompressedImage")
    assert "this node reads sensor_msgs/msg/Image" in found


@pytest.mark.parametrize(
    ("offered", "requested", "policy"),
    [
        (qos.SENSOR_DATA, qos.STATUS, "Best effort publisher and reliable subscription"),
        (qos.STATUS, qos.LATCHED, "Volatile publisher and transient local subscription"),
    ],
)
@pytest.mark.parametrize("is_ours", ["publisher", "subscription"])
def test_qualities_of_service_that_do_not_match_are_named(
    node, observer, connections, offered, requested, policy, is_ours
):
    ours, theirs = (node, observer.node) if is_ours == "publisher" else (observer.node, node)
    ours.create_publisher(String, "/topic", offered)
    theirs.create_subscription(String, "/topic", id, requested)
    found = fault(observer, connections)
    assert found.startswith("/topic: ")
    assert "/observer" in found
    assert policy in found


def test_a_fault_is_logged_once_and_again_when_it_came_back(
    node, observer, connections, monkeypatch
):
    logged = []
    monkeypatch.setattr(node, "get_logger", lambda: Log(logged))
    node.create_subscription(Image, "camera", id, qos.SENSOR_DATA)
    for round_ in (1, 2):
        wrong = observer.node.create_publisher(CompressedImage, "/left/camera", 10)
        fault(observer, connections)
        connections.look()
        assert len([line for line in logged if "/observer" in line]) == round_
        observer.node.destroy_publisher(wrong)
        assert is_well(observer, connections)


@pytest.mark.parametrize("profile", [*qos.GOALS, qos.SENSOR_DATA, qos.STATUS])
def test_of_several_subscriptions_to_a_topic_one_that_hears_is_enough(
    node, observer, connections, profile
):
    for own in qos.GOALS:
        node.create_subscription(Image, "goal/image", id, own)
    observer.node.create_publisher(Image, "/left/goal/image", profile)
    observer.wait_until(lambda: node.count_publishers("goal/image") == 1, "the publisher")
    assert is_well(observer, connections)


def test_several_subscriptions_none_of_which_hears_are_one_fault(node, observer, connections):
    for own in qos.GOALS[:2]:  # both reliable
        node.create_subscription(Image, "goal/image", id, own)
    observer.node.create_publisher(Image, "/left/goal/image", qos.SENSOR_DATA)
    assert "Best effort publisher" in fault(observer, connections)


class Log:
    def __init__(self, lines):
        self.warning = lines.append


def test_own_topics_and_those_that_match_are_well(node, observer, connections):
    node.create_subscription(Image, "camera", id, qos.SENSOR_DATA)
    node.create_publisher(String, "plans", qos.LATCHED)
    node.create_subscription(String, "plans", id, qos.STATUS)
    observer.node.create_publisher(Image, "/left/camera", qos.ROBOT_STATE)
    observer.node.create_subscription(String, "/left/plans", id, qos.LATCHED)
    observer.wait_until(lambda: node.count_publishers("camera") == 1, "the camera")
    assert is_well(observer, connections)


@pytest.mark.parametrize("single", [("odom",), ()])
def test_two_nodes_that_publish_what_does_not_mix_are_named(node, observer, connections, single):
    node.create_subscription(String, "odom", id, qos.STATES)
    observer.node.create_publisher(String, "/left/odom", 10)
    with contextlib.closing(type(observer)(observer.domain_id)) as other:
        wheels = rclpy.create_node("wheels", context=other.context)
        wheels.create_publisher(String, "/left/odom", 10)
        observer.wait_until(lambda: node.count_publishers("odom") == 2, "both")

        def look():
            connections.look(single=single)
            return [found for found in connections.faults if "_UNKNOWN_" not in found]

        if single:
            (found,) = observer.wait_until(look, "the fault")
            assert found.startswith("/left/odom: /observer and /wheels publish it")
        else:
            for _ in range(5):
                assert not look()
        wheels.destroy_node()


def test_one_that_only_looks_on_is_not_enough(node, observer, connections):
    publisher = node.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)
    tool = rclpy.create_node("_ros2cli_42", context=observer.context)
    tool.create_subscription(TwistStamped, "/left/cmd_vel", id, 10)
    observer.wait_until(publisher.get_subscription_count, "the connection")
    with contextlib.closing(type(observer)(observer.domain_id)) as other:
        base = rclpy.create_node("base", context=other.context)
        base.create_subscription(Twist, "/left/cmd_vel", id, 10)

        def look():
            connections.look()
            return [found for found in connections.faults if "/base reads" in found]

        observer.wait_until(look, "the base")
        base.destroy_node()
    tool.destroy_node()


@pytest.mark.parametrize("driven", [("cmd_vel",), ()])
def test_another_node_that_moves_the_robot_is_named(node, observer, connections, driven):
    node.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)
    observer.node.create_subscription(TwistStamped, "/left/cmd_vel", id, 10)
    teleop = observer.node.create_publisher(TwistStamped, "/left/cmd_vel", 10)
    observer.wait_until(lambda: node.count_publishers("cmd_vel") == 2, "the other")

    def look():
        connections.look(driven=driven)
        return [found for found in connections.faults if "/observer publish it" in found]

    if not driven:
        assert not any(look() for _ in range(5))
        return
    (found,) = observer.wait_until(look, "the fault")
    assert found.startswith("/left/cmd_vel: this node and /observer publish it")
    connections.look(unused=driven, driven=driven)
    assert not connections.faults  # while the output is off
    observer.node.destroy_publisher(teleop)
