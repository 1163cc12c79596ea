"""The parts of a recording in which no clock was set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wm_mpc.data.bag_clocks import STEP_MARGIN
from wm_mpc.data.bag_streams import Stream, Streams
from wm_mpc.units import SECOND

_STRAGGLERS = 2  # so many late messages in a row do not mean that a clock was set


def between_jumps(streams: Streams, max_gap: float) -> Iterator[tuple[int, int, str]]:
    """Split a recording into parts in which no clock was set.

    Messages from before and after a clock change can be mixed, so the time around it is left out
    unless nothing arrived just before it.

    Args:
        streams: All streams of the recording.
        max_gap: Stamps that jump back by more than this start a new part, s.

    Yields:
        Arrival times, from and to, ns, and the reason for the start of the part.
    """
    edges = []
    back = _jumps_back(streams.image, max_gap)
    for step in streams.steps:
        parts = (streams.image, streams.state, streams.action)
        mixed = any(
            ((part.received >= step - STEP_MARGIN) & (part.received < step)).any() for part in parts
        )
        margin = STEP_MARGIN if mixed else 0
        why = "time jumped back" if _near(back, step) else "a clock was set"
        edges.append((step - margin, step + margin, why))
        back = [edge for edge in back if abs(edge - step) > STEP_MARGIN]
    edges += [(edge, edge, "time jumped back") for edge in back]
    begin, why = 0, ""
    for last, first, reason in sorted(edges):
        if last > begin:
            yield begin, last, why
        begin, why = max(begin, first), reason
    yield begin, np.iinfo(np.int64).max, why


def _near(edges: list[int], step: int) -> bool:
    return any(abs(edge - step) <= STEP_MARGIN for edge in edges)


def _jumps_back(stream: Stream, max_gap: float) -> list[int]:
    """Arrival times at which the stamps jump back by more than `max_gap` s and continue from
    there.

    Smaller disorder and single late messages are sorted instead.
    """
    times = stream.times
    newest = np.maximum.accumulate(times)
    edges = []
    base = 0
    while True:  # the running maximum restarts after each jump
        behind = np.append(times[base:] < newest[base:], [True] * _STRAGGLERS)
        stays = np.all(
            [behind[k : len(behind) - _STRAGGLERS + k] for k in range(_STRAGGLERS + 1)], axis=0
        )
        back = np.flatnonzero((times[base:] < newest[base:] - max_gap * SECOND) & stays)
        if not len(back):
            break
        base += int(back[0])
        edges.append(int(stream.received[base]))
        newest[base:] = np.maximum.accumulate(times[base:])
    return edges
