"""A managed node that no request can end, whoever manages it.

rclpy's own raises when a request does not fit the node's state, drops what a transition raises, and
lets two transitions run at once where there is more than one thread. Here such a request is
refused, an error is reported, and transitions come one after another.

rclpy's own also stays in the graph after `destroy_node`, with its lifecycle services, until Python
collects garbage. Clients find those services, and nobody answers. Here they go with the node.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from lifecycle_msgs.srv import ChangeState
from rclpy.exceptions import InvalidHandle
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from wm_mpc.ros.callback_errors import CallbackErrors

_Node = TypeVar("_Node", bound="ManagedNode")
_Transition = Callable[[_Node, LifecycleState], TransitionCallbackReturn]


class ManagedNode(LifecycleNode):
    """See the module; arguments go to rclpy's node.

    Attributes:
        transitions: a lock that is held during each transition. Whoever holds it keeps the node in
            its state. It can be taken several times by one thread.
        callback_errors: what callbacks and transitions raised.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self.transitions = threading.RLock()
        super().__init__(name, **options)
        self.callback_errors = CallbackErrors(self)
        for service in self.services:
            if service.srv_type is ChangeState:
                self._change_state = service.callback
                service.callback = self._on_change_state

    @property
    def state(self) -> str:
        """The node's state, e.g. "inactive"; "activating" and the like during a transition;
        "finalized" once the node is destroyed."""
        try:
            with self._state_machine:
                return str(self._state_machine.current_state[1])
        except InvalidHandle:
            return "finalized"

    def start_up(self) -> bool:
        """Configure and activate, unless somebody was faster; whether it is active now."""
        with self.transitions:
            if self.state == "unconfigured":
                self.trigger_configure()
            if self.state == "inactive":
                self.trigger_activate()
            return self.state == "active"

    def destroy_node(self) -> None:
        """As rclpy's, and the lifecycle services leave the graph at once."""
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def _on_change_state(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        wanted = request.transition
        with self.transitions:
            fitting = {label: number for number, label, *_ in self._transitions()}
            fits = wanted.label in fitting if wanted.label else wanted.id in fitting.values()
            if fits:
                answer = self._change_state(request, response)
                assert isinstance(answer, ChangeState.Response)
                return answer
        accepted = ", ".join(f"{label} ({number})" for label, number in fitting.items())
        self.get_logger().warning(
            f"lifecycle request refused: transition {wanted.label or wanted.id} does not fit the "
            f"state {self.state}; accepted: {accepted or 'none'}"
        )
        response.success = False
        return response

    def _transitions(self) -> list[tuple[Any, ...]]:
        """(id, label, ...) of those that fit the present state."""
        return list(self._state_machine.available_transitions)


def reported(transition: _Transition[_Node]) -> _Transition[_Node]:
    """Decorator of an `on_...` method: what it raises is reported and makes the transition fail."""

    @functools.wraps(transition)
    def wrapped(node: _Node, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            node.callback_errors.caught(f"transition {transition.__name__}", error)
            return TransitionCallbackReturn.ERROR

    return wrapped
