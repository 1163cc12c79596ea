"""Various node related sub-commands."""

from __future__ import annotations

import argparse
import sys

from ..graph import (
    absolute,
    add_graph_arguments,
    cli_node,
    find_node,
    node_names,
    wait_until_complete,
    wait_until_quiet,
)


class ListVerb:
    """Output a list of available nodes."""

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
            found = wait_until_complete(args, lambda: node_names(node, hidden=args.all))
        names = [entry.full_name for entry in found]
        if args.count_nodes:
            print(len(names))
            return
        if len(set(names)) < len(names):
            print(
                "WARNING: Be aware that there are nodes in the graph that share an exact name, "
                "which can have unintended side effects.",
                file=sys.stderr,
            )
        for name in names:
            print(name)


class InfoVerb:
    """Output information about a node."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument("node_name", help="Fully qualified node name to request information")
        parser.add_argument(
            "--include-hidden",
            dest="include_hidden_nodes",
            action="store_true",
            help="Display hidden topics, services, and actions as well",
        )

    @staticmethod
    def main(args: argparse.Namespace) -> str | None:
        from rclpy.action import graph as action_graph
        from rclpy.topic_or_service_is_hidden import topic_or_service_is_hidden

        with cli_node(args) as node:
            found = find_node(args, node, args.node_name, exact=True)
            if found is None:
                return f"Unable to find node '{args.node_name}'"

            def look() -> dict[str, list]:
                name = (found.name, found.namespace)
                return {
                    "Subscribers": node.get_subscriber_names_and_types_by_node(*name),
                    "Publishers": node.get_publisher_names_and_types_by_node(*name),
                    "Service Servers": node.get_service_names_and_types_by_node(*name),
                    "Service Clients": node.get_client_names_and_types_by_node(*name),
                    "Action Servers": action_graph.get_action_server_names_and_types_by_node(
                        node, *name
                    ),
                    "Action Clients": action_graph.get_action_client_names_and_types_by_node(
                        node, *name
                    ),
                }

            sections = wait_until_quiet(look)
            count = [entry.full_name for entry in node_names(node, hidden=True)].count(
                found.full_name
            )
        if count > 1:
            print(
                f"There are {count} nodes in the graph with the exact name "
                f'"{absolute(args.node_name)}". You are seeing information about only one of them.',
                file=sys.stderr,
            )
        print(found.full_name)
        for title, entries in sections.items():
            print(f"  {title}:")
            lines = [
                f"    {name}: {', '.join(types)}"
                for name, types in sorted(entries)
                if args.include_hidden_nodes or not topic_or_service_is_hidden(name)
            ]
            print("\n".join(lines))
        return None


VERBS = {"info": InfoVerb, "list": ListVerb}
