"""Whether weights are still the same."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


def version_of(weights: Iterable[Tensor]) -> tuple[tuple[int, int], ...]:
    """Return what changes with each change of a weight, to be compared with `==`.

    Args:
        weights: The weights.
    """
    return tuple((weight.data_ptr(), weight._version) for weight in weights)
