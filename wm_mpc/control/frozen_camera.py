"""A camera that sends one picture again and again while the robot moves. Knows nothing of ROS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

_MOVED = 0.05  # m or rad: more than noise, and more than a pixel hides


class FrozenCamera:
    """Whether the camera sends one and the same picture, stamp after stamp, though the robot moves.

    A robot that stands still may well look the same; so does nothing of which no position is known.
    Positions are compared by name, so messages that tell of some joints only do no harm.
    Thread-safe as long as one thread calls `see` and one `moved`.
    """

    def __init__(
        self, angles: Collection[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """angles: names of positions that wrap at +-pi rad. clock: s, steady."""
        self._angles, self._clock = frozenset(angles), clock
        self._picture: Any = None
        self._since = 0.0
        self._places: dict[str, float] = {}

    def see(self, message: Any) -> None:
        """An image message, just come."""
        if self._picture is not None and message.data == self._picture:
            return
        self._picture, self._since, self._places = message.data, self._clock(), {}

    def moved(self, places: Mapping[str, float], seconds: float) -> float:
        """How long (s) the picture has been repeated, if longer than `seconds` and if the robot has
        moved since; else 0. places: its newest positions (m or rad) by name."""
        first, lasted = self._places, self._clock() - self._since
        moved = False
        for name, place in places.items():
            if math.isfinite(place):
                change = place - first.setdefault(name, place)
                if name in self._angles:
                    change = math.remainder(change, 2.0 * math.pi)
                moved = moved or abs(change) > _MOVED
        return lasted if moved and lasted > seconds else 0.0
