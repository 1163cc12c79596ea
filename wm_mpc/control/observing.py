"""Whether an image and the robot's state of its moment may be planned from: pure judgements.

Each judgement gives a `Finding`: a reason to hold, or what people should know while the robot goes
on. Knows nothing of ROS. Times are seconds; what is compared with a limit is told with it.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections import deque

from wm_mpc.control.codes import HoldCode
from wm_mpc.control.state_history import StateAt

AHEAD_WARN = 0.2  # control periods that stamps may be in the future, as no true stamp is
AHEAD_HOLD = 1.0
AWAY_WARN = 0.5  # control periods between an image and the measurement nearest to it
AWAY_HOLD = 1.0
_SLOW = 1.5  # usual distances between measurements, of a state that is measured seldom
_LASTS = 2.0  # s for which something is still told after it was seen last
_BACK = 0.05  # s; a clock that is set back by less is only being adjusted
_CLOCKS = (
    "clocks differ: synchronise them (chrony, PTP), or have the driver stamp with this computer's "
    "time"
)
_SIMULATED = "clocks differ: is /clock published, and does everybody use it (use_sim_time)?"
_OTHER_ERA = 1e6  # s between stamps and clock: one of the two is simulated time


@dataclasses.dataclass(frozen=True)
class Finding:
    """hold: why the robot must not move; empty: it may. is_fault: whether something is wrong, not
    only still to come. warning: what people should know; empty for nothing. code: of hold."""

    hold: str = ""
    is_fault: bool = True
    warning: str = ""
    code: HoldCode | None = None


GOOD = Finding()


def judge_age(what: str, *, silence: float, age: float, timeout: float) -> Finding:
    """what: for people. silence: since it came. age: of its stamp. timeout: for both (parameter
    observation_timeout)."""
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
    """Stamps in the future. No image is of a moment that is still to come, so one of the clocks is
    wrong, and a plan from it applies too late.

    Args:
        ahead: of the stamps; below 0: in the past, as is right.
        now: how far the newest is ahead at present; it may have been more when it came.
        period: of control.
        timeout: above which it holds whatever the period.
        is_simulated: simulated time, which comes as a message, may come after the image.
    """
    most = timeout if is_simulated else min(AHEAD_HOLD * period, timeout)
    newest = max(now, ahead.newest)
    what += f" stamps of {ahead.whose}" if ahead.whose else " stamps"
    clocks = _SIMULATED if is_simulated else _CLOCKS
    if newest > most:
        return Finding(
            f"{what} are {newest:.2f} s in the future (accepted: up to {most:g} s): {clocks}"
        )
    # Jitter is no clock that is wrong.
    usual = min(newest, ahead.usual)
    if usual > (2.0 if is_simulated else AHEAD_WARN) * period:
        return Finding(
            warning=f"{what} are {usual * 1e3:.0f} ms in the future, and plans apply so much too "
            f"late: {clocks}"
        )
    return GOOD


def judge_pair(state: StateAt, *, where: str, period: float, fault: str = "") -> Finding:
    """How far the robot's state is from the image in time.

    Args:
        state: put together for the moment of the image.
        where: the topic it comes from.
        period: of control.
        fault: what is wrong with the newest measurement of `state.entry`; empty for nothing.
    """
    away, limit = abs(state.offset), AWAY_HOLD * period
    if state.every > 0.0:  # also false for NaN
        limit = max(limit, _SLOW * state.every)
    side = "older" if state.offset < 0.0 else "younger"
    told = f"the nearest {state.entry} on {where} is {away * 1e3:.0f} ms {side} than the image"
    if away > limit:
        if fault:
            return Finding(fault)
        return Finding(
            f"no robot state of the image's moment: {told} (accepted: up to {limit * 1e3:.0f} ms); "
            "either it comes too late or too seldom, or clocks differ"
        )
    if away > AWAY_WARN * period:
        return Finding(
            warning=f"robot state of another moment: {told} (half a control period is "
            f"{0.5e3 * period:.0f} ms)"
        )
    return GOOD


class Ahead:
    """How far stamps are ahead of the clock when they come, in s. whose: for people."""

    def __init__(self, whose: str = "") -> None:
        self.whose, self.newest = whose, -1.0
        self._latest: deque[float] = deque(maxlen=9)

    def add(self, stamp: int, now: int) -> None:
        """A stamp that came now, both in ns."""
        self.newest = 1e-9 * (stamp - now)
        self._latest.append(self.newest)

    @property
    def usual(self) -> float:
        """The median of the latest; below 0 before the first."""
        return statistics.median(self._latest) if self._latest else -1.0


class ClockWatch:
    """Notices that a clock was set back. Times are integer nanoseconds."""

    def __init__(self) -> None:
        self._last: int | None = None

    def went_back(self, now: int) -> bool:
        """Whether the clock shows less than it did; by more than adjusting it takes."""
        before, self._last = self._last, now
        return before is not None and now < before - round(_BACK * 1e9)


class Warnings:
    """What people should know, for a while after it was seen last: a status that comes and goes
    with every image tells nobody anything."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, str]] = {}  # by kind: when (s), and the text

    def see(self, kind: str, text: str, now: float) -> bool:
        """Note something of a kind; an empty text is nothing. now: s of a steady clock. Whether it
        is news."""
        if not text:
            return False
        is_news = not self._is_fresh(kind, now)
        self._seen[kind] = now, text
        return is_news

    def _is_fresh(self, kind: str, now: float) -> bool:
        return kind in self._seen and now - self._seen[kind][0] <= _LASTS

    def texts(self, now: float) -> dict[str, str]:
        """All that still counts, by kind."""
        seen = list(self._seen.items())
        return {kind: text for kind, (_, text) in seen if self._is_fresh(kind, now)}

    def text(self, now: float) -> str:
        """All that still counts, in one sentence; empty for nothing."""
        return "; ".join(self.texts(now).values())
