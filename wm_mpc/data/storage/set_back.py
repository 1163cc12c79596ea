"""Detect whether the recorder's own clock was set back, during a file or between two split files.

Then arrival times repeat, and sorting by them would mix messages from before and after. The order
in the file shows the change: all channels go back at the same place and continue from there. Files
that were only written out of order look different. The numbers of split files show their order.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Sequence

import numpy as np

from wm_mpc.data.storage.stored import StoredFile, UnreadableError
from wm_mpc.units import SECOND

_LEAST = SECOND // 5  # ns; smaller disorder comes from the threads of a recorder
_MOST = 10  # changes of a clock; more than that is disorder
_SAME = SECOND // 500  # ns; two recorders note the same message within this
_LOOKS = 20  # messages that are compared
_SPLIT = re.compile(r"(.*_)(\d+)(\.\w+)")


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


@dataclasses.dataclass
class _Messages:
    """The messages of one topic in one file, in the order of their times."""

    file: StoredFile
    times: np.ndarray
    places: np.ndarray


def steady_splits(
    files: Sequence[StoredFile], steady: Sequence[dict[int, np.ndarray]]
) -> list[tuple[StoredFile, float]]:
    """Correct the times of split files if the clock was set back between two of them.

    Args:
        files: The files in the order of their numbers.
        steady: Times of each file as `steady_times` returned them; corrected times are put in.

    Returns:
        Each file that begins after such a change, with the size of the change, s.
    """
    changes = []
    shift = 0
    for k, (before, after) in enumerate(itertools.pairwise(files), 1):
        if not _continues(before, after):
            shift = 0
            continue
        old, new = _by_topic(before, steady[k - 1], 0), _by_topic(after, steady[k], shift)
        if _set_back(old, new):
            ends = max(m.times[-1] for m in old.values())
            begins = min(m.times[0] for m in new.values())
            usual = min(np.median(np.diff(m.times)) for m in old.values() if len(m.times) > 1)
            back = int(ends - begins + usual)
            shift += back
            changes.append((after, back / SECOND))
        if shift:
            numbers = [n for n, times in after.times.items() if len(times)]
            steady[k].update({n: _times(after, steady[k], n) + shift for n in numbers})
    return changes


def _continues(before: StoredFile, after: StoredFile) -> bool:
    """Whether one file is the next split after another."""
    names = [_SPLIT.fullmatch(file.path.name) for file in (before, after)]
    if names[0] is None or names[1] is None:
        return False
    return names[0][1] == names[1][1] and int(names[1][2]) == int(names[0][2]) + 1


def _set_back(old: dict[str, _Messages], new: dict[str, _Messages]) -> bool:
    """Whether all topics of both files go back, and are not the same messages twice."""
    shared = [n for n in old if n in new and min(len(old[n].times), len(new[n].times)) > 1]
    for name in shared:
        before, after = old[name].times, new[name].times
        if not before[0] < after[0] < before[-1] - _LEAST:
            return False
    return bool(shared) and not all(_is_copy(old[name], new[name]) for name in shared)


def _is_copy(old: _Messages, new: _Messages) -> bool:
    """Whether messages at the same times are the same messages."""
    both = np.flatnonzero(new.times <= old.times[-1])
    looks = both[:: max(1, len(both) // _LOOKS)]
    right = np.searchsorted(old.times, new.times[looks]).clip(1, len(old.times) - 1)
    left = new.times[looks] - old.times[right - 1] < old.times[right] - new.times[looks]
    nearest = right - left
    same = 0
    for mine, other in zip(looks.tolist(), nearest.tolist(), strict=True):
        with contextlib.suppress(UnreadableError):
            is_near = abs(new.times[mine] - old.times[other]) <= _SAME
            same += is_near and new.file.fetch(new.places[mine]) == old.file.fetch(
                old.places[other]
            )
    return same > len(looks) / 2


def _times(file: StoredFile, steady: dict[int, np.ndarray], number: int) -> np.ndarray:
    return steady.get(number, np.frombuffer(file.times[number], np.int64))


def _by_topic(file: StoredFile, steady: dict[int, np.ndarray], shift: int) -> dict[str, _Messages]:
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for number, channel in file.channels.items():
        if len(file.times.get(number, ())):
            times = _times(file, steady, number) + shift
            places = np.frombuffer(file.places[number], np.int64)
            parts.setdefault(channel.topic, []).append((times, places))
    topics = {}
    for topic, found in parts.items():
        times, places = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.argsort(times, kind="stable")
        topics[topic] = _Messages(file, times[order], places[order])
    return topics


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
