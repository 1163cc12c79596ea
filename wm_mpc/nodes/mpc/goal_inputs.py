"""The goals that the node `mpc` hears on `goal/image` and `goal/state`, each once.

A goal is read when it comes. One that cannot be read is refused: the goal that was there stays.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rclpy.event_handler import SubscriptionEventCallbacks
from sensor_msgs.msg import Image

from wm_mpc.codes import WarningCode
from wm_mpc.control.observing import Warnings
from wm_mpc.control.same_goal import same_picture
from wm_mpc.messages.errors import MessageError
from wm_mpc.ros import qos
from wm_mpc.ros.dropped import Dropped
from wm_mpc.ros.timing import to_nanoseconds

_LARGEST = 1e9  # of a goal's state: far beyond any robot, and its square is still a number
_REPEATED = 2.0  # s between images that come by themselves, rather than from a person


def check_goal_state(values: np.ndarray, names: Sequence[str]) -> None:
    """values: a goal's state, (state size,). Raises MessageError where one is beyond any robot."""
    for name, value in zip(names, values.tolist(), strict=True):
        if abs(value) > _LARGEST:
            raise MessageError(f"state: {name} is {value:g}; accepted: up to {_LARGEST:g}")


class RefusedGoals:
    """Says what was refused because it cannot be read. Thread-safe.

    newest: what is wrong with the newest goal; empty where that could be read.
    """

    def __init__(
        self, warn: Callable[[str], None], dropped: Dropped, resolve: Callable[[str], str]
    ) -> None:
        """warn: called with each refusal that is news. dropped: the book of all messages that could
        not be used, which counts them. resolve: gives a topic's full name."""
        self._warn, self._warnings = warn, Warnings()
        self._dropped, self._resolve = dropped, resolve
        self._lock = threading.Lock()
        self._topics: set[str] = set()
        self._last = self.newest = ""

    def refuse(self, topic: str, error: Exception) -> None:
        """topic: on which the goal came. error: why it is not taken."""
        reason, name = f"{error} ({topic})", self._resolve(topic)
        text = f"goal refused: {reason}"
        with self._lock:
            is_news = reason != self.newest
            is_news |= self._warnings.see("goal", text, time.monotonic())
            self.newest = self._last = reason
            self._topics.add(name)
        self._dropped.note(name, f"goal refused: {error}")
        if is_news:
            self._warn(text)

    def accept(self) -> None:
        """A goal could be read."""
        self.newest = ""

    def warned(self) -> dict[WarningCode, str]:
        """For a while after a refusal, what was refused."""
        text = self._warnings.text(time.monotonic())
        return {WarningCode.GOAL_REFUSED: text} if text else {}

    def values(self) -> dict[str, object]:
        """For diagnostics."""
        with self._lock:
            topics, last = frozenset(self._topics), self._last
        count = self._dropped.count(topics)
        return {"goals refused": f"{count}; last: {last}"} if count else {}


class GoalInputs:
    """Keeps the newest goal image and state, whatever quality of service they are published with.

    image, state: the newest messages that can be read; None before the first. A state that belongs
    to the picture before is None, too. number: counts different ones.
    """

    def __init__(
        self,
        state_type: type,
        subscribe: Callable[..., Any],
        *,
        same_state: Callable[[Any, Any], bool],
        read: Callable[[Any | None, Any | None], object],
        refused: RefusedGoals,
    ) -> None:
        """
        Args:
            state_type: Of the messages on `goal/state`.
            subscribe: As `create_subscription` of a node.
            same_state: Whether two of those messages tell the same.
            read: Reads an image and a state, each of which may be None. Raises MessageError for
                what cannot be read.
            refused: Gets to know what is refused.
        """
        self._same_state, self._read, self._refused = same_state, read, refused
        self._order = threading.Lock()  # messages are stored one after another
        self._lock = threading.Lock()
        self.image: Any | None = None
        self.state: Any | None = None
        self.number = 0
        self._state_is_of_before = False  # a state was refused since the last image
        self._came = {"image": 0, "state": 0}  # ns, monotonic
        self._times: deque[float] = deque(maxlen=3)  # s, monotonic, of images
        self._heard: deque[tuple[str, int]] = deque(maxlen=20)  # what, and when sent (ns)
        # Of several subscriptions to a topic, some do not fit a publisher; that is as it should be.
        silent = SubscriptionEventCallbacks(use_default_callbacks=False)
        self.subscriptions = [
            subscribe(kind, topic, store, profile, event_callbacks=silent)
            for kind, topic, store in (
                (Image, "goal/image", self.store_image),
                (state_type, "goal/state", self.store_state),
            )
            for profile in qos.GOALS
        ]

    def store_image(self, message: Any, info: Mapping[str, Any]) -> None:
        """info: what the middleware knows of the message."""
        with self._order:
            if self._came_before("image", info):
                return
            is_new = self.image is None or not same_picture(self.image, message)
            if is_new and not self._is_readable("goal/image", message, None):
                return
            now = time.monotonic_ns()
            with self._lock:
                if is_new and (self._state_is_of_before or self._is_of_before(message, now)):
                    self.state = None
                    self._state_is_of_before = False
                if is_new:
                    self._came["image"] = now
                self.image = message
                self._times.append(time.monotonic())
                self.number += is_new
        self._refused.accept()

    def store_state(self, message: Any, info: Mapping[str, Any]) -> None:
        """info: what the middleware knows of the message."""
        with self._order:
            if self._came_before("state", info):
                return
            if not self._is_readable("goal/state", None, message):
                self._forget_state_of_before(message)
                return
            with self._lock:
                before, self.state = self.state, message
                self._came["state"] = time.monotonic_ns()
                self._state_is_of_before = False
                self.number += before is None or not self._same_state(before, message)
        self._refused.accept()

    def _is_of_before(self, image: Any, now: int) -> bool:
        """Whether the state that is kept belongs to the picture before a new one: it is nearer to
        that in time. now: when the new one came (ns, monotonic)."""
        if self.image is None or self.state is None:
            return False
        stamps = [to_nanoseconds(m.header.stamp) for m in (self.image, self.state, image)]
        came = self._came["image"], self._came["state"], now
        before, state, new = stamps if all(stamps) else came
        return abs(state - before) < abs(state - new)

    def _is_readable(self, topic: str, image: Any | None, state: Any | None) -> bool:
        try:
            self._read(image, state)
        except MessageError as error:
            self._refused.refuse(topic, error)
            return False
        return True

    def _forget_state_of_before(self, refused: Any) -> None:
        """The state that is kept does not belong to the picture that a refused one came with, nor
        to the next picture."""
        stamp = to_nanoseconds(refused.header.stamp)
        with self._lock:
            came = bool(stamp and self.image and to_nanoseconds(self.image.header.stamp) == stamp)
            if came and self.state and to_nanoseconds(self.state.header.stamp) != stamp:
                self.state = None
            self._state_is_of_before = not came

    def _came_before(self, what: str, info: Mapping[str, Any]) -> bool:
        """Whether a message came by another subscription to its topic already."""
        write = what, info.get("source_timestamp", 0)
        if write[1] and write in self._heard:
            return True
        self._heard.append(write)
        return False

    @property
    def is_repeated(self) -> bool:
        """Whether images come one after another by themselves, as from a camera."""
        with self._lock:
            times = list(self._times)
        is_full = len(times) == self._times.maxlen
        return is_full and all(b - a <= _REPEATED for a, b in itertools.pairwise(times))
