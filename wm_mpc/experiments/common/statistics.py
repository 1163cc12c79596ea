"""Statistics of success counts."""

from __future__ import annotations

import math


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval (Wilson 1927) of a success rate; 95 % with the default z.

    Raises ValueError when there are no trials or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials make no rate")
    rate = successes / trials
    scale = 1.0 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    margin = z / scale * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - margin), min(1.0, centre + margin)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p-value of the exact McNemar test (McNemar 1947): do two methods, tried on the same
    episodes, succeed equally often?

    only_first, only_second: episodes in which just one of them succeeded; the others tell nothing.
    Raises ValueError for negative counts.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"counts are {only_first} and {only_second}; they cannot be negative")
    trials, fewer = only_first + only_second, min(only_first, only_second)
    # In integers until the end: 2 ** trials leaves the range of floats.
    ways, tail = 1, 0
    for count in range(fewer + 1):
        tail += ways
        ways = ways * (trials - count) // (count + 1)
    return min(1.0, 2 * tail / 2**trials)
