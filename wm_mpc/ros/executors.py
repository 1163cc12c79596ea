"""Executors that share a node: what is urgent does not wait for all the rest.

Before rclpy waits, it collects whatever the node has (topics, services, timers, an event or two of
each), and again after every callback; for a node like `mpc` that takes longer than a message takes
from one process to another. An executor of few entities is as fast as the middleware.

rclpy's own `experimental.EventsExecutor` collects nothing, but ignores callback groups, and may
crash when a topic's publisher or subscription is destroyed (ros2/rclpy#1644, of Jazzy's).
"""

from __future__ import annotations

import time
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from wm_mpc.ros.callback_errors import CallbackErrors, name_of

_BRAKE = 0.001  # s after an error, so that endless errors leave time for the rest


class GuardedExecutor(SingleThreadedExecutor):
    """Goes on when a callback raises: the error is handed to `errors`, and what the callback was to
    handle is dropped. What goes wrong while it waits is raised, except that something was destroyed
    meanwhile."""

    def __init__(self, errors: CallbackErrors, context: Context) -> None:
        super().__init__(context=context)
        self._errors = errors
        self._taken: list[Any] = []  # what is being handled; empty while waiting

    def wait_for_ready_callbacks(self, *args: Any, **options: Any) -> Any:
        self._taken = []
        found: Any = super().wait_for_ready_callbacks(*args, **options)
        self._taken = [found[1]]
        return found

    def spin_once(self, timeout_sec: float | None = None) -> None:
        self._taken = []
        try:
            super().spin_once(timeout_sec)
        except Exception as error:
            if not self._taken:
                if not isinstance(error, InvalidHandle):
                    raise
                # Another thread has just destroyed what was to be waited for.
                time.sleep(_BRAKE)
                return
            entity = self._taken[0]
            is_unread = _release(entity)
            # An entity that another thread has just destroyed has nothing to say any more.
            if not (is_unread and isinstance(error, InvalidHandle)):
                self._errors.caught(name_of(entity), error)
                time.sleep(_BRAKE)


def _release(entity: Any) -> bool:
    """After an error: whether its message could not even be read. rclpy then leaves the entity and
    its callback group marked as busy for good."""
    if entity is None or not entity._executor_event:
        return False
    entity._executor_event = False
    entity.callback_group.ending_execution(entity)
    return True


class UrgentCallbackGroup(ReentrantCallbackGroup):
    """Subscriptions whose callbacks run as soon as possible, one after another in a thread other
    than the node's other callbacks. They must be short. Simulated time, as the node's clock tells
    it, may be a little behind them."""


class UrgentExecutor(GuardedExecutor):
    """Runs a node's urgent callbacks only. The node belongs to a `PatientExecutor`."""

    def __init__(self, node: Node, errors: CallbackErrors) -> None:
        super().__init__(errors, node.context)
        self._part = _UrgentPart(node)

    def get_nodes(self) -> list[Any]:
        return [self._part]


class _UrgentPart:
    """A node as an executor sees it, with its urgent subscriptions and their events only."""

    timers = clients = services = guards = ()

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def subscriptions(self) -> list[Any]:
        return [entity for entity in self._node.subscriptions if _is_urgent(entity)]

    @property
    def waitables(self) -> list[Any]:
        return [entity for entity in self._node.waitables if _is_urgent(entity)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)


class PatientExecutor(GuardedExecutor):
    """Runs all callbacks of a node but the urgent ones, and tells their executor when the node got
    or lost a subscription, a timer, ..."""

    def __init__(self, urgent: UrgentExecutor, errors: CallbackErrors) -> None:
        self._urgent = urgent
        super().__init__(errors, urgent.context)

    def wake(self) -> None:
        super().wake()
        self._urgent.wake()

    def can_execute(self, entity: Any) -> bool:
        return not _is_urgent(entity) and super().can_execute(entity)


def _is_urgent(entity: Any) -> bool:
    return isinstance(entity.callback_group, UrgentCallbackGroup)
