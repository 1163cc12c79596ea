"""Pictures of several cameras, joined where they are of one moment.

Cameras of one robot take their pictures at about the same time, and deliver them one after another.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Any

from wm_mpc.units import SECOND

_KEPT = 8  # pictures of each camera
_INTERVALS = 5  # between pictures, of which the median is the period of a camera
_MOST = 0.5  # control periods that pictures may ever be apart


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Messages of all cameras, of one moment, in the order of `RobotSpec.images`."""

    messages: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Frame:
    """A picture of one camera.

    Attributes:
        message: The message.
        stamp: When it was taken, ns.
        received: When it arrived, s of a steady clock.
    """

    message: Any
    stamp: int
    received: float


class CameraPairs:
    """The newest pictures of several cameras. Not thread-safe.

    Args:
        cameras: Number of cameras.
        period: Control period, s.

    Attributes:
        joined: Stamp (ns) of the last joined pictures; None before the first.
    """

    def __init__(self, cameras: int, period: float) -> None:
        self._period = period
        self._kept: list[deque[Frame]] = [deque(maxlen=_KEPT) for _ in range(cameras)]
        self.joined: int | None = None

    def add(self, number: int, frame: Frame) -> tuple[Pictures, int] | None:
        """Note a picture on arrival.

        Args:
            number: Which camera.
            frame: The picture.

        Returns:
            One picture of each camera, of one moment, newer than those before, and when the first
            one was taken (ns); None if there is no such set yet.
        """
        self._kept[number].append(frame)
        for first in reversed(self._kept[0]):
            if self.joined is not None and first.stamp <= self.joined:
                break
            found = self.around(first)
            stamps = [each.stamp for each in found]
            if found and max(stamps) - min(stamps) <= self.tolerance:
                self.joined = first.stamp
                return Pictures(tuple(each.message for each in found)), first.stamp
        return None

    @property
    def tolerance(self) -> int:
        """How far the pictures of one moment may be apart, ns.

        Half of the time between two pictures of the slowest camera, so that each picture has its
        nearest partner; at most half a control period.
        """
        most = round(_MOST * self._period * SECOND)
        periods = [_period_of(kept) for kept in self._kept]
        return min(most, max(periods) // 2) if all(periods) else most

    def newest(self, number: int) -> Frame | None:
        """Return the newest picture of a camera; None before the first.

        Args:
            number: Which camera.
        """
        kept = self._kept[number]
        return kept[-1] if kept else None

    def around(self, first: Frame) -> tuple[Frame, ...]:
        """Return a picture of the first camera with the nearest one of each other camera.

        Args:
            first: The picture of the first camera.

        Returns:
            One picture of each camera; nothing if a camera has none.
        """
        if not all(self._kept):
            return ()
        others = (
            min(kept, key=lambda frame: abs(frame.stamp - first.stamp)) for kept in self._kept[1:]
        )
        return (first, *others)


def _period_of(kept: Sequence[Frame]) -> int:
    """Usual time between two pictures, ns; 0 if it is not known yet."""
    stamps = [frame.stamp for frame in kept][-_INTERVALS - 1 :]
    gaps = [after - before for before, after in itertools.pairwise(stamps)]
    return max(0, round(statistics.median(gaps))) if len(gaps) >= 2 else 0
