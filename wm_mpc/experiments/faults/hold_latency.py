"""How late a hold is on every output: from the node's decision until a robot has received it."""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.serialization import deserialize_message
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros import qos
from wm_mpc.ros.timing import to_nanoseconds

LONGEST = 0.005  # s, that 99 of 100 holds may take on each output
_EVER = int(np.iinfo(np.int64).max)
_LOST = 1.0  # s, after which a hold that did not come on an output counts as lost
_TYPES = {
    "planned_actions": JointTrajectory,
    "cmd_vel": TwistStamped,
    "commands": Float64MultiArray,
    "joint_trajectory": JointTrajectory,
}


class HoldBook:
    """Which messages are the answer to which hold; pure, so that it can be tested.

    A hold is decided at the stamp of the first plan without points after one with points; its
    answer on an output is the first message at rest that left the node from then on. Times are
    nanoseconds of one clock. Thread-safe.

    Args:
        outputs: Names of the outputs, `planned_actions` among them.
    """

    def __init__(self, outputs: Sequence[str]) -> None:
        self._outputs = tuple(outputs)
        self._lock = threading.Lock()
        self._moves, self._listens = False, True
        self._holds: list[int] = []
        self._rests: dict[str, set[tuple[int, int]]] = {name: set() for name in outputs}

    def listen(self, listens: bool = True) -> None:
        """Begin with a node that has just started; or pay no attention for now."""
        with self._lock:
            self._moves, self._listens = False, listens

    def plan(self, stamp: int, points: int, received: int) -> None:
        """A message of `planned_actions` with so many points."""
        with self._lock:
            if points == 0 and self._moves:
                self._holds.append(stamp)
                self._rests["planned_actions"].add((stamp, received))
            self._moves = points > 0 and self._listens

    def rest(self, output: str, sent: int, received: int) -> None:
        """A message on another output that lets the robot rest."""
        with self._lock:
            self._rests[output].add((sent, received))

    def latencies(self) -> dict[str, list[float]]:
        """Seconds of each hold, by output; infinite where it never came."""
        with self._lock:
            found: dict[str, list[float]] = {}
            for name in self._outputs:
                found[name] = []
                for hold in self._holds:
                    answers = [got for sent, got in self._rests[name] if sent >= hold]
                    late = (min(answers) - hold) / 1e9 if answers else math.inf
                    found[name].append(late if late < _LOST else math.inf)
            return found


class HoldLatencies:
    """Listens to the outputs of a robot that is moved by velocities or by positions.

    Messages count from when the middleware has received them, as it stamps them: how busy this
    process is does not count. So that it is not busy, they are read at the end. Simulated time is
    not for this: all stamps must be of one clock.

    Args:
        node: That listens; it is spun elsewhere.
        outputs: `planned_actions` and any of the others.

    Attributes:
        streams: The outputs beside `planned_actions`.
    """

    def __init__(self, node: Any, outputs: Sequence[str]) -> None:
        self._outputs = tuple(outputs)
        self.streams = tuple(name for name in outputs if name != "planned_actions")
        # Output, message, and what the middleware knows of it; or whether to listen from then on.
        self._heard: list[tuple[str, bytes, Mapping[str, int]] | bool] = []
        for name in outputs:
            hear = functools.partial(self._hear, name)
            node.create_subscription(_TYPES[name], name, hear, qos.APPENDED, raw=True)

    def listen(self, listens: bool = True) -> None:
        """See `HoldBook.listen`."""
        self._heard.append(listens)

    def _hear(self, output: str, message: bytes, info: Mapping[str, int]) -> None:
        self._heard.append((output, message, info))

    def found(self, moment: str = "received_timestamp") -> dict[str, list[float]]:
        """Seconds of each hold, by output.

        Args:
            moment: Until when: "received_timestamp", or "source_timestamp" for when it left the
                node.
        """
        reader = _Reader(self._outputs, moment)
        for heard in tuple(self._heard):
            if isinstance(heard, bool):
                reader.book.listen(heard)
            else:
                reader.read(*heard)
        return reader.book.latencies()


class _Reader:
    """Reads what was heard into a book. moment: see `HoldLatencies.found`."""

    def __init__(self, outputs: Sequence[str], moment: str) -> None:
        self.book, self._outputs, self._moment = HoldBook(outputs), outputs, moment
        self._handlers = {
            "planned_actions": self._on_plan,
            "cmd_vel": self._on_twist,
            "commands": self._on_commands,
            "joint_trajectory": self._on_trajectory,
        }
        # Of a robot moved by positions, where rest is any number: what leaves after a hold was
        # decided and before the next plan leaves. ns.
        self._plans: deque[tuple[int, bool]] = deque(maxlen=20)  # and whether it moves
        self._holds_positions = False
        self._commands: deque[tuple[int, int]] = deque(maxlen=40)  # left, received

    def read(self, output: str, message: bytes, info: Mapping[str, int]) -> None:
        self._handlers[output](deserialize_message(message, _TYPES[output]), info)

    def _received(self, info: Mapping[str, int]) -> int:
        return info[self._moment]

    def _on_plan(self, message: JointTrajectory, info: Mapping[str, int]) -> None:
        stamp, points = to_nanoseconds(message.header.stamp), len(message.points)
        self.book.plan(stamp, points, self._received(info))
        self._plans.append((info["source_timestamp"] if points else stamp, points > 0))
        self._match()

    def _on_twist(self, message: TwistStamped, info: Mapping[str, int]) -> None:
        twist = message.twist
        parts = (twist.linear, twist.angular)
        if not any(value for part in parts for value in (part.x, part.y, part.z)):
            self.book.rest("cmd_vel", to_nanoseconds(message.header.stamp), self._received(info))

    def _on_commands(self, message: Float64MultiArray, info: Mapping[str, int]) -> None:
        left, received = info["source_timestamp"], self._received(info)
        if not any(message.data):
            self.book.rest("commands", left, received)
        self._commands.append((left, received))
        self._match()

    def _on_trajectory(self, message: JointTrajectory, info: Mapping[str, int]) -> None:
        if len(message.points) != 1:
            return
        stamp = to_nanoseconds(message.header.stamp)
        self.book.rest("joint_trajectory", stamp, self._received(info))
        self._holds_positions = (
            bool(message.points[0].positions) and not message.points[0].velocities
        )
        self._match()

    def _match(self) -> None:
        """Commands of a robot moved by positions that belong to a hold."""
        if not self._holds_positions or "commands" not in self._outputs:
            return
        for (left, moves), (until, _) in itertools.pairwise((*self._plans, (_EVER, True))):
            for sent, received in self._commands:
                if not moves and left <= sent < until:
                    self.book.rest("commands", sent, received)


def summary(latencies: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """By output: how many holds there were, and p50, p99 and the largest latency, in ms."""
    found: dict[str, dict[str, float]] = {}
    for name, seconds in latencies.items():
        if not seconds:
            found[name] = {"holds": 0}
            continue
        ordered = np.sort(1e3 * np.array(seconds))
        ranks = [math.ceil(share * len(ordered)) - 1 for share in (0.5, 0.99, 1.0)]
        values = [round(float(ordered[rank]), 3) for rank in ranks]
        found[name] = {"holds": len(ordered), "p50": values[0], "p99": values[1], "max": values[2]}
    return found


def failures(latencies: Mapping[str, Sequence[float]], *, fewest: int = 1) -> list[str]:
    """What is wrong with them: too few, lost, or late."""
    found = []
    for name, told in summary(latencies).items():
        if told["holds"] < fewest:
            found.append(f"{name}: {told['holds']} holds were seen, {fewest} are needed")
        elif told["p99"] >= 1e3 * LONGEST:
            found.append(f"{name}: p99 of holds is {told['p99']:.1f} ms; 5 ms are allowed")
    return found


def lost(latencies: Mapping[str, Sequence[float]]) -> list[str]:
    """Outputs on which a hold never came."""
    counts = {name: sum(map(math.isinf, seconds)) for name, seconds in latencies.items()}
    return [f"{name}: {count} holds never came" for name, count in counts.items() if count]
