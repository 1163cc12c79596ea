"""How far the next command of a position robot may be from the earlier commands.

Commands leave at each tick, with each plan and with each hold. So two commands may be a millisecond
or half a second apart. Neither two commands in one control period nor one after a long silence may
ask for more than one period's motion. Times are integer nanoseconds of one clock.
"""

from __future__ import annotations

import numpy as np

_FORGIVEN = 0.25  # of a control period; a command may be so early and still make a whole step
_ROUNDING = 1.0 + 1e-9  # factor on the largest change, for rounding errors


class Pace:
    """Limits each command to one period's motion.

    This class remembers the commands of the present period. It also tracks where a robot is that
    follows its commands at the rate limit. Each new command stays within the largest change of all
    of them. So commands exceed the rate limit only briefly, and a late command is caught up at the
    rate limit. Not thread-safe.

    Args:
        change: (action size,), largest change in a control period, in the action's unit.
        period: Length of a control period, ns.
    """

    def __init__(self, change: np.ndarray, period: int) -> None:
        self._change, self._period = _ROUNDING * change, period
        self._short = round((1.0 - _FORGIVEN) * period)
        self.forget()

    def forget(self) -> None:
        """Forget where the robot is."""
        self._last: np.ndarray | None = None
        self._here = np.zeros(0)
        self._time: int | None = None
        self._recent: list[tuple[int, np.ndarray]] = []

    def begin(self, place: np.ndarray) -> None:
        """Note where the robot is. Earlier commands no longer count.

        Args:
            place: Position (action size,), in the action's unit.
        """
        self._last = self._here = np.array(place, np.float64)
        self._time, self._recent = None, []

    @property
    def last(self) -> np.ndarray | None:
        """The last command (action size,), or where the robot began; None while unknown."""
        return self._last

    def command(self, target: np.ndarray, now: int) -> np.ndarray:
        """Return the command that is nearest to a target, and note it as sent.

        The position must be known: call `begin` first.

        Args:
            target: Wanted position (action size,), in the action's unit.
            now: The time, ns.

        Returns:
            The command (action size,), in the action's unit.
        """
        assert self._last is not None
        if self._time is not None and now < self._time:
            # The clock was set back. Nobody knows for how long the robot had the earlier commands,
            # so they count as if the last of them had come just now.
            back = self._time - now
            self._recent = [(time - back, place) for time, place in self._recent]
        self._go_on(now)
        behind = np.abs(self._last - self._here)
        near = np.where(behind <= _FORGIVEN * self._change, self._last, self._here)
        self._recent = [(t, place) for t, place in self._recent if now - t < self._short]
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
