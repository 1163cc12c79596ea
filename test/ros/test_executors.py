"""Urgent callbacks and all others of a node: who runs them, and that nobody waits for the other."""

from __future__ import annotations

import sys
import threading

import pytest
import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from std_msgs.msg import Int32

from wm_mpc.ros import qos
from wm_mpc.ros.executors import UrgentCallbackGroup
from wm_mpc.ros.running import spinning

pytestmark = pytest.mark.ros


@pytest.fixture
def node(observer):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=observer.domain_id)
    node = rclpy.create_node("subject", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


class Heard:
    """A subscription of the node, its numbers, and the threads that brought them."""

    def __init__(self, node, observer, topic, group=None):
        self.numbers, self.threads, self.may_go_on = [], set(), threading.Event()
        self.may_go_on.set()
        self.subscription = node.create_subscription(
            Int32, topic, self._on_number, qos.ALL_PLANS, callback_group=group
        )
        self._publisher = observer.node.create_publisher(Int32, topic, qos.ALL_PLANS)
        self._wait_until = observer.wait_until
        observer.wait_until(lambda: self._publisher.get_subscription_count() == 1, topic)

    def _on_number(self, message):
        self.threads.add(threading.current_thread().name)
        self.may_go_on.wait(10.0)
        self.numbers.append(message.data)

    def say(self, number):
        self._publisher.publish(Int32(data=number))

    def hears(self, number):
        self.say(number)
        self._wait_until(lambda: self.numbers and self.numbers[-1] == number, f"{number}")


@pytest.mark.parametrize("is_urgent_slow", [False, True])
def test_neither_kind_waits_for_the_other(node, observer, is_urgent_slow):
    urgent = Heard(node, observer, "urgent", UrgentCallbackGroup())
    patient = Heard(node, observer, "patient", ReentrantCallbackGroup())
    slow, quick = (urgent, patient) if is_urgent_slow else (patient, urgent)
    with spinning(node):
        slow.may_go_on.clear()
        slow.say(1)
        observer.wait_until(lambda: slow.threads, "the slow callback")
        for number in range(3):
            quick.hears(number)
        assert slow.numbers == []
        slow.may_go_on.set()
        slow.hears(2)
    assert slow.numbers == [1, 2]
    assert urgent.threads == {"subject urgent callbacks"}
    assert patient.threads == {"subject callbacks"}


@pytest.mark.parametrize("group", [None, UrgentCallbackGroup()], ids=["patient", "urgent"])
def test_topics_come_and_go_while_callbacks_run(node, observer, group):
    with spinning(node) as ended:
        for number in range(5):
            heard = Heard(node, observer, f"topic_{number}", group)
            heard.hears(number)
            node.destroy_subscription(heard.subscription)
        assert not ended()


@pytest.mark.parametrize("group", [None, UrgentCallbackGroup()], ids=["patient", "urgent"])
def test_a_fault_in_a_callback_ends_all_and_is_raised(node, observer, group):
    heard = Heard(node, observer, "topic", group)
    heard.numbers = None  # the callback cannot append to it
    running = spinning(node)
    ended = running.__enter__()
    heard.say(1)
    observer.wait_until(ended, "the end")
    with pytest.raises(AttributeError, match="append"):
        running.__exit__(None, None, None)


def test_the_end_comes_at_once_though_topics_go_right_before_it(node):
    """Then both executors are collecting what there is. Threads change often, so that it shows."""
    group, before = UrgentCallbackGroup(), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(400):
            with spinning(node):
                subscriptions = [
                    node.create_subscription(
                        Int32, f"t{k}", id, 1, callback_group=group if k else None
                    )
                    for k in range(3)
                ]
                for subscription in subscriptions:
                    node.destroy_subscription(subscription)
    finally:
        sys.setswitchinterval(before)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("subject")]
