"""All messages of a recording's streams: pictures, states and commands, each with its time.

Between `wm_mpc.data.bag`, which yields messages, and `wm_mpc.data.resample`, which knows arrays. A
message that makes no sense is left out and counted, with the reason of the first one.
"""

from __future__ import annotations

import array
import dataclasses
import functools
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from wm_mpc.data.bag import Bag, BagError, Topic
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_messages import TRAJECTORY, command, picture, state, trajectory
from wm_mpc.data.resample import SECOND, Commands, Plan, commands_of_plans
from wm_mpc.ros.errors import MessageError
from wm_mpc.ros.reading import to_nanoseconds
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec

_OTHER_CLOCK = 10 * SECOND  # ns; what seems to travel longer was stamped by another clock
TIMEOUT = 0.5  # s; of a command, unless said otherwise


@dataclasses.dataclass
class Clock:
    """Turns messages into moments, ns. rule: one of `bag_config.STAMPS`. zero: header stamps that
    were 0, where the time of arrival is taken instead."""

    rule: str
    zero: int = 0

    def moment(self, message: Any, received: int) -> int:
        """When a message is of; without a header, when it arrived."""
        header = getattr(message, "header", None)
        if self.rule == "receive" or header is None:
            return received
        stamp = to_nanoseconds(header.stamp)
        self.zero += stamp == 0
        return stamp or received


class Stream:
    """Rows of numbers that grow: moments and times of arrival (ns) and values (rows, size).

    read: messages; refused: those left out; reason: of the first of them.
    """

    def __init__(self, size: int, clock: Clock) -> None:
        self.size, self.clock = size, clock
        self.read = self.refused = 0
        self.reason = ""
        self._times, self._received = array.array("q"), array.array("q")
        self._values = array.array("d")

    def add(self, message: Any, received: int, values: Callable[[], Any]) -> bool:
        """Take a message, of which `values()` makes a row; False when that raises MessageError."""
        self.read += 1
        try:
            row = values()
        except MessageError as error:
            self.refused += 1
            self.reason = self.reason or str(error)
            return False
        self._times.append(self.clock.moment(message, received))
        self._received.append(received)
        self._values.extend(row)
        return True

    @property
    def times(self) -> np.ndarray:
        return np.array(self._times, np.int64)

    @property
    def received(self) -> np.ndarray:
        return np.array(self._received, np.int64)

    @property
    def values(self) -> np.ndarray:
        return np.array(self._values, np.float64).reshape(len(self._times), self.size)


class PictureStream(Stream):
    """A stream of pictures, kept in a file: `pictures` is uint8 (rows, height, width, 3)."""

    def __init__(self, spec: ImageSpec, clock: Clock, file: IO[bytes]) -> None:
        super().__init__(0, clock)
        self._shape, self._file = (spec.height, spec.width, 3), file

    def add_picture(self, message: Any, received: int, pixels: Callable[[], np.ndarray]) -> None:
        def spool() -> tuple[()]:
            self._file.write(pixels().tobytes())
            return ()

        self.add(message, received, spool)

    @property
    def pictures(self) -> np.ndarray:
        self._file.flush()
        return np.memmap(self._file, np.uint8, "r", shape=(self.read - self.refused, *self._shape))


class CommandStream(Stream):
    """A stream of commands; trajectories keep their points in `plans`."""

    def __init__(self, type_name: str, spec: ActionSpec, clock: Clock) -> None:
        super().__init__(spec.size, clock)
        self.type, self.spec = type_name, spec
        self.plans: list[tuple[np.ndarray, np.ndarray]] = []

    def add_command(self, message: Any, received: int) -> None:
        if self.type == TRAJECTORY:
            plan: list[Any] = []

            def keep() -> np.ndarray:
                plan.append(trajectory(message, self.spec))
                return np.zeros(self.size)

            if self.add(message, received, keep):
                self.plans += plan
        else:
            self.add(message, received, lambda: command(self.type, message, self.spec))

    def all_values(self) -> np.ndarray:
        """Every commanded action (rows, size), of trajectories every point."""
        if self.type == TRAJECTORY:
            return np.concatenate([np.zeros((0, self.size)), *[p[1] for p in self.plans]])
        return self.values

    def commands(self, chosen: np.ndarray, robot: RobotSpec, config: BagConfig) -> Commands:
        """The signal of the chosen messages (numbers, ascending)."""
        spec, times, received = self.spec, self.times[chosen], self.received[chosen]
        rest = None if spec.kind == "position" else np.clip(0.0, spec.low, spec.high)
        timeout = config.action.timeout
        if self.type == TRAJECTORY:
            if other_clock(self):
                received = times  # when it arrived is not known on the clock of the stamps
            plans = [
                Plan(int(r), int(t), *self.plans[i])
                for i, t, r in zip(chosen.tolist(), times, received, strict=True)
            ]
            limit = None if timeout is None else round(timeout * SECOND)
            return commands_of_plans(plans, round(robot.control_period * SECOND), rest, limit)
        order = np.argsort(times, kind="stable")
        times = times[order]
        limit = round((TIMEOUT if timeout is None else timeout) * SECOND)
        return Commands(times, self.values[chosen][order], times + limit, rest)


def other_clock(stream: Stream) -> bool:
    """Whether the stamps are of a clock that is not the recorder's, such as simulated time."""
    if not len(stream.times):
        return False
    return bool(abs(np.median(stream.received - stream.times)) > _OTHER_CLOCK)


@dataclasses.dataclass
class Streams:
    """All that was read. splits: moments (ns) at which an episode begins, by topic."""

    image: PictureStream
    state: Stream
    action: CommandStream
    splits: dict[str, list[int]]

    def of_topics(self, topics: dict[str, Topic]) -> dict[str, Stream | None]:
        """The stream of each topic that was read; None for those that only split."""
        read = {topic.name: getattr(self, role) for role, topic in topics.items()}
        return dict.fromkeys(self.splits) | read


def read_streams(
    bag: Bag,
    spec: RobotSpec,
    topics: dict[str, Topic],
    config: BagConfig,
    spool: IO[bytes],
    progress: Callable[[int], Any] = lambda _: None,
) -> Streams:
    """All pictures (into `spool`), states and commands. progress: called with 1 for each message.

    Raises BagError when a stream has no message that can be used, with the reason of the first.
    """
    clocks = {role: Clock(config.stamps) for role in ("image", "state", "action")}
    split_clock = Clock(config.stamps)
    streams = Streams(
        PictureStream(spec.image, clocks["image"], spool),
        Stream(spec.state.size, clocks["state"]),
        CommandStream(topics["action"].type, spec.action, clocks["action"]),
        {_full(bag, name): [] for name in config.split_at},
    )
    bag.damaged.clear()  # of earlier looks at the same messages
    role_of = {topic.name: role for role, topic in topics.items()}
    for item in bag.messages([*role_of, *streams.splits]):
        message, received = item.message, item.received
        role = role_of.get(item.topic)
        if role == "image":
            pixels = functools.partial(picture, item.type, message, spec.image)
            streams.image.add_picture(message, received, pixels)
        elif role == "state":
            row = functools.partial(state, item.type, message, spec.state)
            streams.state.add(message, received, row)
        elif role == "action":
            streams.action.add_command(message, received)
        if item.topic in streams.splits:
            streams.splits[item.topic].append(split_clock.moment(message, received))
        progress(1)
    for role, topic in topics.items():
        stream = getattr(streams, role)
        if stream.read == stream.refused:
            reason = stream.reason or "none can be decoded"
            raise BagError(f"no message of {topic.name} can be used as {role}: {reason}")
    return streams


def _full(bag: Bag, name: str) -> str:
    return name if name in bag.topics else f"/{name}"
