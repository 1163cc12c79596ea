"""``ros2 topic hz``: measure the rate of a topic.

Messages are received raw: nothing is deserialised, so that large images at a high rate do not
falsify the measurement.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import deque
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor

from ..graph import absolute, add_graph_arguments, cli_node, wait_until
from ..qos import add_qos_arguments, matching_qos
from .topic_echo import unsigned_int
from .topic_graph import find_message_class

WINDOW = 10000
REPORT_SECONDS = 1.0


class HzVerb:
    """Print the average receiving rate to screen."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument("topic_name", help="Name of the ROS topic to listen to")
        parser.add_argument(
            "-w",
            "--window",
            dest="window_size",
            metavar="WINDOW",
            type=unsigned_int,
            default=WINDOW,
            help=f"window size, in # of messages, for calculating rate (default: {WINDOW})",
        )
        parser.add_argument(
            "--filter",
            dest="filter_expr",
            metavar="EXPR",
            help="only measure messages matching the specified Python expression; m is the message",
        )
        parser.add_argument(
            "--wall-time", action="store_true", help="Accepted for compatibility: the default"
        )
        add_qos_arguments(parser, "subscribe", "sensor_data")

    @staticmethod
    def main(args: argparse.Namespace) -> str | None:
        topic = absolute(args.topic_name)
        with cli_node(args) as node:
            message_class = find_message_class(args, node, topic)
            if message_class is None:
                print(f"WARNING: topic [{args.topic_name}] does not appear to be published yet")
            while message_class is None and rclpy.ok():
                message_class = find_message_class(args, node, topic)
            wait_until(args, lambda: node.count_publishers(topic), seconds=1.0)
            meter = _Meter(args.window_size)
            clock = node.get_clock()
            wanted = compile(args.filter_expr, "--filter", "eval") if args.filter_expr else None

            def now() -> float:
                if args.use_sim_time and not args.wall_time:
                    return clock.now().nanoseconds * 1e-9
                return time.monotonic()

            def on_message(message: Any) -> None:
                if wanted is None or eval(wanted, {"m": message}):
                    meter.add(now())

            node.create_subscription(
                message_class,
                topic,
                on_message,
                matching_qos(args, node, topic),
                raw=wanted is None,
            )
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            due = time.monotonic() + REPORT_SECONDS
            while rclpy.ok():
                executor.spin_once(timeout_sec=max(0.0, due - time.monotonic()))
                if time.monotonic() >= due:
                    due = time.monotonic() + REPORT_SECONDS
                    if (report := meter.report()) is not None:
                        print(report)
        return None


class _Meter:
    """The intervals between the latest messages."""

    def __init__(self, window: int) -> None:
        self._intervals: deque[float] = deque(maxlen=window or None)
        self._last: float | None = None
        self._is_new = False

    def add(self, moment: float) -> None:
        """Note a message; time that went back (a simulation was reset) starts afresh."""
        if self._last is not None and moment < self._last:
            print("time has reset, resetting counters")
            self._intervals.clear()
        elif self._last is not None:
            self._intervals.append(moment - self._last)
        self._last = moment
        self._is_new = True

    def report(self) -> str | None:
        """Return the two lines to print, None if there is nothing new."""
        if not self._is_new or not self._intervals:
            return None
        self._is_new = False
        count = len(self._intervals)
        mean = sum(self._intervals) / count
        deviation = math.sqrt(sum((value - mean) ** 2 for value in self._intervals) / count)
        rate = 1.0 / mean if mean > 0.0 else 0.0
        return (
            f"average rate: {rate:.3f}\n\tmin: {min(self._intervals):.3f}s "
            f"max: {max(self._intervals):.3f}s std dev: {deviation:.5f}s window: {count}"
        )
