"""Judge the pictures of several cameras. Knows nothing of ROS.

A plan begins from pictures of one moment only (`wm_mpc.messages.camera_pairs`). A camera that is
missing, late or repeats itself is named.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from wm_mpc.codes import HoldCode
from wm_mpc.control.frozen_camera import FrozenCamera
from wm_mpc.control.observing import GOOD, Ahead, Finding, judge_age
from wm_mpc.messages.camera_pairs import CameraPairs, Frame, Pictures
from wm_mpc.units import SECOND


class CameraSet:
    """The newest pictures of several cameras. Not thread-safe.

    Args:
        names: Names of the cameras.
        topics: Full names of their topics.
        period: Control period, s.
        angles: As for `FrozenCamera`.
        clock: Returns the time, s of a steady clock.
    """

    def __init__(
        self,
        names: Sequence[str],
        topics: Sequence[str],
        period: float,
        angles: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names, self._topics, self._period = tuple(names), tuple(topics), period
        self._frozen = [FrozenCamera(angles, clock) for _ in names]
        self.forget()

    def forget(self) -> None:
        """Forget all pictures, because the clock was set back."""
        self._pairs = CameraPairs(len(self._names), self._period)
        self._aheads = [Ahead(f"camera {name!r}") for name in self._names]

    def add(self, number: int, frame: Frame, now: int) -> tuple[Pictures, int] | None:
        """Note a picture on arrival; see `CameraPairs.add`.

        Args:
            number: Which camera.
            frame: The picture.
            now: The time, ns of the clock of the stamps.
        """
        self._frozen[number].see(frame.message)
        self._aheads[number].add(frame.stamp, now)
        return self._pairs.add(number, frame)

    def finding(self, now: int, moment: float, timeout: float, *, is_timed: bool) -> Finding:
        """Say which camera keeps the robot from moving.

        Args:
            now: The time, ns of the clock of the stamps.
            moment: The time, s of the steady clock.
            timeout: Largest accepted age of a picture, s.
            is_timed: Whether the time since arrival counts, too.
        """
        frames = [self._pairs.newest(number) for number in range(len(self._names))]
        missing = [number for number, newest in enumerate(frames) if newest is None]
        if missing:
            which = " and ".join(f"camera {self._named(number)}" for number in missing)
            others = len(missing) < len(self._names)
            text = f"no image received yet from {which}"
            return Finding(text, is_fault=others, code=HoldCode.NO_IMAGE)
        for number, newest in enumerate(frames):
            assert newest is not None
            finding = judge_age(
                f"image of camera {self._named(number)}",
                silence=moment - newest.received if is_timed else 0.0,
                age=(now - newest.stamp) / SECOND,
                timeout=timeout,
            )
            if finding.hold:
                return dataclasses.replace(finding, code=HoldCode.STALE_IMAGE)
        joined = self._pairs.joined
        if joined is None or (now - joined) / SECOND > timeout:
            return self._apart()
        return GOOD

    def _apart(self) -> Finding:
        newest = self._pairs.newest(0)
        assert newest is not None
        found = self._pairs.around(newest)
        number = max(range(1, len(found)), key=lambda n: abs(found[n].stamp - newest.stamp))
        away = (found[number].stamp - newest.stamp) / SECOND
        text = (
            f"the cameras' images are of different moments: the nearest one of camera "
            f"{self._named(number)} is {abs(away) * 1e3:.0f} ms {'older' if away < 0 else 'newer'} "
            f"than that of camera {self._named(0)} (accepted: up to "
            f"{self._pairs.tolerance / SECOND * 1e3:.0f} ms); one camera delivers late, or clocks "
            "differ"
        )
        return Finding(text, code=HoldCode.CAMERAS_APART)

    def frozen(self, places: Mapping[str, float], seconds: float) -> tuple[float, str]:
        """See `FrozenCamera.moved`.

        Args:
            places: Newest positions by name, m or rad.
            seconds: A shorter repetition does not count, s.

        Returns:
            The longest time, s, and the name of its camera; 0 and "" if no camera repeats itself.
        """
        found = [
            (camera.moved(places, seconds), name)
            for camera, name in zip(self._frozen, self._names, strict=True)
        ]
        longest = max(found, key=lambda entry: entry[0])
        return longest if longest[0] else (0.0, "")

    @property
    def ahead(self) -> Ahead:
        """Stamps of the camera whose stamps are furthest ahead of the clock."""
        return max(self._aheads, key=lambda ahead: ahead.newest)

    def values(self) -> dict[str, object]:
        """Return names and values for diagnostics."""
        return {
            f"image age on arrival of {name} (ms)": f"{-1e3 * ahead.usual:.1f}"
            for number, (name, ahead) in enumerate(zip(self._names, self._aheads, strict=True))
            if self._pairs.newest(number) is not None
        }

    def _named(self, number: int) -> str:
        return f"{self._names[number]!r} on {self._topics[number]}"
