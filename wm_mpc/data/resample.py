"""The rules that turn irregular streams into steps of one control period, on arrays only.

Images: the latest one. States: interpolated between neighbours. Actions: a signal that is constant
between commands; a step takes its value at the start (hold) or its mean over the period
(integrate). Times are integer nanoseconds of one clock, ascending.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from wm_mpc.control.timeline import FOREVER, Timeline
from wm_mpc.spec import ActionSpec
from wm_mpc.units import SECOND, STAMP_TOLERANCE, wrapped

_LIMIT_TOLERANCE = 1e-6  # share of the range; allows for rounding to float32
_PHASES = 20  # delays within a period that are compared


def latest(times: np.ndarray, at: np.ndarray, tolerance: int = STAMP_TOLERANCE) -> np.ndarray:
    """Return the index of the newest sample at each moment.

    Args:
        times: Times of the samples, int64 (samples,), ns.
        at: Moments, int64 (moments,), ns.
        tolerance: Time by which a sample may be newer than its moment, ns, so that jitter neither
            repeats nor skips one.

    Returns:
        int64 (moments,); -1 before the first sample.
    """
    return np.searchsorted(times, at + tolerance, side="right") - 1


def freshest_moments(times: np.ndarray, period: float, tolerance: int) -> np.ndarray:
    """Return moments one period apart at which the newest sample is as new as possible.

    The moments begin with the first sample. They begin up to a period later if the samples are then
    newer by more than `tolerance` (root mean square): otherwise an early first sample could make
    most moments come just before their own sample, and take the one before.

    Args:
        times: Times of the samples, int64 (samples,), ns, ascending, at least one.
        period: Time from one moment to the next, ns.
        tolerance: As in `latest`, ns.

    Returns:
        int64 (moments,), ns, until the last sample.
    """
    count = int((times[-1] - times[0] + tolerance) / period) + 1
    moments = times[0] + np.round(np.arange(count) * period).astype(np.int64)
    delays = np.round(np.arange(_PHASES) * period / _PHASES).astype(np.int64)
    ages = []
    for delay in delays:
        at = moments + delay
        at = at[at <= times[-1] + tolerance]
        age = (at - times[latest(times, at, tolerance)]).astype(float)
        ages.append(np.sqrt(np.mean(age**2)) if len(at) else np.inf)
    best = int(np.argmin(ages))
    if ages[0] - ages[best] <= tolerance:
        return moments
    moments = moments + delays[best]
    return moments[moments <= times[-1] + tolerance]


def interpolate(
    times: np.ndarray,
    values: np.ndarray,
    at: np.ndarray,
    max_gap: int,
    angles: Sequence[int] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate linearly between the samples before and after each moment.

    Args:
        times: Times of the samples, int64 (samples,), ns.
        values: Samples, float (samples, size).
        at: Moments, int64 (moments,), ns.
        max_gap: Longest time between two samples over which to interpolate, ns.
        angles: Columns in rad. They take the short way round, and results are between -pi and pi.

    Returns:
        Values, float64 (moments, size), and whether each is valid, bool (moments,). A value is not
        valid before the first sample, after the last, and in a longer gap.
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
    """A signal of commands: `values[i]` applies from `times[i]` until `until[i]` or the next
    command, whichever is earlier. Then the robot rests.

    Attributes:
        times: int64 (commands,), ns, ascending.
        values: float64 (commands, size).
        until: int64 (commands,), ns.
        rest: float64 (size,); None: a command applies until the next one (positions).
    """

    times: np.ndarray
    values: np.ndarray
    until: np.ndarray
    rest: np.ndarray | None

    def __post_init__(self) -> None:
        self._next = np.append(self.times[1:], FOREVER)
        self._end = self._next if self.rest is None else np.minimum(self.until, self._next)

    def held(self, at: np.ndarray, tolerance: int = STAMP_TOLERANCE) -> np.ndarray:
        """Return the command that applies at each moment.

        Args:
            at: Moments, int64 (moments,), ns.
            tolerance: Time by which a command may be newer than its moment, ns.

        Returns:
            float64 (moments, size). Before the first command: rest, or the first command without a
                rest.
        """
        if len(self.times) == 0:
            return np.zeros((len(at), self.values.shape[1]))
        index = latest(self.times, at, tolerance)
        result = self.values[np.maximum(index, 0)].astype(np.float64)
        if self.rest is not None:
            result[(index < 0) | (self._end[index] <= at + tolerance)] = self.rest
        return result

    def mean(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the mean of the signal over each interval.

        Args:
            begin: int64 (intervals,), ns.
            end: int64 (intervals,), ns, after `begin`.

        Returns:
            float64 (intervals, size).
        """
        # A piecewise constant signal has a piecewise linear integral, exact at all corners.
        corners = np.concatenate([self.times, self._end, begin, end])
        corners = np.unique(corners[corners < FOREVER])
        lengths = np.diff(corners)[:, None] / SECOND
        pieces = lengths * self.held(corners[:-1], 0)
        integral = np.concatenate([np.zeros((1, pieces.shape[1])), np.cumsum(pieces, axis=0)])
        first, last = np.searchsorted(corners, begin), np.searchsorted(corners, end)
        return (integral[last] - integral[first]) / ((end - begin) / SECOND)[:, None]

    def known(self, at: np.ndarray, max_silence: int) -> np.ndarray:
        """Return whether the command at each moment is known.

        It is not known before the first command, and not where nothing applies for more than
        `max_silence`: a recorder that received nothing does not know that the robot rested.

        Args:
            at: Moments, int64 (moments,), ns.
            max_silence: Longest time of rest, ns.

        Returns:
            bool (moments,).
        """
        if len(self.times) == 0:
            return np.zeros(len(at), bool)
        index = latest(self.times, at)
        in_force = at < self._end[index]
        return (index >= 0) & (in_force | (self._next[index] - self._end[index] <= max_silence))


@dataclasses.dataclass
class Plan:
    """A trajectory message; one without points means "rest now".

    Attributes:
        received: Arrival time, ns.
        start: Stamp, ns.
        offsets: int64 (points,), ns from the start, ascending.
        actions: float64 (points, size).
    """

    received: int
    start: int
    offsets: np.ndarray
    actions: np.ndarray


def commands_of_plans(
    plans: Iterable[Plan], period: int, rest: np.ndarray | None, timeout: int | None = None
) -> Commands:
    """Execute plans by time, as a consumer of `planned_actions` does.

    Point k applies from its time until that of the next point, and the last one for `period`. A
    plan replaces the rest of the plan before it, from its first point on but not before its
    arrival; a plan without points does so at once.

    Args:
        plans: Plans in the order of arrival.
        period: A control period, ns.
        rest: As in `Commands`.
        timeout: Time after its arrival at which a plan ends in any case, ns; None: never.
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


def within_limits(actions: np.ndarray, spec: ActionSpec, clipped: Counter[str]) -> np.ndarray:
    """Clip actions to their limits.

    Args:
        actions: (steps, action size), in the action's unit.
        spec: The actions.
        clipped: Receives the number of actions outside the limits, by name.

    Returns:
        float32 (steps, action size).
    """
    low, high = np.asarray(spec.low), np.asarray(spec.high)
    slack = _LIMIT_TOLERANCE * (high - low)
    outside = (actions < low - slack) | (actions > high + slack)
    for name, count in zip(spec.names, outside.sum(0).tolist(), strict=True):
        clipped[name] += count
    return np.clip(actions, low, high).astype(np.float32)


def split_at_gaps(times: np.ndarray, max_gap: int) -> list[slice]:
    """Return the pieces of a stream between gaps.

    Args:
        times: int64 (samples,), ns, ascending.
        max_gap: Longest time between two samples in a piece, ns.
    """
    edges = [0, *(np.flatnonzero(np.diff(times) > max_gap) + 1).tolist(), len(times)]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if a < b]


def runs(frames: np.ndarray, steps: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last frame of every longest run of usable frames joined by usable
    steps.

    Args:
        frames: Whether each frame is usable, bool (n,).
        steps: Whether the step from frame k to k + 1 is usable, bool (n - 1,).

    Returns:
        First and last frame of each run; runs have at least one step.
    """
    joined = frames[:-1] & steps & frames[1:]
    change = np.diff(np.concatenate([[0], joined.astype(np.int8), [0]]))
    begins, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def pieces(first: int, last: int, most: int) -> list[tuple[int, int]]:
    """Cut a run of frames into as few equal parts as possible.

    The last frame of a part is the first of the next, so no step is lost.

    Args:
        first: First frame.
        last: Last frame.
        most: Largest number of steps in a part.
    """
    count = -(-(last - first) // most)
    edges = np.linspace(first, last, count + 1).round().astype(int).tolist()
    return list(itertools.pairwise(edges))
