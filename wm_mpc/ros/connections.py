"""Who cannot hear this node, and whom it cannot hear: topics on which two nodes meet and no message
passes, because their types or their qualities of service differ.

The middleware says nothing to a robot that stands still for such a reason. This looks at the graph,
at most once a second and never in a thread that plans.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from rclpy.duration import Duration, Infinite
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

# The middleware's own, or of no use to the robot.
_IGNORED = ("/rosout", "/parameter_events", "/clock", "/diagnostics")
# Nodes that only look on, such as `ros2 topic echo` and `ros2 bag record`: no robot moves by them.
_ONLOOKERS = re.compile(
    r"_.*|rosbag2.*|ros2bag.*|rviz.*|rqt.*|foxglove.*|rosbridge.*|plotjuggler.*|viewer|record"
)
_UNKNOWN = "_NODE_NAME_UNKNOWN_"  # of a node that was just discovered
_LOOKS = 2  # in a row that must find a fault: nodes that start up are seen one topic at a time


class Connections:
    """The topics of one node.

    Args:
        node: whose publishers and subscriptions are looked at.
        hint: gives advice (a short text, or none) for a topic on which subscribers want another
            type: called with the topic, our type and theirs.
    """

    def __init__(self, node: Any, hint: Callable[[str, str, str], str] = lambda *_: "") -> None:
        self._node, self._hint = node, hint
        self._seen: dict[str, int] = {}  # how many looks in a row have found a fault
        self._told: set[str] = set()
        self.faults: list[str] = []  # one sentence each; what the last looks found

    def look(
        self,
        unused: Collection[str] = (),
        single: Collection[str] = (),
        driven: Collection[str] = (),
    ) -> None:
        """Look at the graph, log what is new, and exchange `faults`.

        Args:
            unused: topics (as given to `create_publisher`) on which nothing is published at
                present, so that nobody misses it.
            single: topics that only one node may publish, for their messages do not mix.
            driven: topics on which this node moves the robot, so that nobody else may.
        """
        skipped = {self._node.resolve_topic_name(name) for name in unused} | set(_IGNORED)
        found: list[str] = []
        heard: dict[str, list[Any]] = {}
        for subscription in list(self._node.subscriptions):
            heard.setdefault(subscription.topic_name, []).append(subscription)
        for topic in heard.keys() - skipped:
            found += self._unheard(topic, heard[topic])
        for topic in {self._node.resolve_topic_name(name) for name in single} & heard.keys():
            found += self._mixed(topic, heard[topic])
        moving = {self._node.resolve_topic_name(name) for name in driven}
        for publisher in list(self._node.publishers):
            if publisher.topic_name not in skipped:
                found += self._unhearing(publisher)
                found += self._contested(publisher) if publisher.topic_name in moving else ()
        self._seen = {fault: self._seen.get(fault, 0) + 1 for fault in dict.fromkeys(found)}
        self.faults = [fault for fault, looks in self._seen.items() if looks >= _LOOKS]
        for fault in self.faults:
            if fault not in self._told:
                self._told.add(fault)
                self._node.get_logger().warning(fault)
        self._told &= set(self._seen)  # what has gone is said again when it comes back

    def _unheard(self, topic: str, subscriptions: list[Any]) -> Iterable[str]:
        """Publishers that none of our subscriptions to a topic can hear."""
        for other in self._others(self._node.get_publishers_info_by_topic(topic)):
            fitting = [s for s in subscriptions if type_name(s.msg_type) == other.topic_type]
            if not fitting:
                own = ", ".join(sorted({type_name(s.msg_type) for s in subscriptions}))
                yield (
                    f"{topic}: {_name(other)} publishes {other.topic_type}, but this node reads "
                    f"{own}: nothing of it is received"
                )
                continue
            reasons = [mismatch(other.qos_profile, s.qos_profile) for s in fitting]
            if all(reasons):
                yield (
                    f"{topic}: nothing is received from {_name(other)}, whose quality of service "
                    f"does not match: {reasons[0]}"
                )

    def _mixed(self, topic: str, subscriptions: list[Any]) -> Iterable[str]:
        """Publishers of a topic, where more than one is heard."""
        own = {type_name(subscription.msg_type) for subscription in subscriptions}
        endpoints = self._others(self._node.get_publishers_info_by_topic(topic))
        fitting = [each for each in endpoints if each.topic_type in own]
        names = sorted({_name(each) for each in fitting if each.node_name != _UNKNOWN})
        if len(names) > 1:
            yield (
                f"{topic}: {' and '.join(names)} publish it, and what they say does not mix; one "
                "may publish"
            )

    def _unhearing(self, publisher: Any) -> Iterable[str]:
        """Subscribers that cannot hear a publisher of ours."""
        topic, own = publisher.topic_name, type_name(publisher.msg_type)
        others = self._others(self._node.get_subscriptions_info_by_topic(topic))
        has_ears = any(
            other.topic_type == own and not _ONLOOKERS.fullmatch(other.node_name)
            for other in others
        )
        for other in others:
            if other.topic_type != own:
                if not (has_ears or _ONLOOKERS.fullmatch(other.node_name)):
                    hint = self._hint(topic, own, other.topic_type)
                    yield (
                        f"{topic}: {_name(other)} reads {other.topic_type}, but this node "
                        f"publishes {own}: nobody hears it{f'; {hint}' if hint else ''}"
                    )
            elif reason := mismatch(publisher.qos_profile, other.qos_profile):
                yield (
                    f"{topic}: {_name(other)} receives nothing, because its quality of service "
                    f"does not match: {reason}"
                )

    def _contested(self, publisher: Any) -> Iterable[str]:
        """Others that publish what a publisher of ours moves the robot with."""
        topic = publisher.topic_name
        endpoints = self._others(self._node.get_publishers_info_by_topic(topic))
        names = sorted({_name(each) for each in endpoints if each.node_name != _UNKNOWN})
        if names:
            yield (
                f"{topic}: this node and {' and '.join(names)} publish it, so both may move the "
                "robot at once; only one may (twist_mux, for example, chooses one)"
            )

    def _others(self, endpoints: Iterable[Any]) -> list[Any]:
        """Those that are not this node's own."""
        own = self._node.get_name(), self._node.get_namespace()
        return [e for e in endpoints if (e.node_name, e.node_namespace) != own]


def type_name(message_type: Any) -> str:
    """As the graph writes it, e.g. "sensor_msgs/msg/Image"."""
    package, kind, *_ = message_type.__module__.split(".")
    return f"{package}/{kind}/{message_type.__name__}"


def mismatch(offered: QoSProfile, requested: QoSProfile) -> str:
    """Which policies of a publisher and a subscription do not fit; empty when they do."""
    verdict, reason = qos_check_compatible(_comparable(offered), _comparable(requested))
    if verdict != QoSCompatibility.ERROR:
        return ""
    return str(reason).replace("ERROR: ", "").strip().rstrip(";")


def _comparable(profile: QoSProfile) -> QoSProfile:
    """The graph writes "infinite" where a node's own profile says "not specified"; rclpy takes the
    two for a mismatch."""
    never = Duration(nanoseconds=0)
    deadline, lease = (
        never if duration == Infinite else duration
        for duration in (profile.deadline, profile.liveliness_lease_duration)
    )
    return QoSProfile(
        depth=1,
        reliability=profile.reliability,
        durability=profile.durability,
        liveliness=profile.liveliness,
        deadline=deadline,
        liveliness_lease_duration=lease,
    )


def _name(endpoint: Any) -> str:
    if endpoint.node_name == _UNKNOWN:
        return "a node"
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
