"""``ros2 topic list``, ``info`` and ``type``: what the graph says about topics."""

from __future__ import annotations

import argparse
from typing import Any

from rclpy.node import Node

from ..graph import (
    absolute,
    add_graph_arguments,
    cli_node,
    topics,
    wait_until,
    wait_until_complete,
)
from ..messages import get_interface

HIDDEN_HELP = "Consider hidden topics as well"


def find_types(args: argparse.Namespace, node: Node, topic: str) -> list[str]:
    """Wait for a topic; return its types, none if it does not appear."""
    wanted = absolute(topic)
    return wait_until(args, lambda: dict(topics(node, hidden=True)).get(wanted, []))


def find_message_class(args: argparse.Namespace, node: Node, topic: str) -> Any:
    """Wait for a topic; return the class of its messages, None if it does not appear."""
    types = find_types(args, node, topic)
    if len(types) > 1:
        raise RuntimeError(
            f"Cannot echo topic '{topic}', as it contains more than one type: [{', '.join(types)}]"
        )
    return get_interface(types[0], "msg") if types else None


class ListVerb:
    """Output a list of available topics."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument(
            "-t", "--show-types", action="store_true", help="Additionally show the topic type"
        )
        parser.add_argument(
            "-c",
            "--count-topics",
            action="store_true",
            help="Only display the number of topics discovered",
        )
        parser.add_argument("--include-hidden-topics", action="store_true", help=HIDDEN_HELP)
        parser.add_argument(
            "-v", "--verbose", action="store_true", help="List full details about each topic"
        )

    @staticmethod
    def main(args: argparse.Namespace) -> None:
        with cli_node(args) as node:

            def look() -> list[tuple]:
                return [
                    (name, types, node.count_publishers(name), node.count_subscribers(name))
                    for name, types in topics(node, hidden=args.include_hidden_topics)
                ]

            found = wait_until_complete(args, look)
        if args.count_topics:
            print(len(found))
        elif args.verbose:
            for title, role, index in (
                ("Published", "publisher", 2),
                ("Subscribed", "subscriber", 3),
            ):
                print(f"{title} topics:")
                for entry in found:
                    if count := entry[index]:
                        plural = "s" if count > 1 else ""
                        print(f" * {entry[0]} [{', '.join(entry[1])}] {count} {role}{plural}")
                print()
        else:
            for name, types, *_ in found:
                print(f"{name} [{', '.join(types)}]" if args.show_types else name)


class InfoVerb:
    """Print information about a topic."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument("topic_name", help="Name of the ROS topic to get info")
        parser.add_argument(
            "-v",
            "--verbose",
            action="store_true",
            help="Prints detailed information like the node name, node namespace, topic type, "
            "topic type hash, GUID and QoS Profile of the publishers and subscribers",
        )

    @staticmethod
    def main(args: argparse.Namespace) -> str | None:
        topic = absolute(args.topic_name)
        with cli_node(args) as node:
            types = find_types(args, node, topic)
            if not types:
                return f"Unknown topic '{args.topic_name}'"
            publishers, subscriptions = wait_until_complete(
                args,
                lambda: (
                    sorted(map(str, node.get_publishers_info_by_topic(topic))),
                    sorted(map(str, node.get_subscriptions_info_by_topic(topic))),
                ),
            )
        end = "\n\n" if args.verbose else "\n"
        print(f"Type: {types[0] if len(types) == 1 else types}", end=end)
        print(f"Publisher count: {len(publishers)}", end=end)
        if args.verbose:
            for info in publishers:
                print(info, end=end)
        print(f"Subscription count: {len(subscriptions)}", end=end)
        if args.verbose:
            for info in subscriptions:
                print(info, end=end)
        return None


class TypeVerb:
    """Print a topic's type."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument("topic_name", help="Name of the ROS topic to get type")

    @staticmethod
    def main(args: argparse.Namespace) -> int:
        with cli_node(args) as node:
            types = find_types(args, node, args.topic_name)
        for name in types:
            print(name)
        return 0 if types else 1
