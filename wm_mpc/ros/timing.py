"""Time in the nodes: integer nanoseconds, latencies, and the clocks that pace a control loop.

Stamps are kept as `int` nanoseconds, never as `float` seconds: a float holding the time since
1970 resolves 0.24 us only, which is enough to put a plan's point into the wrong control period.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
from builtin_interfaces.msg import Duration, Time

from wm_mpc.units import SECOND

_NAP = 0.05  # s, longest sleep, so that a request to stop is seen soon


def to_nanoseconds(stamp: Time | Duration) -> int:
    """A message's stamp or duration in nanoseconds."""
    return int(stamp.sec) * SECOND + int(stamp.nanosec)


def to_stamp(nanoseconds: int) -> Time:
    """Inverse of `to_nanoseconds` for a `builtin_interfaces/Time`."""
    return Time(sec=nanoseconds // SECOND, nanosec=nanoseconds % SECOND)


def stamp_text(stamp: Time) -> str:
    """A stamp in seconds, with all its digits."""
    return f"{stamp.sec}.{stamp.nanosec:09d}"


def to_duration(nanoseconds: int) -> Duration:
    """Inverse of `to_nanoseconds` for a `builtin_interfaces/Duration`."""
    return Duration(sec=nanoseconds // SECOND, nanosec=nanoseconds % SECOND)


def from_seconds(seconds: float) -> int:
    """Seconds to the nearest nanosecond."""
    return round(seconds * SECOND)


@dataclasses.dataclass(frozen=True)
class LatencySummary:
    """Seconds over the window; NaN while nothing was measured. count: samples in the window."""

    count: int
    mean: float
    p50: float
    p99: float
    max: float


class LatencyTracker:
    """The latest `window` durations and their percentiles. Thread-safe."""

    def __init__(self, window: int = 1000) -> None:
        if window < 1:
            raise ValueError(f"window is {window}; at least 1 sample is needed")
        self._samples: collections.deque[float] = collections.deque(maxlen=window)
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        with self._lock:
            self._samples.append(seconds)

    def summary(self) -> LatencySummary:
        with self._lock:
            samples = np.array(self._samples)
        if samples.size == 0:
            return LatencySummary(0, math.nan, math.nan, math.nan, math.nan)
        p50, p99 = np.percentile(samples, [50, 99])
        return LatencySummary(
            samples.size, float(samples.mean()), float(p50), float(p99), float(samples.max())
        )


# Where the time from an image to its plan goes, in this order. receive: from the camera's `publish`
# to our callback. wait: for the thread that plans, and for the robot state of that moment. convert:
# messages to arrays. encode: image to latent. plan: the search. publish: the plan as a message.
STAGES = ("receive", "wait", "convert", "encode", "plan", "publish")
_LONGEST_TRIP = 10.0  # s; what seems to have taken longer was stamped by another clock


def trip_seconds(sent: int, now: int) -> float:
    """Seconds a message travelled. sent: when, as the middleware says (system time, ns; 0: it does
    not say); now: system time, ns. NaN when that is not known, as between computers whose clocks
    differ."""
    seconds = (now - sent) / SECOND
    return seconds if sent > 0 and 0.0 <= seconds <= _LONGEST_TRIP else math.nan


class StageClock:
    """Laps of one plan. received: when its image came (s, `time.monotonic`); trip: how long it
    travelled (s), NaN when unknown."""

    def __init__(self, received: float, trip: float) -> None:
        self.seconds = {"receive": trip}
        self._last = received

    def lap(self, stage: str, ended: float | None = None) -> None:
        """A stage has ended, just now or at a moment (s, `time.monotonic`); the next one begins."""
        now = time.monotonic() if ended is None else ended
        self.seconds[stage] = now - self._last
        self._last = now

    def lap_two(self, first: str, second: str, seconds: float) -> None:
        """Two stages have just ended, of which the first took so many seconds."""
        self.lap(second)
        self.seconds[first], self.seconds[second] = seconds, self.seconds[second] - seconds


class StageTimes:
    """The latest plans' time from image to plan, by stage. Thread-safe."""

    def __init__(self, window: int = 500) -> None:
        self._trackers = {
            name: LatencyTracker(window) for name in (*STAGES, "overhead", "image to plan")
        }

    def add(self, seconds: Mapping[str, float]) -> None:
        """One plan, seconds of each of `STAGES`; a trip that is not known (NaN) counts as none."""
        known = {name: seconds[name] for name in STAGES if not math.isnan(seconds[name])}
        total = sum(known.values())
        known["image to plan"] = total
        known["overhead"] = total - known["encode"] - known["plan"]
        for name, value in known.items():
            self._trackers[name].add(value)

    def values(self) -> dict[str, str]:
        """For diagnostics: `<stage> p50 (ms)` and `<stage> p99 (ms)` of every stage, of `overhead`
        (all but encode and plan) and of `image to plan` (all)."""
        values = {}
        for name, tracker in self._trackers.items():
            summary = tracker.summary()
            values[f"{name} p50 (ms)"] = f"{summary.p50 * 1e3:.3f}"
            values[f"{name} p99 (ms)"] = f"{summary.p99 * 1e3:.3f}"
        return values


class SystemPacer:
    """Control steps t_k = t_0 + k * period on a clock somebody else drives.

    now: the clock, in nanoseconds. period: nanoseconds. `stamp` is the present t_k; `overruns`
    counts the periods that were skipped because the loop came too late.
    """

    def __init__(self, now: Callable[[], int], period: int) -> None:
        self.now = now
        self.period = period
        self.stamp = now()
        self.overruns = 0

    def wait(self, stopped: Callable[[], bool]) -> int:
        """Sleep until the next control step (or until `stopped()`); returns its stamp.

        A loop that is late by whole periods skips them: no burst of steps to catch up.
        """
        target = self.stamp + self.period
        remaining = target - self.now()
        while remaining > 0 and not stopped():
            if remaining > 2 * self.period:  # the clock was set back: start a new grid
                target = self.now() + self.period
            time.sleep(min(remaining / SECOND, _NAP))
            remaining = target - self.now()
        skipped = max(0, -remaining // self.period)
        self.overruns += skipped
        self.stamp = target + skipped * self.period
        return self.stamp


class OwnClock:
    """Control steps on a clock this process drives itself and publishes as simulated time.

    Simulated time advances by exactly one period per step, `factor` times as fast as the wall
    clock (infinity: as fast as the caller asks). A loop that is too slow makes simulated time
    slower, it never skips; `overruns` counts the late steps.

    tick: called with the simulated time in nanoseconds about every `resolution` of it while
    waiting, so that other nodes' timers run smoothly.
    """

    def __init__(
        self,
        period: int,
        *,
        factor: float = math.inf,
        start: int = SECOND,
        tick: Callable[[int], None] | None = None,
        resolution: int = SECOND // 100,
    ) -> None:
        self.period = period
        self.stamp = start
        self.overruns = 0
        self._factor = factor
        self._tick = tick
        self._resolution = resolution
        self._deadline = self._wall_of_next(time.monotonic_ns())

    def _wall_of_next(self, wall: int) -> int:
        return wall if math.isinf(self._factor) else wall + round(self.period / self._factor)

    def now(self) -> int:
        """Simulated time in nanoseconds; never beyond the next control step."""
        if math.isinf(self._factor):
            return self.stamp
        left = max(0, self._deadline - time.monotonic_ns()) * self._factor
        return self.stamp + self.period - min(self.period, round(left))

    def wait(self, stopped: Callable[[], bool]) -> int:
        """Sleep until the next control step (or until `stopped()`); returns its stamp."""
        nap = min(max(self._resolution / SECOND / self._factor, 0.005), _NAP)
        while (left := self._deadline - time.monotonic_ns()) > 0 and not stopped():
            time.sleep(min(left / SECOND, nap))
            if self._tick is not None and self._deadline > time.monotonic_ns():
                self._tick(self.now())
        wall = time.monotonic_ns()
        late = not math.isinf(self._factor) and wall - self._deadline > self.period / self._factor
        self.overruns += late
        self._deadline = self._wall_of_next(wall if late else self._deadline)
        self.stamp += self.period
        return self.stamp
