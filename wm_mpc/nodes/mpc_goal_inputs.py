"""The goals that the node `mpc` hears on `goal/image` and `goal/state`, each once."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from sensor_msgs.msg import Image

from wm_mpc.control.same_goal import same_picture
from wm_mpc.ros import qos

_REPEATED = 2.0  # s between images that come by themselves, rather than from a person


class GoalInputs:
    """Keeps the newest goal image and state, whatever quality of service they are published with.

    image, state: the newest messages; None before the first. number: counts different ones.
    """

    def __init__(
        self,
        state_type: type,
        subscribe: Callable[..., Any],
        same_state: Callable[[Any, Any], bool],
    ) -> None:
        """state_type: of the messages on `goal/state`. subscribe: as `create_subscription` of a
        node. same_state: whether two of those messages tell the same."""
        self._same_state = same_state
        self._lock = threading.Lock()
        self.image: Any | None = None
        self.state: Any | None = None
        self.number = 0
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
        with self._lock:
            if self._came_before("image", info):
                return
            before, self.image = self.image, message
            self._times.append(time.monotonic())
            self.number += before is None or not same_picture(before, message)

    def store_state(self, message: Any, info: Mapping[str, Any]) -> None:
        """info: what the middleware knows of the message."""
        with self._lock:
            if self._came_before("state", info):
                return
            before, self.state = self.state, message
            self.number += before is None or not self._same_state(before, message)

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
