"""Statistics of success counts."""

from __future__ import annotations

import math


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the Wilson score interval of a success rate (Wilson 1927).

    Args:
        successes: Number of successes.
        trials: Number of trials; 1 or more.
        z: Quantile of the normal distribution; the default gives 95 %.

    Returns:
        Lower and upper bound, 0 to 1.

    Raises:
        ValueError: There are no trials, or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"{successes} successes in {trials} trials are not a rate; accepted: at least 1 trial, "
            "and 0 to trials successes"
        )
    rate = successes / trials
    scale = 1.0 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    margin = z / scale * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - margin), min(1.0, centre + margin)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Test whether two methods succeed equally often on the same episodes (exact McNemar test,
    1947).

    Args:
        only_first: Episodes in which only the first method succeeded; 0 or more.
        only_second: Episodes in which only the second method succeeded; 0 or more.

    Returns:
        Two-sided p-value, 0 to 1.

    Raises:
        ValueError: A count is negative.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"counts are {only_first} and {only_second}; they cannot be negative")
    trials, fewer = only_first + only_second, min(only_first, only_second)
    # Integers until the end, because 2 ** trials exceeds the range of floats.
    ways, tail = 1, 0
    for count in range(fewer + 1):
        tail += ways
        ways = ways * (trials - count) // (count + 1)
    return min(1.0, 2 * tail / 2**trials)
