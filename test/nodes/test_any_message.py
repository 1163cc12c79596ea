"""Whatever comes on the topics of the node `mpc`, by the thousand: no callback raises, no step of
planning fails, nothing outside the limits leaves, and what was dropped is said. Without middleware.
"""

from __future__ import annotations

import array
import collections
import contextlib
import random
import time

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.parameter import Parameter

from ..conftest import mostly_slow
from .odd_messages import NUMBERS, odd, whole_picture

pytestmark = pytest.mark.ros


class Fed:
    """The real node, whose callbacks and planning steps are called by hand."""

    def __init__(self, domain_id, **parameters):
        from wm_mpc.nodes.mpc.node import Mpc

        context = rclpy.Context()
        rclpy.init(context=context, domain_id=domain_id)
        self._stack = contextlib.ExitStack()
        self._stack.callback(rclpy.shutdown, context=context)
        quick = {"planner.iterations": 1, "output.joint_trajectory": True}
        unmoved = {f"surprise.{name}": 0.0 for name in ("image", "slow", "hold")}
        self.node = Mpc(
            context=context,
            parameter_overrides=[
                Parameter(name, value=value)
                for name, value in {**quick, **unmoved, **parameters}.items()
            ],
        )
        self._stack.callback(self.node.destroy_node)
        assert self.node.trigger_configure().name == "SUCCESS"
        assert self.node.trigger_activate().name == "SUCCESS"
        self.session = self.node._session
        self.session._schedule.planned = lambda *_: 0  # steps come by hand
        self.spec = self.node._model.spec
        self.said = collections.Counter()
        self.sent = []
        self._publish = self.session._plans.publish
        self.session._plans.publish = self._note
        self.session._report = self._report
        self.subscriptions = {
            subscription.topic_name: subscription for subscription in self.node.subscriptions
        }
        self._write = 0

    def _note(self, stamp, actions, *more):
        self.sent.append(actions)
        return self._publish(stamp, actions, *more)

    def _report(self, level, code, message, *warnings):
        self.said[message.partition(":")[0]] += 1
        self.node._status.report(level, code, message, *warnings)

    def send(self, topic, message):
        subscription, self._write = self.subscriptions[topic], self._write + 1
        if subscription._callback_type.name == "WithMessageInfo":
            sent = time.time_ns() + self._write  # no two are alike
            subscription.callback(message, {"source_timestamp": sent})
        else:
            subscription.callback(message)

    def stamp(self):
        return self.node.get_clock().now().to_msg()

    def step(self):
        self.session.step(self.node._settings.values())

    def good(self, topic, rng):
        """A message that can be used."""
        message = self.subscriptions[topic].msg_type()  # type: ignore[operator]
        message.header.stamp = self.stamp()
        image = self.spec.image
        if hasattr(message, "name"):
            message.name = list(self.spec.state.names)
            message.position = [0.1 * rng.random() for _ in message.name]
        elif hasattr(message, "pose"):
            message.pose.pose.orientation.w = 1.0
        elif hasattr(message, "format"):
            pixels = np.full((image.height, image.width, 3), rng.randrange(256), np.uint8)
            message.data = array.array("B", cv2.imencode(".png", pixels)[1].tobytes())
        else:
            message.height, message.width, message.encoding = image.height, image.width, "rgb8"
            message.step = 3 * image.width
            message.data = array.array("B", rng.randbytes(image.height * message.step))
        return message

    def any(self, topic, rng):
        """A message that can probably not be used."""
        names = (*self.spec.state.names, *self.spec.action.names)
        message = odd(self.subscriptions[topic].msg_type, rng, texts=names)
        if hasattr(message, "header") and rng.random() < 0.6:
            message.header.stamp = self.stamp()
        if hasattr(message, "encoding") and rng.random() < 0.6:
            whole_picture(message, self.spec.image.height, self.spec.image.width, rng)
        if hasattr(message, "position") and rng.random() < 0.6:
            message.name = rng.sample(self.spec.state.names, len(self.spec.state.names))
            for field in ("position", "velocity", "effort"):
                setattr(message, field, [rng.choice(NUMBERS) for _ in message.name])
        return message

    def close(self):
        self._stack.close()


@pytest.fixture
def feed(domain_id):
    with contextlib.ExitStack() as stack:
        yield lambda **values: stack.enter_context(contextlib.closing(Fed(domain_id, **values)))


@pytest.mark.parametrize(
    ("checkpoint", "transport", "messages"),
    mostly_slow([("push_t", "raw", 400), ("wall", "raw", 1000), ("wall", "compressed", 400)]),
)
def test_no_message_on_any_topic_makes_a_callback_or_a_step_fail(
    feed, checkpoint, transport, messages
):
    fed = feed(checkpoint=checkpoint, **{"image.transport": transport})
    rng = random.Random(f"{checkpoint} {transport}")
    # Another node's plans make it hold, whatever is in them: they come last.
    topics = [t for t in fed.subscriptions if t not in ("/parameter_events", "/planned_actions")]
    stamped = [topic for topic in topics if topic != "/learner/checkpoint"]
    for number in range(messages):
        topic = rng.choice(topics)
        fed.send(topic, fed.any(topic, rng))
        if number % 4 == 0:
            for topic in rng.sample(stamped, len(stamped) // 2):
                fed.send(topic, fed.good(topic, rng))
            fed.step()
    for _ in range(100):
        fed.send("/planned_actions", fed.any("/planned_actions", rng))
    fed.step()
    assert fed.said.keys() <= {"planning", "planning, degraded", "holding"}
    assert not [text for text in fed.said if "fault" in text]
    assert fed.said["planning"] + fed.said["planning, degraded"] > messages / 20
    low, high = np.array(fed.spec.action.low), np.array(fed.spec.action.high)
    for actions in fed.sent:
        assert np.isfinite(actions).all()
        assert ((actions >= low) & (actions <= high)).all()
    assert fed.node.callback_errors.count == 0
    assert " on /goal/append/image" in fed.node.dropped.values()["messages dropped"]


@pytest.mark.parametrize(
    ("topic", "spoil", "reason"),
    [
        ("/odom", lambda m: setattr(m.twist.twist.linear, "x", 1e200), "odometry: vx is 1e+200"),
        ("/odom", lambda m: setattr(m.twist.twist.linear, "y", 1e39), "odometry: vy is 1e+39"),
        ("/goal/image", lambda m: setattr(m, "height", 3), "image is 3x64 rgb8"),
        ("/goal/state", lambda m: setattr(m.twist.twist.linear, "x", np.inf), "vx is inf"),
        ("/goal/append/image", lambda m: setattr(m, "height", 3), "image is 3x64 rgb8"),
        ("/goal/append/state", lambda m: setattr(m.twist.twist.linear, "x", np.nan), "vx is nan"),
    ],
)
def test_what_is_dropped_is_said_in_the_status_and_planning_goes_on(feed, topic, spoil, reason):
    fed, rng = feed(checkpoint="wall"), random.Random(0)
    published = []
    fed.node._status._publisher.publish = lambda *status: published.append(status)
    fed.send("/goal/image", fed.good("/goal/image", rng))

    def observe():
        for each in ("/odom", "/camera/image_raw"):
            fed.send(each, fed.good(each, rng))
        fed.step()
        fed.node._status.publish()
        return published[-1]

    level, message, values = observe()
    assert (level, message, values["messages dropped"]) == (0, "planning", "none")
    message = fed.good(topic, rng)
    spoil(message)
    fed.send(topic, message)
    level, message, values = observe()
    assert level == 1
    assert message.endswith(f"; a message on {topic} was dropped (see last dropped message)")
    assert message.startswith(
        "planning, degraded: goal refused: " if "goal" in topic else "planning;"
    )
    assert "warning.message_dropped" in values["warnings"]
    assert reason in values["last dropped message"]
    assert values["messages dropped"].startswith("1 on ")


def test_pictures_of_two_cameras_on_one_topic_are_said_in_the_status(feed):
    fed, rng = feed(checkpoint="wall"), random.Random(0)
    fed.send("/goal/image", fed.good("/goal/image", rng))
    for name in ("front", "wrist", "front"):
        image = fed.good("/camera/image_raw", rng)
        image.header.frame_id = name
        fed.send("/odom", fed.good("/odom", rng))
        fed.send("/camera/image_raw", image)
        fed.step()
    level, message = fed.node._status._now
    assert level == 1
    assert message.startswith("planning, degraded: images of several frames (2 of front, 1 of")
