"""From streams that come when they like to steps of one control period: the rules, on arrays only.

Pictures: the latest. States: interpolated between their neighbours. Actions: a signal that is
constant between commands, of which a step takes the value at its begin (hold) or the mean over its
period (integrate). Times are integer nanoseconds of one clock, ascending.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from wm_mpc.control.timeline import FOREVER, Timeline
from wm_mpc.units import SECOND, STAMP_TOLERANCE, wrapped


def latest(times: np.ndarray, at: np.ndarray, tolerance: int = STAMP_TOLERANCE) -> np.ndarray:
    """Index of the newest sample at each moment, int64 (moments,); -1 before the first.

    times: int64 (samples,); at: int64 (moments,). tolerance: ns by which a sample may be younger
    than its moment, so that jitter neither repeats nor skips one.
    """
    return np.searchsorted(times, at + tolerance, side="right") - 1


def interpolate(
    times: np.ndarray,
    values: np.ndarray,
    at: np.ndarray,
    max_gap: int,
    angles: Sequence[int] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Values on the straight line between the samples before and after each moment: float64
    (moments, size), and whether there is such a line: bool (moments,).

    There is none before the first sample, after the last, and between two that are more than
    `max_gap` ns apart. angles: columns in rad, which go the short way round and come out between
    -pi and pi.
    """
    size = values.shape[1]
    if len(times) == 0:
        return np.zeros((len(at), size)), np.zeros(len(at), bool)
    before = np.clip(latest(times, at), 0, len(times) - 1)
    after = np.clip(np.searchsorted(times, at - STAMP_TOLERANCE), 0, len(times) - 1)
    after = np.maximum(after, before)
    span = times[after] - times[before]
    valid = (times[before] <= at + STAMP_TOLERANCE) & (times[after] >= at - STAMP_TOLERANCE)
    valid &= span <= max_gap
    share = np.where(span > 0, (at - times[before]) / np.maximum(span, 1), 0.0)
    first, change = values[before], values[after] - values[before]
    columns = list(angles)
    change[:, columns] = wrapped(change[:, columns])
    result = first + np.clip(share, 0.0, 1.0)[:, None] * change
    result[:, columns] = wrapped(result[:, columns])
    return result, valid


@dataclasses.dataclass
class Commands:
    """What was commanded, and when: `values[i]` is in force from `times[i]` until `until[i]` or the
    next command, whichever is earlier. After that the robot rests.

    times, until: int64 (commands,), `times` ascending; values: float64 (commands, size). rest:
    float64 (size,), or None where a command stays in force until the next (positions).
    """

    times: np.ndarray
    values: np.ndarray
    until: np.ndarray
    rest: np.ndarray | None

    def __post_init__(self) -> None:
        self._next = np.append(self.times[1:], FOREVER)
        self._end = self._next if self.rest is None else np.minimum(self.until, self._next)

    def held(self, at: np.ndarray, tolerance: int = STAMP_TOLERANCE) -> np.ndarray:
        """The command in force at each moment: float64 (moments, size). Before the first command,
        rest; where there is no rest, the first command."""
        if len(self.times) == 0:
            return np.zeros((len(at), self.values.shape[1]))
        index = latest(self.times, at, tolerance)
        result = self.values[np.maximum(index, 0)].astype(np.float64)
        if self.rest is not None:
            result[(index < 0) | (self._end[index] <= at + tolerance)] = self.rest
        return result

    def mean(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """The mean over each time from `begin` to `end` of what was in force: float64 (times,
        size)."""
        # A signal constant in pieces has an integral linear in pieces: exact at all corners.
        corners = np.concatenate([self.times, self._end, begin, end])
        corners = np.unique(corners[corners < FOREVER])
        lengths = np.diff(corners)[:, None] / SECOND
        pieces = lengths * self.held(corners[:-1], 0)
        integral = np.concatenate([np.zeros((1, pieces.shape[1])), np.cumsum(pieces, axis=0)])
        first, last = np.searchsorted(corners, begin), np.searchsorted(corners, end)
        return (integral[last] - integral[first]) / ((end - begin) / SECOND)[:, None]

    def known(self, at: np.ndarray, max_silence: int) -> np.ndarray:
        """Whether it is known what was commanded at each moment: bool (moments,).

        It is not before the first command, nor where nothing is in force for more than
        `max_silence` ns: a recorder that heard nothing does not know that the robot rested.
        """
        if len(self.times) == 0:
            return np.zeros(len(at), bool)
        index = latest(self.times, at)
        in_force = at < self._end[index]
        return (index >= 0) & (in_force | (self._next[index] - self._end[index] <= max_silence))


@dataclasses.dataclass
class Plan:
    """A trajectory message. received: its arrival, ns; start: its stamp, ns; offsets: int64
    (points,), ns from the start, ascending; actions: float64 (points, size). No points mean "rest
    now"."""

    received: int
    start: int
    offsets: np.ndarray
    actions: np.ndarray


def commands_of_plans(
    plans: Iterable[Plan], period: int, rest: np.ndarray | None, timeout: int | None = None
) -> Commands:
    """Plans executed by time, as the consumer of `planned_actions` does it.

    Point k is in force from its time until that of the next point, the last one for `period` ns.
    A plan replaces what is left of the one before it, from its first point on but not before it
    has arrived; without points, at once. plans: in the order of arrival. rest: as `Commands` has
    it. timeout: ns after its arrival at which a plan ends whatever it says; None: never.
    """
    timeline = Timeline(period, rest)
    for plan in plans:
        expires = FOREVER if timeout is None else plan.received + timeout
        timeline.put(
            plan.start,
            plan.actions,
            offsets=plan.offsets,
            received=plan.received,
            expires=expires,
        )
    times, until, values = timeline.pieces()
    return Commands(times, values, until, rest)


def split_at_gaps(times: np.ndarray, max_gap: int) -> list[slice]:
    """Pieces of a stream between which nothing came for more than `max_gap` ns."""
    edges = [0, *(np.flatnonzero(np.diff(times) > max_gap) + 1).tolist(), len(times)]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if a < b]


def runs(frames: np.ndarray, steps: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame of every longest run of usable frames joined by usable steps.

    frames: bool (n,); steps: bool (n - 1,), whether the step from frame k to k + 1 is usable. Runs
    have at least one step.
    """
    joined = frames[:-1] & steps & frames[1:]
    change = np.diff(np.concatenate([[0], joined.astype(np.int8), [0]]))
    begins, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def pieces(first: int, last: int, most: int) -> list[tuple[int, int]]:
    """A run of frames cut into as few equal parts as possible of at most `most` steps. The last
    frame of one is the first of the next: no step is lost."""
    count = -(-(last - first) // most)
    edges = np.linspace(first, last, count + 1).round().astype(int).tolist()
    return list(itertools.pairwise(edges))
