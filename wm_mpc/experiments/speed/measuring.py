"""Measure side by side: contenders take turns, so that a busy machine slows all of them alike.

The benchmark's speed claims are ratios of times that were measured in this way, in one process.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

Name = TypeVar("Name")
Outcome = TypeVar("Outcome")


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long a comparison may take.

    Attributes:
        seconds: Approximate time for each contender, s.
        at_least: Least number of runs of each.
        at_most: Largest number of runs of each.
        warm_up: Earlier runs that do not count.
    """

    seconds: float
    at_least: int = 3
    at_most: int = 500
    warm_up: int = 1


def interleaved(
    contenders: Mapping[Name, Callable[[int], Outcome]], pace: Pace
) -> dict[Name, list[Outcome]]:
    """Run all contenders in turn, round after round.

    A contender drops out when its time is used up, so a fast one runs often. Each round starts
    with a different contender, so none always runs after the same other one.

    Args:
        contenders: Functions by name; each is called with the number of the round.
        pace: How long the comparison may take.

    Returns:
        Results by name.
    """
    for _ in range(pace.warm_up):
        for run in contenders.values():
            run(0)
    outcomes: dict[Name, list[Outcome]] = {name: [] for name in contenders}
    spent = dict.fromkeys(contenders, 0.0)
    number = 0
    waiting = list(contenders)
    while waiting:
        first = number % len(waiting)
        for name in waiting[first:] + waiting[:first]:
            started = time.perf_counter()
            outcomes[name].append(contenders[name](number))
            spent[name] += time.perf_counter() - started
        number += 1
        waiting = [
            name
            for name in waiting
            if number < pace.at_least or (number < pace.at_most and spent[name] < pace.seconds)
        ]
    return outcomes


def milliseconds(seconds: Sequence[float]) -> dict[str, float | int]:
    """Summarise durations.

    Args:
        seconds: Durations, s.

    Returns:
        count, and p50, p99 and min in ms.
    """
    p50, p99 = np.percentile(seconds, [50, 99])
    return {
        "count": len(seconds),
        "p50": round(1e3 * float(p50), 4),
        "p99": round(1e3 * float(p99), 4),
        "min": round(1e3 * min(seconds), 4),
    }


def growth(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Fit a power law by least squares on logarithms.

    Args:
        sizes: Sizes, above 0.
        times: Time at each size, above 0.

    Returns:
        The exponent: 1 is linear, less is better; NaN for fewer than two sizes.
    """
    if len(set(sizes)) < 2:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


class StolenTime:
    """Measures the share of processor time that other machines on the same host took, from now on
    (proc_stat(5): steal).

    Times on shared processors mean little without it.

    Args:
        stat: The kernel's file; without it, as outside Linux, the share is unknown.
    """

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._before = self._read()

    def percent(self) -> float | None:
        """Return the share, 0 to 100; None if it is unknown or nothing was computed."""
        now = self._read()
        if now is None or self._before is None:
            return None
        stolen, wanted = (after - before for after, before in zip(now, self._before, strict=True))
        return round(100.0 * stolen / wanted, 2) if wanted > 0 else None

    def _read(self) -> tuple[int, int] | None:
        """Stolen time, and stolen plus busy time, in ticks since boot."""
        try:
            words = self._stat.read_text(encoding="ascii").split("\n", 1)[0].split()
            user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
        except (OSError, ValueError):
            return None
        return steal, user + nice + system + irq + softirq + steal
