"""When to plan next: at a steady rate, and right after an observation.

Times are integer nanoseconds of the node's clock.
"""

from __future__ import annotations

import statistics
from collections import deque

_GAPS = 5  # gaps between observations; their median is the interval
_WAIT_SHARE = 0.6  # of a period; longest wait for an observation that is about to come
_SLEW = 0.02  # of a period; how fast the grid moves towards the arrival of observations
_OVERDUE = 1.3  # intervals; an observation later than this is no longer expected
_ALIKE = 0.1  # of a period; two periods that differ by less count as equal
_PACE = (0.8, 1.25)  # of a period; observations at such intervals come as often as plans
_BURST = 0.25  # of a period; a shorter gap means that a delayed observation caught up


class PlanSchedule:
    """A grid of due times that locks onto the arrival of observations.

    `is_due` decides; `planned` moves on to the next due time.
    """

    def __init__(self) -> None:
        self._due: int | None = None
        self._last_arrival: int | None = None
        self._arrivals = 0
        self._interval: float | None = None
        self._gaps: deque[int] = deque(maxlen=_GAPS)  # ns, between the last observations

    def arrived(self, now: int) -> None:
        """Note that an observation arrived.

        Args:
            now: The time, ns.
        """
        self._arrivals += 1
        if self._last_arrival is not None and now > self._last_arrival:
            self._gaps.append(now - self._last_arrival)
            self._interval = float(statistics.median(self._gaps))  # one pause does not change it
        self._last_arrival = now

    def is_due(self, now: int, period: int, *, is_new: bool) -> bool:
        """Whether to plan now.

        Args:
            now: The time, ns.
            period: Time between plans, ns.
            is_new: Whether an observation arrived that no plan has used yet.
        """
        if self._due is None or now < self._due - 2 * period:  # first plan, or time went back
            self._due = now
        if is_new and now < self._due and (self._arrivals == 1 or self._is_of_train(period)):
            self._due = now
        if now < self._due:
            return False
        return (is_new and self._is_fresh(now, period)) or now >= self._due + self._patience(period)

    def _is_of_train(self, period: int) -> bool:
        """Whether observations come as often as plans. Then plan at once, even if they jitter."""
        if self._interval is None:
            return False
        least, most = (share * period for share in _PACE)
        return least <= self._interval <= most and self._gaps[-1] >= _BURST * period

    def _is_fresh(self, now: int, period: int) -> bool:
        """Whether the last observation is nearer in time than the next one."""
        if self._last_arrival is None or self._interval is None:
            return True
        return now - self._last_arrival <= 0.5 * min(self._interval, period)

    def _patience(self, period: int) -> float:
        """How long (ns) after the due time to wait for a new observation."""
        if self._due is None or self._last_arrival is None or self._interval is None:
            return 0.0
        expected = self._last_arrival + _OVERDUE * self._interval - self._due
        return expected if 0.0 < expected <= _WAIT_SHARE * period else 0.0

    def _is_late(self, period: int) -> bool:
        """Whether observations come as often as plans, but after the due time."""
        if self._due is None or self._last_arrival is None or self._interval is None:
            return False
        is_alike = abs(self._interval - period) <= _ALIKE * period
        return is_alike and 0 < self._last_arrival - self._due < period

    def remaining(self, now: int) -> int:
        """Return the time until the next due time, ns; 0 when it has come.

        Args:
            now: The time, ns.
        """
        return 0 if self._due is None else max(0, self._due - now)

    def planned(self, now: int, period: int) -> int:
        """Note that planning started.

        Args:
            now: The time, ns.
            period: Time between plans, ns.

        Returns:
            The number of due times that were missed.
        """
        assert self._due is not None
        due, arrival = self._due, self._last_arrival
        waiting = arrival is not None and due - arrival > _SLEW * period
        if arrival is not None and self._is_late(period):
            due = arrival
        due += period - (round(_SLEW * period) if waiting else 0)
        missed = max(0, (now - due) // period + 1) if now >= due else 0
        self._due = due + missed * period
        return int(missed)


class StandingClock:
    """Notices that a clock stands still, as simulated time does when its source has ended."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None  # time of the clock, and since when

    def stood(self, now: int, moment: float) -> float:
        """Return for how long the clock has shown the same time, s.

        Args:
            now: The time that it shows, ns.
            moment: The time, s of a steady clock.
        """
        if self._last is None or self._last[0] != now:
            self._last = now, moment
        return moment - self._last[1]
