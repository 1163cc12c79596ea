"""Various lifecycle related sub-commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rclpy.node import Node

from ..graph import (
    NodeName,
    absolute,
    add_graph_arguments,
    call_service,
    cli_node,
    services,
    wait_until,
    wait_until_complete,
)

GET_STATE = "lifecycle_msgs/srv/GetState"


def _managed_nodes(node: Node, *, hidden: bool) -> list[str]:
    """Return the full names of the nodes that can tell a lifecycle state, sorted."""
    names = [
        name.rpartition("/")[0]
        for name, types in services(node, hidden=True)
        if name.endswith("/get_state") and GET_STATE in types
    ]
    return [name for name in names if hidden or not NodeName.parse(name).hidden]


def _add_node_arguments(parser: argparse.ArgumentParser, **options: Any) -> None:
    add_graph_arguments(parser)
    parser.add_argument("node_name", help="Name of the ROS node", **options)
    parser.add_argument(
        "--include-hidden-nodes", action="store_true", help="Consider hidden nodes as well"
    )


def _with_managed_node(
    args: argparse.Namespace, work: Callable[[Node, str], str | int | None]
) -> str | int | None:
    target = absolute(args.node_name)
    with cli_node(args) as node:
        if not wait_until(
            args, lambda: target in _managed_nodes(node, hidden=args.include_hidden_nodes)
        ):
            return "Node not found"
        return work(node, target)


def _transitions(node: Node, target: str, service: str = "get_available_transitions") -> list[Any]:
    request = GetAvailableTransitions.Request()
    response = call_service(node, GetAvailableTransitions, f"{target}/{service}", request)
    return list(response.available_transitions)


class NodesVerb:
    """Output a list of nodes with lifecycle."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument(
            "-a", "--all", action="store_true", help="Display all nodes even hidden ones"
        )
        parser.add_argument(
            "-c",
            "--count-nodes",
            action="store_true",
            help="Only display the number of nodes discovered",
        )

    @staticmethod
    def main(args: argparse.Namespace) -> None:
        with cli_node(args) as node:
            names = wait_until_complete(args, lambda: _managed_nodes(node, hidden=args.all))
        if args.count_nodes:
            print(len(names))
            return
        for name in names:
            print(name)


class GetVerb:
    """Get lifecycle state for one or more nodes."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser, nargs="?")

    @staticmethod
    def main(args: argparse.Namespace) -> str | int | None:
        def state_of(node: Node, target: str) -> str:
            response = call_service(node, GetState, f"{target}/get_state", GetState.Request())
            return f"{response.current_state.label} [{response.current_state.id}]"

        if args.node_name is not None:
            return _with_managed_node(args, lambda node, name: print(state_of(node, name)))
        with cli_node(args) as node:
            names = wait_until_complete(
                args, lambda: _managed_nodes(node, hidden=args.include_hidden_nodes)
            )
            for name in names:
                print(f"{name}: {state_of(node, name)}")
        return None


class ListVerb:
    """Output a list of available transitions."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser)
        parser.add_argument(
            "-a", "--all", action="store_true", help="Display all existing transitions"
        )

    @staticmethod
    def main(args: argparse.Namespace) -> str | int | None:
        service = "get_transition_graph" if args.all else "get_available_transitions"

        def work(node: Node, target: str) -> None:
            for entry in _transitions(node, target, service):
                print(
                    f"- {entry.transition.label} [{entry.transition.id}]\n"
                    f"\tStart: {entry.start_state.label}\n"
                    f"\tGoal: {entry.goal_state.label}"
                )

        return _with_managed_node(args, work)


class SetVerb:
    """Trigger lifecycle state transition."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser)
        parser.add_argument("transition", help="The lifecycle transition")

    @staticmethod
    def main(args: argparse.Namespace) -> str | int | None:
        def work(node: Node, target: str) -> str | None:
            available = [entry.transition for entry in _transitions(node, target)]
            chosen = next(
                (
                    transition
                    for transition in available
                    if args.transition in (transition.label, str(transition.id))
                ),
                None,
            )
            if chosen is None:
                return "Unknown transition requested, available ones are:" + "".join(
                    f"\n- {transition.label} [{transition.id}]" for transition in available
                )
            request = ChangeState.Request(transition=chosen)
            if call_service(node, ChangeState, f"{target}/change_state", request).success:
                print("Transitioning successful")
            else:
                print("Transitioning failed", file=sys.stderr)
            return None

        return _with_managed_node(args, work)


VERBS = {"get": GetVerb, "list": ListVerb, "nodes": NodesVerb, "set": SetVerb}
