"""Urgent callbacks and all others of a node: who runs them, and that nobody waits for the other."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import serialize_message
from std_msgs.msg import Int32
from std_srvs.srv import Trigger

from wm_mpc.ros import qos
from wm_mpc.ros.executors import GuardedExecutor, UrgentCallbackGroup
from wm_mpc.ros.running import spinning
from wm_mpc.ros.status import TOPIC

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


def test_publishers_come_and_go_while_it_waits(node):
    """rclpy raises when what it is about to wait for has just been destroyed."""
    executor = GuardedExecutor(Errors(), node.context)
    executor.add_node(node)
    node.create_timer(0.001, lambda: None)
    ended = threading.Event()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns far more often
    try:
        with ThreadPoolExecutor(1) as pool:
            spun = pool.submit(lambda: [executor.spin_once(0.1) for _ in iter(ended.is_set, True)])
            for number in range(3000):
                other = node.create_publisher(Int32, f"other_{number % 7}", 1)
                node.destroy_publisher(other)
            ended.set()
            spun.result(5.0)
    finally:
        sys.setswitchinterval(usual)


@pytest.mark.parametrize("group", [None, UrgentCallbackGroup()], ids=["patient", "urgent"])
def test_a_callback_that_raises_loses_its_message_and_nothing_else(node, observer, group):
    heard = Heard(node, observer, "topic", group)
    statuses = observer.listen(DiagnosticArray, TOPIC, qos.STATUS)
    with spinning(node) as ended:
        numbers, heard.numbers = heard.numbers, None  # the callback cannot append to it
        heard.say(1)
        observer.wait_until(lambda: node.callback_errors.count == 1, "the error")
        heard.numbers = numbers
        heard.hears(2)
        assert not ended()
        observer.wait_until(lambda: statuses, "the status")
    assert heard.numbers == [2]
    status = statuses[0].status[0]
    assert (status.level, status.name) == (DiagnosticStatus.ERROR, "subject: callbacks")
    assert "topic /topic: AttributeError: 'NoneType'" in status.message


def test_timers_services_and_unreadable_messages_end_nothing_either(node, observer):
    heard = Heard(node, observer, "topic")

    def fail(*_):
        raise ValueError("on purpose")

    node.create_service(Trigger, "bad", fail)
    node.create_service(Trigger, "good", lambda request, response: response)
    client = observer.node.create_client(Trigger, "bad")
    publisher = observer.node.create_publisher(Int32, "topic", qos.ALL_PLANS)
    observer.wait_until(lambda: publisher.get_subscription_count() == 1, "topic")
    with spinning(node) as ended:
        timer = node.create_timer(0.01, fail)
        observer.wait_until(lambda: node.callback_errors.count >= 3, "errors of the timer")
        node.destroy_timer(timer)
        assert client.wait_for_service(timeout_sec=10.0)
        client.call_async(Trigger.Request())
        observer.wait_until(lambda: "service /bad" in node.callback_errors.last, "of the service")
        publisher.publish(serialize_message(Int32(data=7))[:6])
        observer.call(Trigger, "good")
        heard.hears(3)
        assert not ended()


class Unreadable:
    """What an executor runs, of which nothing can be read: rclpy leaves it, and all of its callback
    group, marked as busy."""

    def __init__(self, error):
        self._executor_event, self.callback_group = True, MutuallyExclusiveCallbackGroup()
        self.callback_group.add_entity(self)
        self.callback_group.beginning_execution(self)
        self.error = error


class Errors:
    def __init__(self):
        self.caught_errors = []

    def caught(self, where, error):
        self.caught_errors.append(error)


@pytest.mark.parametrize(
    ("error", "is_told"), [(RuntimeError("x"), True), (InvalidHandle(), False)]
)
def test_what_cannot_be_read_does_not_block_its_callback_group(node, error, is_told, monkeypatch):
    entity, errors = Unreadable(error), Errors()

    def found(*_, **__):
        return None, entity, None

    def once(executor, *_):
        executor.wait_for_ready_callbacks()
        raise error

    monkeypatch.setattr(SingleThreadedExecutor, "wait_for_ready_callbacks", found)
    monkeypatch.setattr(SingleThreadedExecutor, "spin_once", once)
    executor = GuardedExecutor(errors, node.context)
    executor.spin_once()
    assert not entity._executor_event
    assert entity.callback_group.can_execute(entity)
    assert errors.caught_errors == ([error] if is_told else [])


def test_what_goes_wrong_while_waiting_is_raised(node, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("of the middleware")

    monkeypatch.setattr(SingleThreadedExecutor, "wait_for_ready_callbacks", fail)
    with pytest.raises(RuntimeError, match="of the middleware"):
        GuardedExecutor(Errors(), node.context).spin_once()


@pytest.mark.slow
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


def test_a_process_that_ends_is_not_searched_for_garbage(domain_id):
    """With torch loaded that takes half a second, longer on a busy machine: part of every end."""
    code = (
        "import atexit, gc\n"
        "atexit.register(lambda: print('frozen', gc.get_freeze_count() > 1000))\n"
        "from rclpy.node import Node; from wm_mpc.ros.running import run\n"
        "run(lambda: Node('short'), lambda node, stopped: None, ['short'])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain_id)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "frozen True" in ended.stdout, ended.stderr
