"""When the page gets its next pictures: in the pause between two plans, and more seldom while the
computer is busy.

A controller plans as soon as an image has come. Whoever draws and shows pictures at that moment, on
the same processor, delays the plan. So pictures wait for the plan that belongs to them.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

_PLANS_STOPPED = 1.0  # s without a plan, after which none is waited for
_EARLY = 0.3  # of a period, that a plan may come before its time
_SLOWEST = 4  # periods between two pictures on a busy computer
_MEMORY = 0.1  # weight of the latest lateness
_BUSY, _FREE = 0.030, 0.010  # s, lateness from which on fewer, or more, pictures come
_TRIAL = 3.0  # s between two changes


class Pace:
    """Says when pictures are due. `planned` is called by other threads.

    Args:
        clock: In s; it must not go back.
        sleep: Sleeps so many seconds, at least.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._plan = threading.Event()
        self._planned_at = -math.inf
        self._lateness = 0.0
        self._changed_at = clock()
        self.slowdown = 1

    def planned(self) -> None:
        """A plan, and its pictures, have just come."""
        self._planned_at = self._clock()
        self._plan.set()

    def wait(self, began: float, period: float) -> None:
        """Wait until the next pictures are due.

        Args:
            began: When the last ones were begun, s.
            period: Time between two pictures on a computer that is not busy, s.
        """
        period *= self.slowdown
        self._rest(began + (1.0 - _EARLY) * period - self._clock())
        if self._clock() - self._planned_at < _PLANS_STOPPED:
            self._plan.clear()
            self._plan.wait(min(period, _PLANS_STOPPED))
        else:
            self._rest(began + period - self._clock())

    def _rest(self, seconds: float) -> None:
        """Sleep. How much later than asked for it ends shows how busy the computer is."""
        seconds = max(0.005, seconds)
        due = self._clock() + seconds
        self._sleep(seconds)
        now = self._clock()
        self._lateness += _MEMORY * (max(0.0, now - due) - self._lateness)
        if now - self._changed_at < _TRIAL:
            return
        if self._lateness > _BUSY and self.slowdown < _SLOWEST:
            self.slowdown, self._changed_at = self.slowdown * 2, now
        elif self._lateness < _FREE and self.slowdown > 1:
            self.slowdown, self._changed_at = self.slowdown // 2, now
