"""Detect a camera that repeats one picture while the robot moves. Knows nothing of ROS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

_MOVED = 0.05  # m or rad; more than noise, and enough to be seen in a picture


class FrozenCamera:
    """Detects a camera that sends one picture again and again although the robot moves.

    A robot that stands still may look the same all the time. So a robot without known positions is
    never reported. Positions are compared by name, so a message may name some joints only.
    Thread-safe as long as one thread calls `see` and one calls `moved`.

    Args:
        angles: Names of positions that wrap at +-pi rad.
        clock: Returns the time, s of a steady clock.
    """

    def __init__(
        self, angles: Collection[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._angles, self._clock = frozenset(angles), clock
        self._picture: Any = None
        self._since = 0.0
        self._places: dict[str, float] = {}

    def see(self, message: Any) -> None:
        """Note an image message on arrival.

        Args:
            message: The message.
        """
        if self._picture is not None and message.data == self._picture:
            return
        self._picture, self._since, self._places = message.data, self._clock(), {}

    def moved(self, places: Mapping[str, float], seconds: float) -> float:
        """Return how long the camera has repeated its picture while the robot moved.

        Args:
            places: Newest positions by name, m or rad.
            seconds: A shorter repetition does not count, s.

        Returns:
            The time in s; 0 if the robot has not moved, or if the repetition does not count.
        """
        first, lasted = self._places, self._clock() - self._since
        moved = False
        for name, place in places.items():
            if math.isfinite(place):
                change = place - first.setdefault(name, place)
                if name in self._angles:
                    change = math.remainder(change, 2.0 * math.pi)
                moved = moved or abs(change) > _MOVED
        return lasted if moved and lasted > seconds else 0.0
