"""Recordings made for tests with the writers of `rosbags`: any format, every type of topic."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags import rosbag1, rosbag2
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_typestore

from wm_mpc.data.bag import Bag
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_import import Drafts, draft_episodes
from wm_mpc.data.bag_report import outcome
from wm_mpc.data.bag_spec import Description, describe
from wm_mpc.data.bag_streams import Streams, read_streams

SECOND = 1_000_000_000
FORMATS = ("mcap", "sqlite3", "ros1")
STORE = get_typestore(Stores.ROS2_JAZZY)
STORE1 = get_typestore(Stores.ROS1_NOETIC)
Recorded = tuple[str, float, Any]  # topic, time of arrival (s), message


class Make:
    """Messages; times in seconds. ros1: of ROS 1, whose headers have one field more."""

    def __init__(self, *, ros1: bool = False) -> None:
        self._types = (STORE1 if ros1 else STORE).types
        self._ros1 = ros1

    def _new(self, name: str, *values: Any) -> Any:
        return self._types[name](*values)

    def time(self, seconds: float, name: str = "Time") -> Any:
        nanoseconds = round(seconds * SECOND)
        return self._new(
            f"builtin_interfaces/msg/{name}", nanoseconds // SECOND, nanoseconds % SECOND
        )

    def header(self, stamp: float) -> Any:
        first = (0,) if self._ros1 else ()
        return self._new("std_msgs/msg/Header", *first, self.time(stamp), "")

    def image(self, stamp: float, pixels: np.ndarray, encoding: str = "rgb8") -> Any:
        data = np.ascontiguousarray(pixels).reshape(-1)
        height, width = pixels.shape[:2]
        step = data.size // height
        return self._new(
            "sensor_msgs/msg/Image", self.header(stamp), height, width, encoding, 0, step, data
        )

    def compressed(self, stamp: float, rgb: np.ndarray, kind: str = "png") -> Any:
        data = cv2.imencode(f".{kind}", rgb[..., ::-1])[1].reshape(-1)
        return self._new("sensor_msgs/msg/CompressedImage", self.header(stamp), kind, data)

    def vector(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Any:
        return self._new("geometry_msgs/msg/Vector3", float(x), float(y), float(z))

    def pose(self, x: float, y: float, yaw: float) -> Any:
        point = self._new("geometry_msgs/msg/Point", float(x), float(y), 0.0)
        turn = self._new("geometry_msgs/msg/Quaternion", 0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2))
        return self._new("geometry_msgs/msg/Pose", point, turn)

    def twist(self, vx: float = 0.0, vy: float = 0.0, wz: float = 0.0) -> Any:
        return self._new("geometry_msgs/msg/Twist", self.vector(vx, vy), self.vector(z=wz))

    def twist_stamped(self, stamp: float, **fields: float) -> Any:
        return self._new("geometry_msgs/msg/TwistStamped", self.header(stamp), self.twist(**fields))

    def odometry(
        self, stamp: float, x: float = 0.0, y: float = 0.0, yaw: float = 0.0, **fields: float
    ) -> Any:
        none = np.zeros(36)
        pose = self._new("geometry_msgs/msg/PoseWithCovariance", self.pose(x, y, yaw), none)
        twist = self._new("geometry_msgs/msg/TwistWithCovariance", self.twist(**fields), none)
        return self._new("nav_msgs/msg/Odometry", self.header(stamp), "base", pose, twist)

    def pose_stamped(self, stamp: float, x: float, y: float, yaw: float) -> Any:
        return self._new("geometry_msgs/msg/PoseStamped", self.header(stamp), self.pose(x, y, yaw))

    def joints(
        self,
        stamp: float,
        names: list[str],
        position: Any = (),
        velocity: Any = (),
        effort: Any = (),
    ) -> Any:
        numbers = [np.array(values, np.float64) for values in (position, velocity, effort)]
        return self._new("sensor_msgs/msg/JointState", self.header(stamp), names, *numbers)

    def numbers(self, *values: float) -> Any:
        layout = self._new("std_msgs/msg/MultiArrayLayout", [], 0)
        return self._new("std_msgs/msg/Float64MultiArray", layout, np.array(values, np.float64))

    def trajectory(
        self, stamp: float, names: list[str], rows: Any, period: float = 0.1,
        field: str = "velocities",
    ) -> Any:  # fmt: skip
        fields = ("positions", "velocities", "accelerations", "effort")
        points = []
        for k, row in enumerate(rows):
            given = {field: np.array(row, np.float64)}
            values = [given.get(name, np.zeros(0)) for name in fields]
            after = self.time(k * period, "Duration")
            points.append(self._new("trajectory_msgs/msg/JointTrajectoryPoint", *values, after))
        return self._new("trajectory_msgs/msg/JointTrajectory", self.header(stamp), names, points)


def write_bag(path: Path, recorded: Iterable[Recorded], kind: str = "mcap") -> Path:
    """A recording of one of `FORMATS`, in the order of arrival; returns its path."""
    recorded = sorted(recorded, key=lambda item: item[1])
    connections: dict[str, Any] = {}
    if kind == "ros1":
        path = path.with_suffix(".bag")
        writer: Any = rosbag1.Writer(path)
        store, encode = STORE1, STORE1.serialize_ros1
    else:
        plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
        writer = rosbag2.Writer(path, version=9, storage_plugin=plugin)
        store, encode = STORE, STORE.serialize_cdr
    with writer:
        for topic, received, message in recorded:
            raw = isinstance(message, tuple)  # name of the type, bytes
            name = message[0] if raw else message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=store)
            data = message[1] if raw else encode(message, name)
            writer.write(connections[topic], round(received * SECOND), data)
    return path


def gray(value: int, height: int = 20, width: int = 20) -> np.ndarray:
    """A picture that can be told from others: uint8 (height, width, 3)."""
    return np.full((height, width, 3), value, np.uint8)


@dataclasses.dataclass
class Read:
    """A recording as far as the import comes before it writes."""

    description: Description
    streams: Streams
    drafts: Drafts
    report: str

    def joined(self, field: str, part: slice = slice(None)) -> np.ndarray:
        """A field of all drafted episodes, one after the other; part: rows of each."""
        return np.concatenate([getattr(d, field)[part] for d in self.drafts.episodes])


@contextlib.contextmanager
def reading(path: Path, **settings: Any) -> Iterator[Read]:
    """Read a recording with these settings over small ones; pictures last as long as the block."""
    small = {"frame_skip": 1, "min_steps": 1, "image": {"height": 20, "width": 20}}
    config = BagConfig.from_dict(small | settings)
    with Bag(path) as bag, tempfile.TemporaryFile() as spool:
        description = describe(bag, config)
        streams = read_streams(bag, description.spec, description.topics, config, spool)
        drafts = draft_episodes(streams, description.spec, config)
        yield Read(description, streams, drafts, outcome(bag, description, streams, drafts, config))
