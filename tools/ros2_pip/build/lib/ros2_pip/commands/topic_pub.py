"""``ros2 topic pub``: publish a message, once or repeatedly."""

from __future__ import annotations

import argparse
import time

import rclpy
import yaml
from rclpy.executors import SingleThreadedExecutor

from ..graph import absolute, add_graph_arguments, cli_node
from ..messages import fill, get_interface
from ..qos import add_qos_arguments, qos_from_arguments
from .topic_echo import positive_float, unsigned_int


class PubVerb:
    """Publish a message to a topic."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument("topic_name", help="Name of the ROS topic to publish to")
        parser.add_argument(
            "message_type", help="Type of the ROS message (e.g. 'std_msgs/msg/String')"
        )
        parser.add_argument(
            "values",
            nargs="?",
            default="{}",
            help="Values to fill the message with in YAML format (e.g. 'data: Hello World'), "
            "otherwise the message will be published with default values",
        )
        parser.add_argument(
            "-r",
            "--rate",
            metavar="N",
            type=positive_float,
            default=1.0,
            help="Publishing rate in Hz (default: 1)",
        )
        parser.add_argument(
            "-p",
            "--print",
            metavar="N",
            type=int,
            default=1,
            help="Only print every N-th published message (default: 1)",
        )
        group = parser.add_mutually_exclusive_group()
        group.add_argument("-1", "--once", action="store_true", help="Publish one message and exit")
        group.add_argument(
            "-t",
            "--times",
            type=unsigned_int,
            default=0,
            help="Publish this number of times and then exit",
        )
        parser.add_argument(
            "-w",
            "--wait-matching-subscriptions",
            type=unsigned_int,
            help="Wait until finding the specified number of matching subscriptions. Defaults to "
            "1 when using -1/--once/--times, otherwise defaults to 0.",
        )
        parser.add_argument(
            "--max-wait-time-secs",
            type=positive_float,
            help="Maximum wait time in seconds for --wait-matching-subscriptions",
        )
        parser.add_argument(
            "--keep-alive",
            metavar="N",
            type=positive_float,
            default=0.1,
            help="Keep publishing node alive for N seconds after the last msg (default: 0.1)",
        )
        parser.add_argument("-n", "--node-name", help="Name of the created publishing node")
        add_qos_arguments(parser, "publish", "default")

    @staticmethod
    def main(args: argparse.Namespace) -> str | None:
        message_class = get_interface(args.message_type, "msg")
        values = yaml.safe_load(args.values)
        if not isinstance(values, dict):
            return "The passed value needs to be a dictionary in YAML format"
        times = 1 if args.once else args.times
        wanted = args.wait_matching_subscriptions
        if wanted is None:
            wanted = 1 if times else 0
        with cli_node(args, args.node_name) as node:
            message = message_class()
            try:
                fill(message, values, node.get_clock().now().to_msg())
            except Exception as error:
                return f"Failed to populate field: {error}"
            publisher = node.create_publisher(
                message_class, absolute(args.topic_name), qos_from_arguments(args)
            )
            waited = 0.0
            while publisher.get_subscription_count() < wanted and rclpy.ok():
                if waited == 0.0:
                    print(f"Waiting for at least {wanted} matching subscription(s)...")
                elif args.max_wait_time_secs and waited >= args.max_wait_time_secs:
                    return (
                        f"Timed out waiting for subscribers: Expected {wanted} subscribers but "
                        f"only got {publisher.get_subscription_count()} subscribers"
                    )
                elif round(waited * 10) % 10 == 0:
                    print(f"Waiting for at least {wanted} matching subscription(s)...")
                time.sleep(0.1)
                waited += 0.1
            print("publisher: beginning loop")
            count = 0

            def publish() -> None:
                nonlocal count
                count += 1
                fill(message, values, node.get_clock().now().to_msg())
                if args.print and count % args.print == 0:
                    print(f"publishing #{count}: {message!r}\n")
                publisher.publish(message)

            publish()
            node.create_timer(1.0 / args.rate, publish)
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            while rclpy.ok() and (times == 0 or count < times):
                executor.spin_once(timeout_sec=1.0)
            time.sleep(args.keep_alive)
        return None
