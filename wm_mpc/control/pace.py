"""How far the next command of a robot moved by positions may be from the ones before it.

Commands leave at ticks, but also with each plan and each hold, so two of them may be a millisecond
apart, or half a second. Neither two in one control period nor one after a long silence may ask for
more than one period's motion. Times are integer nanoseconds of one clock.
"""

from __future__ import annotations

import numpy as np

_FORGIVEN = 0.25  # of a control period: how much too early a command may come and be a whole step
_ROUNDING = 1.0 + 1e-9  # of the largest change; what arithmetic may be off


class Pace:
    """The commands of the present period, and where a robot is by now that follows them at the rate
    limit.

    Each command is within the largest change of all of them. So commands never move faster than the
    rate limit for long, and what was late catches up at the rate limit only. Not thread-safe.

    Args:
        change: (action size,), the largest change in a control period.
        period: Length of a control period, ns.
    """

    def __init__(self, change: np.ndarray, period: int) -> None:
        self._change, self._period = _ROUNDING * change, period
        self._short = round((1.0 - _FORGIVEN) * period)
        self.forget()

    def forget(self) -> None:
        """Nobody knows where the robot is."""
        self._last: np.ndarray | None = None
        self._here = np.zeros(0)
        self._time: int | None = None
        self._recent: list[tuple[int, np.ndarray]] = []

    def begin(self, place: np.ndarray) -> None:
        """The robot is at a place (action size,), whatever was commanded before."""
        self._last = self._here = np.array(place, np.float64)
        self._time, self._recent = None, []

    @property
    def last(self) -> np.ndarray | None:
        """The last command (action size,), or where the robot began; None while unknown."""
        return self._last

    def command(self, target: np.ndarray, now: int) -> np.ndarray:
        """Note a command as sent: as near to a target (action size,) as it may be at `now`. Only
        where the robot has begun."""
        assert self._last is not None
        self._go_on(now)
        behind = np.abs(self._last - self._here)
        near = np.where(behind <= _FORGIVEN * self._change, self._last, self._here)
        self._recent = [(t, place) for t, place in self._recent if 0 <= now - t < self._short]
        places = np.array([self._last, near, *(place for _, place in self._recent)])
        low = np.minimum(places.max(0) - self._change, self._last)
        high = np.maximum(places.min(0) + self._change, self._last)
        self._last = np.clip(np.asarray(target, np.float64), low, high)
        self._recent.append((now, self._last))
        return self._last.copy()

    def _go_on(self, now: int) -> None:
        assert self._last is not None
        if self._time is not None:
            reach = self._change * (max(0, now - self._time) / self._period)
            self._here = np.clip(self._last, self._here - reach, self._here + reach)
        self._time = now
