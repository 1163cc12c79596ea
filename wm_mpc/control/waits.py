"""How long messages waited until they were read, which makes what they tell old.

A process that was stopped, or had no time, finds messages of that time when it goes on. They must
not count as new. This module knows nothing of ROS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from wm_mpc.units import SECOND

_MOST = 64  # publishers that are kept
_LEAST = 0.05  # s; a shorter wait is the jitter of a trip


class Waits:
    """Waiting times of the messages of some publishers.

    The clocks of two computers may differ. So the shortest of a publisher's latest trips counts as
    a trip without a wait. Not thread-safe.

    Args:
        latest: Number of latest trips that are compared, more than messages can be waiting.
    """

    def __init__(self, latest: int) -> None:
        self._latest = latest
        self._trips: dict[Hashable, deque[int]] = {}

    def see(self, publisher: Hashable, sent: int, now: int) -> float:
        """Note a message that is read now.

        Args:
            publisher: What tells its publisher from others.
            sent: When it was sent, ns by the publisher's clock; 0 if unknown.
            now: The time, ns by this computer's clock.

        Returns:
            Seconds that it waited; 0 if unknown.
        """
        if not sent:
            return 0.0
        trips = self._trips.setdefault(publisher, deque(maxlen=self._latest))
        if len(self._trips) > _MOST:
            del self._trips[next(iter(self._trips))]
        trips.append(now - sent)
        waited = (trips[-1] - min(trips)) / SECOND
        return waited if waited > _LEAST else 0.0
