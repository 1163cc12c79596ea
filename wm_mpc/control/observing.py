"""Judgements: may a plan begin from this image and the robot's state at its moment?

Each judgement returns a `Finding`: a reason to hold, or a warning for people while the robot goes
on. This module knows nothing of ROS. Times are seconds. Each message includes the limit.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections import deque

from wm_mpc.codes import HoldCode
from wm_mpc.control.state_history import StateAt

AHEAD_WARN = 0.2  # control periods; a stamp further in the future gives a warning
AHEAD_HOLD = 1.0
AWAY_WARN = 0.5  # control periods between an image and the nearest measurement
AWAY_HOLD = 1.0
_SLOW = 1.5  # accepted distance for a rarely measured state, in its usual intervals
_LASTS = 2.0  # s that a warning stays after it was last seen
_BACK = 0.05  # s; a smaller step back is an adjustment of the clock
_CLOCKS = (
    "clocks differ: synchronise them (chrony, PTP), or have the driver stamp with this computer's "
    "time"
)
_SIMULATED = "clocks differ: is /clock published, and does everybody use it (use_sim_time)?"
_OTHER_ERA = 1e6  # s between stamp and clock; beyond it, one of them is simulated time


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one judgement.

    Attributes:
        hold: Why the robot must not move; empty if it may.
        is_fault: True if something is wrong, False if something is still to come.
        warning: What people should know; empty if nothing.
        code: The code of `hold`.
    """

    hold: str = ""
    is_fault: bool = True
    warning: str = ""
    code: HoldCode | None = None


GOOD = Finding()


def judge_age(what: str, *, silence: float, age: float, timeout: float) -> Finding:
    """Judge how old the newest message is.

    Args:
        what: Name of the message, for people.
        silence: Seconds since it arrived.
        age: Age of its stamp, s.
        timeout: Limit of both, s (parameter `observation_timeout`).
    """
    limit = f"(observation_timeout {timeout} s)"
    if silence > timeout:
        return Finding(f"no {what} for {silence:.1f} s {limit}")
    if age > timeout:
        why = "; are they simulated time (use_sim_time)?" if age > _OTHER_ERA else ""
        return Finding(f"{what} stamps are {age:.2f} s old {limit}{why}")
    return GOOD


def judge_ahead(
    what: str, ahead: Ahead, *, now: float, period: float, timeout: float, is_simulated: bool
) -> Finding:
    """Judge stamps that lie in the future.

    An image cannot show the future. So one of the clocks is wrong, and a plan from this image would
    apply too late.

    Args:
        what: Name of the messages, for people.
        ahead: How far the stamps were in the future on arrival. Below 0 is correct: they were in
            the past.
        now: How far the newest stamp is in the future now, s. On arrival it may have been further.
        period: Control period, s.
        timeout: Hold beyond this, whatever the period, s.
        is_simulated: Whether time is simulated. The message with the time may then come after the
            image.
    """
    most = timeout if is_simulated else min(AHEAD_HOLD * period, timeout)
    newest = max(now, ahead.newest)
    what += f" stamps of {ahead.whose}" if ahead.whose else " stamps"
    clocks = _SIMULATED if is_simulated else _CLOCKS
    if newest > most:
        return Finding(
            f"{what} are {newest:.2f} s in the future (accepted: up to {most:g} s): {clocks}"
        )
    # The median, because jitter does not mean that a clock is wrong.
    usual = min(newest, ahead.usual)
    if usual > (2.0 if is_simulated else AHEAD_WARN) * period:
        return Finding(
            warning=f"{what} are {usual * 1e3:.0f} ms in the future, so plans apply that much too "
            f"late: {clocks}"
        )
    return GOOD


def judge_pair(state: StateAt, *, where: str, period: float, fault: str = "") -> Finding:
    """Judge the time between the image and the robot's state.

    Args:
        state: The state at the moment of the image.
        where: Topic of the state.
        period: Control period, s.
        fault: What is wrong with the newest measurement of `state.entry`; empty if nothing.
    """
    away, limit = abs(state.offset), AWAY_HOLD * period
    if state.every > 0.0:  # also false for NaN
        limit = max(limit, _SLOW * state.every)
    side = "older" if state.offset < 0.0 else "newer"
    told = f"the nearest {state.entry} on {where} is {away * 1e3:.0f} ms {side} than the image"
    if away > limit:
        if fault:
            return Finding(fault)
        return Finding(
            f"no robot state for the image's moment: {told} (accepted: up to {limit * 1e3:.0f} ms);"
            " it comes too late or too rarely, or clocks differ"
        )
    if away > AWAY_WARN * period:
        return Finding(
            warning=f"robot state from another moment: {told} (half a control period is "
            f"{0.5e3 * period:.0f} ms)"
        )
    return GOOD


class Ahead:
    """How far stamps are ahead of the clock on arrival.

    Args:
        whose: Name of the publisher, for people.

    Attributes:
        whose: Name of the publisher, for people.
        newest: How far the newest stamp was ahead, s; -1 before the first.
    """

    def __init__(self, whose: str = "") -> None:
        self.whose, self.newest = whose, -1.0
        self._latest: deque[float] = deque(maxlen=9)

    def add(self, stamp: int, now: int) -> None:
        """Note a stamp on arrival.

        Args:
            stamp: The stamp, ns.
            now: The time, ns.
        """
        self.newest = 1e-9 * (stamp - now)
        self._latest.append(self.newest)

    @property
    def usual(self) -> float:
        """Median of the latest stamps, s; -1 before the first."""
        return statistics.median(self._latest) if self._latest else -1.0


class ClockWatch:
    """Notices when a clock is set back."""

    def __init__(self) -> None:
        self._last: int | None = None

    def went_back(self, now: int) -> bool:
        """Whether the clock was set back since the last call.

        A step of 50 ms or less does not count: clocks are adjusted.

        Args:
            now: The time, ns.
        """
        before, self._last = self._last, now
        return before is not None and now < before - round(_BACK * 1e9)


class Warnings:
    """Keeps each warning for 2 s after it was last seen.

    Otherwise the status would change with every image, and nobody could read it.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, str]] = {}  # by kind: when (s), and the text

    def see(self, kind: str, text: str, now: float) -> bool:
        """Note a warning.

        Args:
            kind: Kind of the warning. A new text replaces the old text of its kind.
            text: The warning; empty for none.
            now: The time, s of a steady clock.

        Returns:
            Whether this kind of warning is new.
        """
        if not text:
            return False
        is_news = not self._is_fresh(kind, now)
        self._seen[kind] = now, text
        return is_news

    def _is_fresh(self, kind: str, now: float) -> bool:
        return kind in self._seen and now - self._seen[kind][0] <= _LASTS

    def texts(self, now: float) -> dict[str, str]:
        """Return the present warnings by kind.

        Args:
            now: The time, s of a steady clock.
        """
        seen = list(self._seen.items())
        return {kind: text for kind, (_, text) in seen if self._is_fresh(kind, now)}

    def text(self, now: float) -> str:
        """Return all present warnings, joined by "; ".

        Args:
            now: The time, s of a steady clock.
        """
        return "; ".join(self.texts(now).values())
