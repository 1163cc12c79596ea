"""The node `record`: live topics into a rosbag2 recording (MCAP), where there is no `ros2 bag`.

Messages go to the file as they came, undecoded, with the time of their arrival. `import_bag` reads
the recording, and so does every tool that knows rosbag2.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from wm_mpc.arguments import Parser
from wm_mpc.ros.running import Stopped, own_arguments, run
from wm_mpc.ros.topics import image_topic

try:
    from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
    from rosbags.typesys import Stores, TypesysError, get_typestore
except ModuleNotFoundError as missing:  # it has no rosdep key, so people may lack it
    raise SystemExit(f"record: {missing}; install it: pip install rosbags") from None

_LOOK = 0.2  # s between two looks at the graph for topics that are not there yet
_DEPTH = 100  # messages that may wait while the disk is busy
_NAP = 0.02  # s


class RecordError(RuntimeError):
    """A recording that cannot be made; the text says why."""


class Record(Node):
    """Records `topics` (names as on the command line: relative ones follow namespace and
    remapping) into the new directory `output`.

    Types and reliability are those of the publishers, so a topic is joined when its first publisher
    appears. Raises RecordError when the directory exists already.
    """

    def __init__(self, output: Path, topics: Sequence[str], **options: Any) -> None:
        super().__init__("record", **options)
        self.counts: dict[str, int] = {}
        self.types: dict[str, str] = {}
        self._missing = [image_topic(self, topic) for topic in dict.fromkeys(topics)]
        self._store = get_typestore(Stores.ROS2_JAZZY)
        try:
            self._writer = Writer(output, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (WriterError, OSError) as error:
            self.destroy_node()
            raise RecordError(f"cannot record to {output}: {error}") from None
        self.create_timer(_LOOK, self._look)

    def _look(self) -> None:
        """Join the topics that have a publisher now."""
        for topic in list(self._missing):
            if publishers := self.get_publishers_info_by_topic(topic):
                self._missing.remove(topic)
                self._join(topic, publishers)

    def _join(self, topic: str, publishers: Sequence[Any]) -> None:
        type_name = publishers[0].topic_type
        package, _, name = type_name.split("/")
        try:
            message_type = getattr(importlib.import_module(f"{package}.msg"), name)
            connection = self._writer.add_connection(topic, type_name, typestore=self._store)
        except (ImportError, AttributeError, KeyError, TypesysError) as error:
            self.get_logger().error(f"{topic} is not recorded: type {type_name}: {error}")
            return
        self.counts[topic], self.types[topic] = 0, type_name
        profiles = [publisher.qos_profile for publisher in publishers]
        reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles)
        latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles)
        profile = QoSProfile(
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        write = functools.partial(self._write, topic, connection)
        self.create_subscription(message_type, topic, write, profile, raw=True)
        self.get_logger().info(f"recording {topic} ({type_name})")

    def _write(self, topic: str, connection: Any, data: bytes) -> None:
        self._writer.write(connection, self.get_clock().now().nanoseconds, data)
        self.counts[topic] += 1

    @property
    def missing(self) -> list[str]:
        """Topics nobody has published on so far."""
        return list(self._missing)

    def close(self) -> None:
        """Write what is left, and the index; without it the file is of no use. To be called when
        no callback runs any more."""
        self._writer.close()

    def summary(self) -> str:
        """What was recorded, a line per topic."""
        lines = [
            f"  {topic}  {self.types[topic]}  {count} messages"
            for topic, count in sorted(self.counts.items())
        ]
        lines += [f"  {topic}  nobody published it" for topic in self._missing]
        return "\n".join([f"recorded to {self._writer.path}", *lines])


def parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="record",
        description="Record topics into a rosbag2 directory (MCAP) until Ctrl-C. A topic may "
        "appear later than this node. `ros2 bag record` of ROS 2 does the same.",
        epilog="example: record --output my_bag /camera/image_raw /odom /planned_actions",
    )
    parser.add_argument("topics", nargs="+", metavar="TOPIC", help="topics to record")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory of the recording; it must not exist yet",
    )
    parser.add_argument(
        "--duration", type=float, metavar="S", help="stop after this number of seconds"
    )
    return parser


def _work(duration: float | None, node: Record, stopped: Stopped) -> None:
    end = None if duration is None else time.monotonic() + duration
    while not stopped() and (end is None or time.monotonic() < end):
        time.sleep(_NAP)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run wm_mpc record`; the exit code: 1 when nothing was recorded."""
    arguments = list(sys.argv if args is None else ["record", *args])
    options = parser().parse_args(own_arguments(arguments))
    nodes: list[Record] = []

    def make() -> Record:
        nodes.append(Record(options.output, options.topics))
        return nodes[0]

    try:
        run(make, functools.partial(_work, options.duration), arguments)
    except RecordError as error:
        print(f"record: {error}", file=sys.stderr)
        return 1
    finally:
        if nodes:
            nodes[0].close()
            print(nodes[0].summary(), flush=True)
    return 0 if any(nodes[0].counts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
