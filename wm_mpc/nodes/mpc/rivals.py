"""What the node `mpc` notices besides its inputs: another controller of the same robot."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from rclpy.serialization import deserialize_message
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros import qos

_QUIET = 1.0  # s without a word of another controller, until it counts as gone


class Rivals:
    """Whether another controller of the same robot is alive: two plans at once are none.

    Who has died is known to the middleware for a while longer, so what counts is that somebody
    else's plans come.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._sent: deque[bytes] = deque(maxlen=50)
        self._own: deque[tuple[Any, ...]] = deque(maxlen=50)
        self._heard: deque[tuple[float, bytes]] = deque(maxlen=50)  # s, monotonic; a plan
        self._last = -1e9  # s, monotonic
        self._lock = threading.Lock()
        # Not unpacked as it comes: it is our own plan most of the time, which is just leaving.
        self._subscription = node.create_subscription(
            JointTrajectory, "planned_actions", self._on_plan, qos.ALL_PLANS, raw=True
        )

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)

    def forget(self) -> None:
        """What was heard up to now does not count: this controller has only begun."""
        with self._lock:
            self._heard.clear()
            self._last = -1e9

    def sent(self, message: bytes) -> None:
        """A plan of our own, serialized, is about to leave."""
        self._sent.append(message)

    def _on_plan(self, message: bytes) -> None:
        self._heard.append((time.monotonic(), message))

    def listen(self) -> None:
        """Look at what has come; when there is time, which saves it later."""
        with self._lock:
            while self._heard:
                moment, message = self._heard.popleft()
                # What was heard was sent before.
                while self._sent:
                    self._own.append(_mark(self._sent.popleft()))
                # Each of our own comes once; an equal one more is a twin's.
                if (mark := _mark(message)) in self._own:
                    self._own.remove(mark)
                else:
                    self._last = moment

    @property
    def is_there(self) -> bool:
        self.listen()
        return time.monotonic() - self._last < _QUIET


def _mark(serialized: bytes) -> tuple[Any, ...]:
    """What tells a plan from others, also from that of a twin for the same image."""
    try:
        message = deserialize_message(serialized, JointTrajectory)
    except Exception:  # whatever it is, it is nobody's plan
        return ()
    stamp, points = message.header.stamp, message.points
    ends = [
        (*point.positions, *point.velocities, *point.effort)
        for point in (*points[:1], *points[-1:])
    ]
    return stamp.sec, stamp.nanosec, len(points), *ends
