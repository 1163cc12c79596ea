"""Check each observation before planning: its age, the clocks, and whether image and state match.

This module runs the judgements of `wm_mpc.control.observing` in order, keeps their warnings for a
while, and names topics and joints. It knows nothing of ROS.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

from wm_mpc.codes import HoldCode, WarningCode
from wm_mpc.control.observing import (
    GOOD,
    Ahead,
    Finding,
    Warnings,
    judge_age,
    judge_ahead,
    judge_pair,
)
from wm_mpc.control.state_history import StateAt, StateHistory
from wm_mpc.units import SECOND

# The code of each kind of warning.
_KINDS = {
    "image": WarningCode.CLOCKS,
    "robot state": WarningCode.CLOCKS,
    "pair": WarningCode.OTHER_MOMENT,
    "pictures": WarningCode.CAMERAS,
    "frames": WarningCode.FRAMES,
}


class Stamped(Protocol):
    """A message that arrived.

    Attributes:
        stamp: Stamp of the message, ns.
        received: When it arrived, s of a steady clock.
    """

    @property
    def stamp(self) -> int: ...
    @property
    def received(self) -> float: ...


class Measured(Protocol):
    """Source of the robot's state.

    Attributes:
        history: The measurements.
    """

    history: StateHistory

    @property
    def ahead(self) -> Ahead:
        """Stamps of the publisher whose stamps are furthest ahead."""

    def why_missing(self) -> str:
        """Name the entries that were never measured; empty if no message arrived at all."""


class ObservationCheck:
    """The check of one session.

    Args:
        period: Control period, s.
        image_topic: Topic of the images, as the graph names it.
        state_topic: Topic of the robot's state, as the graph names it.
        is_simulated: Whether the time comes as a message.
        warn: Called with each new warning.

    Attributes:
        warnings: What people should know while the robot goes on.
    """

    def __init__(
        self,
        period: float,
        *,
        image_topic: str,
        state_topic: str,
        is_simulated: bool,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.warnings = Warnings()
        self._period, self._is_simulated, self._warn = period, is_simulated, warn
        self._image_topic, self._state_topic = image_topic, state_topic
        self._offset = math.nan  # s, from the last image to the measurement nearest to it
        self.at(0, 0.0, math.inf)

    def at(
        self, now: int, moment: float, timeout: float, *, is_timed: bool = True
    ) -> ObservationCheck:
        """Set the time of the next checks.

        Args:
            now: The time, ns of the clock of the stamps.
            moment: The time, s of the steady clock.
            timeout: Largest accepted age of an observation, s.
            is_timed: Whether the time since arrival counts, too.

        Returns:
            This object.
        """
        self._now, self._moment, self._timeout, self._timed = now, moment, timeout, is_timed
        return self

    def image(self, image: Stamped | None, ahead: Ahead) -> Finding:
        """Check the newest image.

        Args:
            image: The image, or None before the first.
            ahead: Stamps of the images.
        """
        if image is None:
            text = f"no image received yet on {self._image_topic}"
            return Finding(text, is_fault=False, code=HoldCode.NO_IMAGE)
        age = (self._now - image.stamp) / SECOND
        finding = self._aged("image", image.received, age)
        if finding.hold:
            return dataclasses.replace(finding, code=HoldCode.STALE_IMAGE)
        return self._clocks("image", ahead, -age, HoldCode.FUTURE_IMAGE)

    def state(self, state: StateAt | None, measured: Measured) -> Finding:
        """Check the robot's state at the moment of the image.

        Args:
            state: The state, or None if it is unknown.
            measured: Source of the state.
        """
        self._offset = math.nan
        where, history = self._state_topic, measured.history
        if state is None:
            why, text = measured.why_missing(), f"no robot state received yet on {where}"
            text = f"{text}: {why}" if why else text
            return Finding(text, is_fault=bool(why), code=HoldCode.NO_STATE)
        age = (self._now - state.newest) / SECOND
        finding = self._aged("robot state", state.received, age)
        if finding.hold:
            if fault := history.fault(state.silent):
                return Finding(fault, code=HoldCode.UNREADABLE)
            text = f"{finding.hold}: {state.silent} on {where}"
            return Finding(text, code=HoldCode.STALE_STATE)
        finding = self._clocks("robot state", measured.ahead, -age, HoldCode.FUTURE_STATE)
        if finding.hold:
            return finding
        self._offset = state.offset
        fault = history.fault(state.entry)
        finding = judge_pair(state, where=where, period=self._period, fault=fault)
        code = HoldCode.UNREADABLE if fault else HoldCode.OTHER_MOMENT
        return self._noted("pair", finding, code)

    def _aged(self, what: str, received: float, age: float) -> Finding:
        silence = self._moment - received if self._timed else 0.0
        return judge_age(what, silence=silence, age=age, timeout=self._timeout)

    def _clocks(self, what: str, ahead: Ahead, now: float, code: HoldCode) -> Finding:
        """Judge stamps in the future; `now` is how far (s) the newest is ahead at present."""
        finding = judge_ahead(
            what, ahead, now=now, period=self._period, timeout=self._timeout,
            is_simulated=self._is_simulated,
        )  # fmt: skip
        return self._noted(what, finding, code)

    def _noted(self, kind: str, finding: Finding, code: HoldCode) -> Finding:
        """Pass on a reason to hold, with its code, and note a warning."""
        if self.warnings.see(kind, finding.warning, self._moment):
            self._warn(finding.warning)
        return dataclasses.replace(finding, code=code) if finding.hold else GOOD

    def warned(self, now: float) -> dict[WarningCode, str]:
        """Return the present warnings by code.

        Args:
            now: The time, s of the steady clock.
        """
        found: dict[WarningCode, str] = {}
        for kind, text in self.warnings.texts(now).items():
            code = _KINDS[kind]
            found[code] = f"{found[code]}; {text}" if code in found else text
        return found

    def values(self) -> dict[str, object]:
        """Return names and values for diagnostics."""
        known = not math.isnan(self._offset)
        told = f"{1e3 * self._offset:.1f}" if known else "not known"
        return {"state offset from image (ms)": told}
