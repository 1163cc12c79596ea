"""Statistics of success counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

MOST_DIVISIONS = 200_000  # ways to divide values into two groups; more take too long
_ROUNDING = 1e-9  # differences that are closer, as a share of the largest value, are the same


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


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of several tests, so that the chance of even one false finding among
    them stays below the level that a corrected value is compared with (Holm 1979).

    Args:
        p_values: p-values of the tests, 0 to 1, in any order.

    Returns:
        Corrected p-values in the same order, each at least as large as before.

    Raises:
        ValueError: A value is outside 0 to 1.
    """
    if not all(0.0 <= value <= 1.0 for value in p_values):
        raise ValueError(f"p-values are {list(p_values)}; accepted: 0 to 1")
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def permutation_exact(first: Sequence[float], second: Sequence[float]) -> float:
    """Test whether two groups have the same mean, by all ways to divide their values into groups
    of these sizes (exact permutation test, Pitman 1937).

    Few values cannot show much: 3 against 3 give 0.1 at the least, 5 against 5 give 0.008.

    Args:
        first: Values of one group, such as the success rates of its training seeds; not empty.
        second: Values of the other group; not empty.

    Returns:
        Two-sided p-value, above 0 to 1.

    Raises:
        ValueError: A group is empty, a value is not finite, or there are more than 200,000 ways,
            as for more than 10 against 10.
    """
    values, size = [*first, *second], len(first)
    if not 0 < size < len(values):
        raise ValueError(f"the groups have {size} and {len(second)} values; needed: 1 each")
    if not all(map(math.isfinite, values)):
        raise ValueError(f"values are {values}; accepted: finite numbers")
    if math.comb(len(values), size) > MOST_DIVISIONS:
        raise ValueError(
            f"{size} against {len(second)} values can be divided in too many ways; accepted: up to "
            f"{MOST_DIVISIONS}"
        )
    total = math.fsum(values)

    def difference(group: Sequence[float]) -> float:
        own = math.fsum(group)
        return abs(own / size - (total - own) / (len(values) - size))

    seen = difference(first) - _ROUNDING * max(map(abs, values))
    extreme = [difference(group) >= seen for group in itertools.combinations(values, size)]
    return sum(extreme) / len(extreme)
