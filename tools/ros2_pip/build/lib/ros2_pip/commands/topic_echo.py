"""``ros2 topic echo``: print messages."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

from ..graph import absolute, add_graph_arguments, cli_node, wait_until
from ..messages import get_interface, is_message, to_csv, to_yaml
from ..qos import add_qos_arguments, matching_qos
from .topic_graph import find_message_class

TRUNCATE_LENGTH = 128


def positive_float(text: str) -> float:
    """Read a number greater than zero."""
    value = float(text)
    if value <= 0.0:
        raise argparse.ArgumentTypeError("value must be positive")
    return value


def unsigned_int(text: str) -> int:
    """Read a whole number, zero or greater."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("value must be non-negative integer")
    return value


class EchoVerb:
    """Output messages from a topic."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument("topic_name", help="Name of the ROS topic to listen to")
        parser.add_argument(
            "message_type", nargs="?", help="Type of the ROS message (e.g. 'std_msgs/msg/String')"
        )
        add_qos_arguments(parser, "subscribe", "sensor_data")
        parser.add_argument(
            "--csv", action="store_true", help="Output all recursive fields separated by commas"
        )
        parser.add_argument(
            "--field", help="Echo a selected field of a message. Use '.' to select sub-fields."
        )
        parser.add_argument(
            "-f", "--full-length", action="store_true", help="Output all elements of arrays, etc."
        )
        parser.add_argument(
            "-l",
            "--truncate-length",
            type=unsigned_int,
            default=TRUNCATE_LENGTH,
            help=f"The length to truncate arrays, bytes, and string to (default: "
            f"{TRUNCATE_LENGTH})",
        )
        parser.add_argument(
            "--no-arr", action="store_true", help="Don't print array fields of messages"
        )
        parser.add_argument(
            "--no-str", action="store_true", help="Don't print string fields of messages"
        )
        parser.add_argument(
            "--flow-style", action="store_true", help="Print collections in the flow style"
        )
        parser.add_argument(
            "--no-lost-messages", action="store_true", help="Don't report when a message is lost"
        )
        parser.add_argument("--raw", action="store_true", help="Echo the raw binary representation")
        parser.add_argument(
            "--filter",
            dest="filter_expr",
            help="Python expression to filter messages that are printed; m is the message",
        )
        parser.add_argument(
            "--once", action="store_true", help="Print the first message received and then exit."
        )
        parser.add_argument(
            "--timeout",
            metavar="N",
            type=positive_float,
            help="Set a timeout in seconds for waiting",
        )

    @staticmethod
    def main(args: argparse.Namespace) -> str | None:
        printer = _Printer(args)
        topic = absolute(args.topic_name)
        with cli_node(args) as node:
            if args.message_type is None:
                message_class = find_message_class(args, node, topic)
                if message_class is None:
                    print(f"WARNING: topic [{args.topic_name}] does not appear to be published yet")
                    return "Could not determine the type for the passed topic"
            else:
                message_class = get_interface(args.message_type, "msg")
            wait_until(args, lambda: node.count_publishers(topic), seconds=1.0)
            done = Future()

            def on_message(message: Any) -> None:
                if printer.show(message) and args.once:
                    done.set_result(True)

            _subscribe(args, node, message_class, topic, on_message)
            if args.timeout is not None:
                node.create_timer(args.timeout, lambda: done.set_result(True))
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            while rclpy.ok() and not done.done():
                executor.spin_until_future_complete(done, timeout_sec=1.0)
        return None


def _subscribe(
    args: argparse.Namespace,
    node: Node,
    message_class: Any,
    topic: str,
    on_message: Callable[[Any], None],
) -> None:
    qos = matching_qos(args, node, topic)
    if not args.no_lost_messages:
        callbacks = SubscriptionEventCallbacks(message_lost=_report_lost)
        try:
            node.create_subscription(
                message_class, topic, on_message, qos, event_callbacks=callbacks, raw=args.raw
            )
            return
        except UnsupportedEventTypeError:
            pass
    node.create_subscription(message_class, topic, on_message, qos, raw=args.raw)


def _report_lost(status: Any) -> None:
    print(
        f"A message was lost!!!\n\ttotal count change:{status.total_count_change}"
        f"\n\ttotal count: {status.total_count}",
        end="---\n",
    )


class _Printer:
    """Print (parts of) messages the way the options ask for."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._path = [] if args.field is None else [p for p in args.field.split(".") if p]
        if args.field is not None and not self._path:
            raise RuntimeError(f"Invalid field value '{args.field}'")
        self._filter = compile(args.filter_expr, "--filter", "eval") if args.filter_expr else None
        self._csv = args.csv
        self._flow_style = args.flow_style
        self._options = {
            "truncate": None if args.full_length else args.truncate_length,
            "no_arr": args.no_arr,
            "no_str": args.no_str,
        }

    def show(self, message: Any) -> bool:
        """Print one message; return False if it was filtered out."""
        part = message
        for name in self._path:
            if not hasattr(part, name):
                raise RuntimeError(
                    f"Invalid field '{'.'.join(self._path)}': "
                    f"'{type(part).__name__}' has no '{name}'"
                )
            part = getattr(part, name)
        if self._filter is not None and not eval(self._filter, {"m": part}):
            return False
        if not is_message(part):
            print(part, end="\n---\n")
        elif self._csv:
            print(to_csv(part, **self._options))
        else:
            print(to_yaml(part, flow_style=self._flow_style, **self._options), end="---\n")
        return True
