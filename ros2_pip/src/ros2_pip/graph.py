"""The node the ``ros2`` command uses, and what it sees of the ROS graph.

There is no daemon that knows the graph already. So whoever looks for something waits until it
appears, and whoever lists things waits until everything must have appeared: a participant that
missed our first message is heard of with its next announcement, which it sends every 3 s.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import rclpy
from rclpy.node import Node
from rclpy.topic_or_service_is_hidden import topic_or_service_is_hidden

FIND_SECONDS = 5.0  # how long to look for something named
LIST_SECONDS = 3.3  # how long to look before a list is printed
QUIET_SECONDS = 0.3  # what one node has is complete when nothing has been added for so long
POLL_SECONDS = 0.02
HIDDEN_NODE_PREFIX = "_"

T = TypeVar("T")


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to look at the graph."""
    parser.add_argument(
        "--spin-time",
        type=float,
        help="Spin time in seconds to wait for discovery (default: until found, at most "
        f"{FIND_SECONDS:g}; {LIST_SECONDS:g} for lists)",
    )
    parser.add_argument(
        "-s", "--use-sim-time", action="store_true", help="Enable ROS simulation time"
    )
    parser.add_argument(
        "--no-daemon", action="store_true", help="Accepted, but always so: there is no daemon"
    )


@contextmanager
def cli_node(args: argparse.Namespace, name: str | None = None) -> Iterator[Node]:
    """Create the node of this command; its name is hidden unless given."""
    rclpy.init(args=[])
    args.looking_since = time.monotonic()
    try:
        node = rclpy.create_node(
            name or f"{HIDDEN_NODE_PREFIX}ros2cli_{os.getpid()}",
            start_parameter_services=False,
            parameter_overrides=[rclpy.parameter.Parameter("use_sim_time", value=True)]
            if getattr(args, "use_sim_time", False)
            else None,
        )
        try:
            yield node
        except RuntimeError:
            if not rclpy.ok():  # a signal shut us down in the middle of something
                raise KeyboardInterrupt from None
            raise
        finally:
            node.destroy_node()
    finally:
        rclpy.try_shutdown()


def wait_until(args: argparse.Namespace, look: Callable[[], T], seconds: float = FIND_SECONDS) -> T:
    """Return the first true result of ``look``, or its last result when time is up."""
    given = getattr(args, "spin_time", None)
    deadline = time.monotonic() + (seconds if given is None else given)
    while True:
        result = look()
        if result or time.monotonic() >= deadline or not rclpy.ok():
            return result
        time.sleep(POLL_SECONDS)


def wait_until_complete(args: argparse.Namespace, look: Callable[[], T]) -> T:
    """Return the result of ``look`` when all participants must be known."""
    given = getattr(args, "spin_time", None)
    deadline = args.looking_since + (LIST_SECONDS if given is None else given)
    time.sleep(max(0.0, deadline - time.monotonic()))
    return look()


def wait_until_quiet(look: Callable[[], T]) -> T:
    """Return the result of ``look`` once it has not changed for a moment."""
    result, changed = look(), time.monotonic()
    while time.monotonic() - changed < QUIET_SECONDS:
        time.sleep(POLL_SECONDS)
        newer = look()
        if newer != result:
            result, changed = newer, time.monotonic()
    return result


@dataclass(frozen=True, order=True)
class NodeName:
    """The name of a node in the graph."""

    name: str
    namespace: str

    @property
    def full_name(self) -> str:
        """Namespace and name."""
        return self.namespace.rstrip("/") + "/" + self.name

    @property
    def hidden(self) -> bool:
        """Whether the node hides from lists."""
        return self.name.startswith(HIDDEN_NODE_PREFIX)

    @classmethod
    def parse(cls, full_name: str) -> NodeName:
        """Split a full name."""
        namespace, _, name = full_name.rpartition("/")
        return cls(name, namespace or "/")


def absolute(name: str) -> str:
    """Return a node, topic or service name with its leading slash."""
    return name if name.startswith("/") else "/" + name


def node_names(node: Node, *, hidden: bool = False) -> list[NodeName]:
    """Return the nodes seen now, sorted."""
    found = [NodeName(name, namespace) for name, namespace in node.get_node_names_and_namespaces()]
    return sorted(
        (entry for entry in found if hidden or not entry.hidden),
        key=lambda entry: entry.full_name,
    )


def find_node(
    args: argparse.Namespace, node: Node, name: str, *, exact: bool = False
) -> NodeName | None:
    """Wait for the node of this name; None if it does not appear.

    exact: a name without its leading slash is none.
    """
    if exact and name != absolute(name):
        return None
    wanted = absolute(name)
    hidden = getattr(args, "include_hidden_nodes", False)

    def look() -> NodeName | None:
        found = node_names(node, hidden=hidden)
        return next((entry for entry in found if entry.full_name == wanted), None)

    return wait_until(args, look)


def topics(node: Node, *, hidden: bool = False) -> list[tuple[str, list[str]]]:
    """Return (name, types) of the topics seen now."""
    return [
        entry
        for entry in sorted(node.get_topic_names_and_types())
        if hidden or not topic_or_service_is_hidden(entry[0])
    ]


def services(node: Node, *, hidden: bool = False) -> list[tuple[str, list[str]]]:
    """Return (name, types) of the services seen now."""
    return [
        entry
        for entry in sorted(node.get_service_names_and_types())
        if hidden or not topic_or_service_is_hidden(entry[0])
    ]


def call_service(node: Node, service_type: type, name: str, request: object) -> Any:
    """Call a service and return its response; RuntimeError if it does not answer."""
    client = node.create_client(service_type, name)
    try:
        if not client.wait_for_service(timeout_sec=5.0):
            raise RuntimeError(f"Wait for service timed out: {name}")
        future = client.call_async(request)
        rclpy.spin_until_future_complete(node, future)
        if future.result() is None:
            raise RuntimeError(f"Exception while calling service '{name}': {future.exception()}")
        return future.result()
    finally:
        node.destroy_client(client)
