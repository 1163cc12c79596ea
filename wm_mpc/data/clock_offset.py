"""The offset between the clock of a stream's header stamps and the recorder's clock, over time.

Received minus stamp is the travel time of a message plus the offset of the clocks. The quickest
messages of each period separate the offset from the travel time.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from wm_mpc.units import SECOND

_DENSE = SECOND // 50  # ns; closer messages add no information
_WINDOW = 3 * SECOND  # ns; compared before and after a step
_FEW = 5  # messages; compared at least
_BLOCK = 2 * SECOND  # ns; the offset is constant within a block
_LOW = 20  # percentile that counts as quick


@dataclasses.dataclass(frozen=True)
class ClockOffset:
    """Received minus stamp of quick messages, interpolated between points.

    Attributes:
        at: Arrival times, int64 (points,), ns, ascending.
        values: Offsets, float64 (points,), ns.
        steps: Arrival times at which the offset jumps because a clock was set, ns.
    """

    at: np.ndarray
    values: np.ndarray
    steps: tuple[int, ...] = ()

    @classmethod
    def constant(cls, value: float) -> ClockOffset:
        """Return an offset that never changes.

        Args:
            value: The offset, ns.
        """
        return cls(np.zeros(1, np.int64), np.array([value], np.float64))

    @classmethod
    def measured(cls, received: np.ndarray, stamps: np.ndarray, smallest_step: int) -> ClockOffset:
        """Estimate the offset from the messages of a stream.

        Args:
            received: Arrival times, int64 (messages,), ns, at least one.
            stamps: Header stamps, int64 (messages,), ns.
            smallest_step: Smallest jump that counts as a set clock, ns.
        """
        order = np.argsort(received, kind="stable")
        received, late = received[order], (received - stamps)[order]
        received, late = _thinned(received, late)
        steps = _steps(received, late, smallest_step)
        at, values = [], []
        edges = [0, *steps, len(received)]
        for first, last in itertools.pairwise(edges):
            part_at, part = _quick(received[first:last], late[first:last])
            at.append(part_at)
            values.append(part)
        moments = tuple(int(received[i]) for i in steps)
        return cls(np.concatenate(at), np.concatenate(values), moments)

    def __call__(self, received: np.ndarray) -> np.ndarray:
        """Return the offset at some arrival times.

        Args:
            received: Arrival times, int64, ns.

        Returns:
            Offsets, int64, ns, of the same shape.
        """
        result = np.zeros(np.shape(received))
        pieces = np.searchsorted(self.steps, received, "right")
        mine = np.searchsorted(self.steps, self.at, "right")
        for number in range(len(self.steps) + 1):
            here, there = pieces == number, mine == number
            result[here] = np.interp(received[here], self.at[there], self.values[there])
        return np.rint(result).astype(np.int64)

    @property
    def middle(self) -> float:
        """Median offset, s."""
        return float(np.median(self.values)) / SECOND

    @property
    def speed(self) -> float:
        """Speed of the stamps' clock relative to the recorder's; 1 if a clock was set, or with
        too few data."""
        span = float(self.at[-1] - self.at[0])
        if self.steps or span <= 0:
            return 1.0
        return 1.0 - float(self.values[-1] - self.values[0]) / span

    @property
    def ends(self) -> tuple[float, float]:
        """Smallest and largest offset, s."""
        return float(self.values.min()) / SECOND, float(self.values.max()) / SECOND

    def __str__(self) -> str:
        low, high = self.ends
        if self.steps:
            return f"{low:+.3f} to {high:+.3f} s, with {len(self.steps)} steps"
        if high - low > 0.02:
            return f"{low:+.3f} to {high:+.3f} s, drifting"
        return f"{self.middle:+.3f} s"


def _thinned(received: np.ndarray, late: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The quickest of messages that arrive close together, because those before it waited for
    it."""
    begins = [0]
    for i, time in enumerate(received.tolist()):
        if time - received[begins[-1]] >= _DENSE:
            begins.append(i)
    quick = np.minimum.reduceat(late, begins)
    return received[begins], quick.astype(np.float64)


def _steps(received: np.ndarray, late: np.ndarray, smallest: int) -> list[int]:
    """Numbers of the messages from which on the clock differs permanently."""
    found = []
    for i in (np.flatnonzero(np.abs(np.diff(late)) > smallest) + 1).tolist():
        begin, end = np.searchsorted(received, [received[i] - _WINDOW, received[i] + _WINDOW])
        # After a pause, the window may hold only few, unusual messages.
        before = late[max(0, min(begin, i - _FEW)) : i]
        after = late[i : max(end, i + _FEW)]
        change = np.percentile(after, _LOW) - np.percentile(before, _LOW)
        jump = late[i] - late[i - 1]
        # If only the travel time varies, there are quick messages before and after.
        sure = min(abs(change), abs(after.min() - before.min())) > 0.5 * smallest
        if sure and abs(change - jump) < max(smallest, 0.3 * abs(jump)):
            found.append(i)
    return found


def _quick(received: np.ndarray, late: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of the line along the quick messages of a period without steps, ending at its first
    and last message."""
    if len(received) < 3:
        return received, late
    span = max(float(received[-1] - received[0]), 1.0)
    share = (received - received[0]) / span
    slope = _slope(share, late)
    flat = late - slope * share
    blocks = np.minimum((received - received[0]) // _BLOCK, int(max(span // _BLOCK, 1)) - 1)
    numbers = np.unique(blocks)
    centres = np.array([share[blocks == n].mean() for n in numbers])
    lows = np.array([np.percentile(flat[blocks == n], _LOW) for n in numbers])
    places = np.concatenate([[0.0], centres[(centres > 0) & (centres < 1)], [1.0]])
    values = np.interp(places, centres, lows) + slope * places
    return (received[0] + np.rint(places * span)).astype(np.int64), values


def _slope(share: np.ndarray, late: np.ndarray) -> float:
    """Slope between the quick messages of both ends; slow messages do not tilt it."""
    first, last = share <= 0.2, share >= 0.8
    change = np.percentile(late[last], _LOW) - np.percentile(late[first], _LOW)
    return float(change / (np.median(share[last]) - np.median(share[first])))
