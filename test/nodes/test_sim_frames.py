"""What the node `sim` says of its robot's frames, on topics."""

from __future__ import annotations

import dataclasses
import sys
import types

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from std_msgs.msg import String

from wm_mpc.nodes.sim.frames import FramesPublisher, to_message
from wm_mpc.ros import qos
from wm_mpc.ros.timing import to_nanoseconds
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.frames import Transform, frames_of, turn_about
from wm_mpc.sim.tasks import make_task

pytestmark = pytest.mark.ros
NOW = 1_500_000_000  # ns


@dataclasses.dataclass
class TFMessage:
    """Stands in for `tf2_msgs/TFMessage`, which is not on PyPI: the same one field."""

    transforms: list[TransformStamped]


class Topics:
    """Stands in for a node, since the middleware cannot send a message that is not installed."""

    def __init__(self):
        self.sent, self.lines = {}, []

    def create_publisher(self, kind, topic, profile):
        sent = self.sent.setdefault(topic, [])
        return types.SimpleNamespace(publish=sent.append, kind=kind, profile=profile)

    def get_logger(self):
        return types.SimpleNamespace(info=self.lines.append)

    def get_clock(self):
        now = types.SimpleNamespace(nanoseconds=NOW)
        return types.SimpleNamespace(now=lambda: now)


@pytest.fixture
def tf2(monkeypatch):
    module = types.ModuleType("tf2_msgs.msg")
    module.TFMessage = TFMessage
    monkeypatch.setitem(sys.modules, "tf2_msgs", types.ModuleType("tf2_msgs"))
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", module)


@pytest.fixture
def no_tf2(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs", None)
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)


@pytest.fixture
def simulation(request):
    with simulate(make_task(getattr(request, "param", "wall"))) as simulation:
        simulation.reset(np.random.default_rng(1))
        yield simulation


@pytest.mark.parametrize("simulation", ["wall", "push_t"], indirect=True)
def test_every_frame_is_sent_either_once_or_with_each_observation(tf2, simulation):
    topics = Topics()
    publisher = FramesPublisher(topics, simulation)
    publisher.publish(NOW)
    publisher.publish(2 * NOW)
    (still,), moving = topics.sent["/tf_static"], topics.sent["/tf"]
    assert [to_nanoseconds(m.transforms[0].header.stamp) for m in moving] == [NOW, 2 * NOW]
    children = [t.child_frame_id for t in (*still.transforms, *moving[-1].transforms)]
    assert sorted(["world", *children]) == sorted(frames_of(simulation).names)


def test_base_is_sent_where_it_is(tf2, simulation):
    topics = Topics()
    FramesPublisher(topics, simulation).publish(NOW)
    (sent,) = topics.sent["/tf"][0].transforms
    assert (sent.header.frame_id, sent.child_frame_id) == ("odom", "base_link")
    place = sent.transform.translation
    np.testing.assert_allclose((place.x, place.y), simulation.task.pose())


def test_without_tf2_nothing_is_sent_and_that_is_said_once(no_tf2, simulation):
    topics = Topics()
    publisher = FramesPublisher(topics, simulation)
    for _ in range(3):
        publisher.publish(NOW)
    assert topics.sent == {}
    (line,) = topics.lines
    assert "tf2_msgs is not installed" in line


def test_transform_is_the_same_as_a_message():
    axes = turn_about(np.array([0.0, 0.0, 1.0]), np.pi / 2)
    sent = to_message(Transform("a", "b", np.array([1.0, 2.0, 3.0]), axes), NOW)
    place, turn = sent.transform.translation, sent.transform.rotation
    assert (sent.header.frame_id, sent.child_frame_id) == ("a", "b")
    assert (place.x, place.y, place.z) == (1.0, 2.0, 3.0)
    np.testing.assert_allclose((turn.x, turn.y, turn.z, turn.w), (0, 0, 0.5**0.5, 0.5**0.5))


def test_an_arm_is_described_to_those_that_come_late(sim_process, observer):
    sim_process(task="push_t")
    heard = observer.listen(String, "robot_description", qos.LATCHED)
    observer.wait_until(lambda: heard, "the description")
    assert 'link name="panda_link0"' in heard[0].data


def test_a_base_has_no_description(start_sim, observer):
    start_sim()
    assert observer.node.count_publishers("/robot_description") == 0
