"""Read all messages of a recording's streams: images, states and commands, each with its time.

This module stands between `wm_mpc.data.bag`, which yields messages, and `wm_mpc.data.resample`,
which works on arrays.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from wm_mpc.data.bag import Bag, BagError, Topic
from wm_mpc.data.bag_cameras import CameraJoiner
from wm_mpc.data.bag_clocks import put_on_one_clock
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_joints import joint_row
from wm_mpc.data.bag_messages import JOINTS, TRAJECTORY, picture, state
from wm_mpc.data.bag_points import meaning_of_points
from wm_mpc.data.command_stream import TIMEOUT, CommandStream, other_clock
from wm_mpc.data.stream import Clock, PictureStream, StateStream, Stream
from wm_mpc.messages.picture_looks import PictureLooks
from wm_mpc.spec import RobotSpec

__all__ = [
    "TIMEOUT",
    "Clock",
    "CommandStream",
    "PictureStream",
    "StateStream",
    "Stream",
    "Streams",
    "other_clock",
    "read_streams",
]


@dataclasses.dataclass
class Streams:
    """All streams of a recording.

    Attributes:
        image: Images.
        state: States.
        action: Commands.
        splits: Messages at which an episode begins, by topic.
        steps: Arrival times at which a clock was set, ns.
        notes: Findings about clocks, one sentence each.
        looks: A summary of the appearance of the images.
        state_names: Names of the state's columns.
    """

    image: PictureStream
    state: StateStream
    action: CommandStream
    splits: dict[str, Stream]
    steps: list[int] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    looks: PictureLooks = dataclasses.field(default_factory=PictureLooks)
    state_names: tuple[str, ...] = ()

    def of_role(self, role: str) -> Stream:
        """Return the stream of a role; all cameras share one.

        Args:
            role: "image", "state", "action", or that of another camera (`bag_topics`).
        """
        stream: Stream = getattr(self, role.partition(":")[0])
        return stream

    def of_topics(self, topics: dict[str, Topic]) -> dict[str, Stream | None]:
        """Return the stream of each topic that was read, None for topics that only split.

        Args:
            topics: Topics by role.
        """
        read = {topic.name: self.of_role(role) for role, topic in topics.items()}
        return dict.fromkeys(self.splits) | read


def read_streams(
    bag: Bag,
    spec: RobotSpec,
    topics: dict[str, Topic],
    config: BagConfig,
    spool: IO[bytes],
    progress: Callable[[int], Any] = lambda _: None,
) -> Streams:
    """Read all images, states and commands of a recording.

    Args:
        bag: The recording.
        spec: The robot.
        topics: Topics by role.
        config: Settings of the import.
        spool: An open file that receives the images.
        progress: Called with 1 after each message.

    Returns:
        The streams, on one clock.

    Raises:
        BagError: A stream has no usable message; the text has the first reason.
    """
    clocks = {role: Clock(config.stamps) for role in ("image", "state", "action")}
    meaning = "from"
    if topics["action"].type == TRAJECTORY:
        meaning, _ = meaning_of_points(bag, topics["action"], config)
    streams = Streams(
        PictureStream(spec.image, clocks["image"], spool),
        StateStream(spec.state.size, clocks["state"]),
        CommandStream(topics["action"].type, spec.action, clocks["action"], meaning),
        {_full(bag, name): Stream(0, Clock(config.stamps)) for name in config.split_at},
        state_names=spec.state.names,
    )
    bag.damaged.clear()  # of earlier looks at the same messages
    role_of = {topic.name: role for role, topic in topics.items()}
    joiner = CameraJoiner(spec, streams.image, clocks["image"]) if spec.image.cameras else None
    cameras = [role for role in topics if role.startswith("image")]
    looks = {role: PictureLooks() for role in cameras[1:]} | {"image": streams.looks}
    for item in bag.messages([*role_of, *streams.splits]):
        message, received = item.message, item.received
        role = role_of.get(item.topic)
        if joiner is not None and role in cameras:
            looks[role].see(message)
            joiner.add(cameras.index(role), item.type, message, received)
        elif role == "image":
            streams.looks.see(message)
            pixels = functools.partial(picture, item.type, message, spec.image)
            streams.image.add_picture(message, received, pixels)
        elif role == "state":
            row = functools.partial(_state_row, item.type, message, spec, streams.state.unknown)
            streams.state.add(message, received, row)
        elif role == "action":
            streams.action.add_command(message, received)
        if item.topic in streams.splits:
            streams.splits[item.topic].add(message, received, tuple)
        progress(1)
    joined = [] if joiner is None else joiner.notes()
    for role, look in looks.items():
        joined += [f"{role}: {text}" for text in look.summary() if role != "image"]
    for role, topic in topics.items():
        stream = streams.of_role(role)
        if stream.read == stream.refused:
            reason = stream.reason or "none can be decoded"
            raise BagError(f"no message of {topic.name} can be used as {role}: {reason}")
    _check_joints(streams.state, spec, topics)
    streams.notes = joined + put_on_one_clock(streams, spec.control_period, config)
    return streams


def _check_joints(stream: Stream, spec: RobotSpec, topics: dict[str, Topic]) -> None:
    """Raises BagError for an entry of the state that no message has."""
    missing = np.flatnonzero(~np.isfinite(stream.values).any(axis=0))
    if stream.read and len(missing):
        raise BagError(
            f"none of {stream.read} messages of {topics['state'].name} has a finite number for "
            f"{', '.join(spec.state.names[i] for i in missing)}"
        )


def _state_row(type_name: str, message: Any, spec: RobotSpec, unknown: Counter[str]) -> np.ndarray:
    if type_name == JOINTS:
        return joint_row(message, spec.state.names, unknown)
    return state(type_name, message, spec.state)


def _full(bag: Bag, name: str) -> str:
    return name if name in bag.topics else f"/{name}"
