"""Executors that share a node: what is urgent does not wait for all the rest.

Before rclpy waits, it collects whatever the node has (topics, services, timers, an event or two of
each), and again after every callback; for a node like `mpc` that takes longer than a message takes
from one process to another. An executor of few entities is as fast as the middleware.

rclpy's own `experimental.EventsExecutor` collects nothing, but ignores callback groups, and may
crash when a topic's publisher or subscription is destroyed (ros2/rclpy#1644, of Jazzy's).
"""

from __future__ import annotations

from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node


class UrgentCallbackGroup(ReentrantCallbackGroup):
    """Subscriptions whose callbacks run as soon as possible, one after another in a thread other
    than the node's other callbacks. They must be short. Simulated time, as the node's clock tells
    it, may be a little behind them."""


class UrgentExecutor(SingleThreadedExecutor):
    """Runs a node's urgent callbacks only. The node belongs to a `PatientExecutor`."""

    def __init__(self, node: Node) -> None:
        super().__init__(context=node.context)
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


class PatientExecutor(SingleThreadedExecutor):
    """Runs all callbacks of a node but the urgent ones, and tells their executor when the node got
    or lost a subscription, a timer, ..."""

    def __init__(self, urgent: UrgentExecutor) -> None:
        self._urgent = urgent
        super().__init__(context=urgent.context)

    def wake(self) -> None:
        super().wake()
        self._urgent.wake()

    def can_execute(self, entity: Any) -> bool:
        return not _is_urgent(entity) and super().can_execute(entity)


def _is_urgent(entity: Any) -> bool:
    return isinstance(entity.callback_group, UrgentCallbackGroup)
