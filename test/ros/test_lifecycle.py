"""A node that is managed from outside answers each request, whether it fits its state or not."""

from __future__ import annotations

import gc
import threading

import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_srvs.srv import Trigger

from wm_mpc.ros.lifecycle import ManagedNode, reported
from wm_mpc.ros.running import spinning

pytestmark = pytest.mark.ros
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4
FITTING = {
    "unconfigured": {CONFIGURE, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN},
    "inactive": {CLEANUP, ACTIVATE, Transition.TRANSITION_INACTIVE_SHUTDOWN},
    "active": {DEACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN},
    "finalized": set(),
}
WAY = {
    "unconfigured": [],
    "inactive": [CONFIGURE],
    "active": [CONFIGURE, ACTIVATE],
    "finalized": [Transition.TRANSITION_UNCONFIGURED_SHUTDOWN],
}
IDS = (*range(12), 50, 99, 255)


class Node(ManagedNode):
    """Does nothing in its transitions but notice that two overlap, or raise when told to."""

    def __init__(self, **options):
        super().__init__("managed", **options)
        self.fails, self.inside, self.overlaps = False, 0, 0
        self.pause = threading.Event()

    @reported
    def on_configure(self, state):
        self.inside += 1
        self.overlaps += self.inside > 1
        self.pause.wait(0.01)
        self.inside -= 1
        if self.fails:
            raise ValueError("on purpose")
        return super().on_configure(state)

    on_cleanup = on_configure


@pytest.fixture
def node(observer):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=observer.domain_id)
    node = Node(context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def ask(node, number, label=""):
    """The answer of the service's callback, as a client would get it."""
    request = ChangeState.Request()
    request.transition.id, request.transition.label = number, label
    return node._on_change_state(request, ChangeState.Response()).success


@pytest.mark.parametrize("state", FITTING)
def test_a_request_that_does_not_fit_is_refused_and_changes_nothing(node, state):
    for number in WAY[state]:
        assert ask(node, number)
    assert node.state == state
    for number in IDS:
        if number not in FITTING[state]:
            assert not ask(node, number), number
            assert node.state == state
    assert not ask(node, 1, "transmogrify")
    assert node.state == state


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active"])
def test_shutdown_comes_from_every_state_by_name_and_only_once(node, state):
    for number in WAY[state]:
        assert ask(node, number)
    assert ask(node, 0, "shutdown")
    assert node.state == "finalized"
    assert not ask(node, 0, "shutdown")


def test_what_a_transition_raises_is_reported_and_the_node_can_be_configured_again(node):
    node.fails = True
    assert not ask(node, CONFIGURE)
    assert node.state == "unconfigured"
    assert "transition on_configure: ValueError: on purpose" in node.callback_errors.last
    node.fails = False
    assert ask(node, CONFIGURE)
    assert node.state == "inactive"


def test_transitions_of_several_threads_come_one_after_another(node):
    answers = []

    def work(number):
        answers.extend(ask(node, number) for _ in range(20))

    threads = [threading.Thread(target=work, args=[n]) for n in (CONFIGURE, CLEANUP) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert node.overlaps == 0
    assert any(answers)
    assert not all(answers)
    assert node.callback_errors.count == 0


def test_a_client_is_answered_and_the_node_lives_on(node, observer):
    request = ChangeState.Request()
    with spinning(node) as ended:
        node.create_service(Trigger, "~/alive", lambda request, response: response)
        for number, success in ((ACTIVATE, False), (99, False), (CONFIGURE, True)):
            request.transition.id = number
            answer = observer.call(ChangeState, "managed/change_state", request)
            assert answer.success == success, number
        observer.call(Trigger, "managed/alive")
        assert not ended()


def test_a_destroyed_node_leaves_the_graph_without_a_garbage_collection(observer):
    def services():
        return observer.node.count_services("managed/change_state")

    gc.disable()
    try:
        for _ in range(3):
            context = rclpy.Context()
            rclpy.init(context=context, domain_id=observer.domain_id)
            node = Node(context=context)
            observer.wait_until(lambda: services() == 1, "the service")
            node.destroy_node()
            context.try_shutdown()
            observer.wait_until(lambda: services() == 0, "the service's end")
            assert node.state == "finalized"
    finally:
        gc.enable()
