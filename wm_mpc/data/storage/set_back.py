"""Detect whether the recorder's own clock was set back during a file.

Then arrival times repeat, and sorting by them would mix messages from before and after. The order
in the file shows the change: all channels go back at the same place and continue from there. Files
that were only written out of order look different.
"""

from __future__ import annotations

import itertools

import numpy as np

from wm_mpc.data.storage.stored import StoredFile
from wm_mpc.units import SECOND

_LEAST = SECOND // 5  # ns; smaller disorder comes from the threads of a recorder
_MOST = 10  # changes of a clock; more than that is disorder


def steady_times(file: StoredFile) -> tuple[dict[int, np.ndarray], list[float]]:
    """Return arrival times as if the clock had never been set back.

    Args:
        file: The file.

    Returns:
        Arrival times by channel, int64 ns, and the size of each change, s; both empty without
        changes.
    """
    times = {n: np.frombuffer(t, np.int64) for n, t in file.times.items() if len(t)}
    places = {n: np.frombuffer(file.places[n], np.int64) for n in times}
    edges = _edges(times, places)
    if not edges:
        return {}, []
    every = np.concatenate(list(times.values()))
    order = np.argsort(np.concatenate(list(places.values())), kind="stable")
    every, at = every[order], np.concatenate(list(places.values()))[order]
    parts = np.split(every, np.searchsorted(at, edges).tolist())
    usual = int(np.median(np.abs(np.diff(every))))
    back = [
        int(before.max()) - int(after.min()) + usual for before, after in itertools.pairwise(parts)
    ]
    total = np.concatenate([[0], np.cumsum(back)])
    steady = {n: t + total[np.searchsorted(edges, places[n], "right")] for n, t in times.items()}
    return steady, [step / SECOND for step in back]


def _edges(times: dict[int, np.ndarray], places: dict[int, np.ndarray]) -> list[int]:
    """Positions in the file, ascending, at which the clock changed."""
    drops: list[tuple[int, int]] = []  # places before and after each drop, of all channels
    for number, of_channel in times.items():
        found = np.flatnonzero(np.diff(of_channel) < -_LEAST).tolist()
        if len(found) > _MOST:
            return []
        ends = [-1, *found, len(of_channel) - 1]
        for first, last, end in zip(ends, ends[1:], ends[2:], strict=False):
            before, after = of_channel[first + 1 : last + 1], of_channel[last + 1 : end + 1]
            overlaps = after.min() < before.max() and before.min() < after.max()
            if not overlaps or np.isin(after, before).mean() > 0.5:  # in parts, or twice
                return []
            drops.append((int(places[number][last]), int(places[number][last + 1])))
    edges: list[int] = []
    low = high = 0
    for left, right in sorted(drops, key=lambda drop: drop[1]):
        if edges and left < high:  # the same moment, seen by another channel
            low, high = max(low, left), min(high, right)
            if low >= high:
                return []
            edges[-1] = high
        else:
            low, high = left, right
            edges.append(high)
    return edges
