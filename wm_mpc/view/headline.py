"""What a controller does, for a person who glances: one word, why, and since when."""

from __future__ import annotations

import dataclasses
import enum

from wm_mpc.codes import HoldCode, StatusCode
from wm_mpc.messages.statuses import MpcStatus

GONE_AFTER = 3.5  # s without a status, of which one comes each second


class Tone(str, enum.Enum):
    """How a state is coloured."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    IDLE = "idle"


@dataclasses.dataclass(frozen=True)
class Headline:
    """The state of a controller.

    Attributes:
        word: The state in a word or two.
        reason: Why, for people; empty when there is nothing to say.
        tone: How it is coloured.
        code: For programs; empty while nothing is known.
        seconds: Since when; 0 while nothing is known.
    """

    word: str
    reason: str = ""
    tone: Tone = Tone.IDLE
    code: str = ""
    seconds: float = 0.0


_WORDS = {
    StatusCode.UNCONFIGURED: ("Not configured", Tone.IDLE),
    StatusCode.INACTIVE: ("Not active", Tone.IDLE),
    StatusCode.WAITING: ("Waiting", Tone.IDLE),
    StatusCode.PLANNING: ("Planning", Tone.GOOD),
    StatusCode.DEGRADED: ("Degraded", Tone.WARN),
    StatusCode.SHUT_DOWN: ("Shut down", Tone.IDLE),
    StatusCode.FAILED: ("Failed", Tone.BAD),
}
# Holds that somebody wanted.
_WANTED = (HoldCode.PERSON, HoldCode.NO_GOAL)


class HeadlineKeeper:
    """Remembers since when a controller does what it does. Times are seconds of any clock."""

    def __init__(self) -> None:
        self._status: MpcStatus | None = None
        self._came = self._since = 0.0

    @property
    def status(self) -> MpcStatus | None:
        """The last one; None before the first."""
        return self._status

    def add(self, status: MpcStatus, now: float) -> None:
        """Take in a status that came now."""
        before = self._status
        is_back = before is not None and now - self._came > GONE_AFTER
        if before is None or is_back or before.code != status.code:
            self._since = now
        self._status, self._came = status, now

    def is_gone(self, now: float) -> bool:
        """Whether a controller that was there says nothing any more."""
        return self._status is not None and now - self._came > GONE_AFTER

    def headline(self, now: float) -> Headline:
        """The state as of now."""
        status = self._status
        if status is None:
            return Headline("No controller", "No status of mpc has come yet. Does it run?")
        if self.is_gone(now):
            silent = now - self._came
            return Headline(
                "Gone",
                f"{status.node} says nothing any more. It has ended, or cannot be reached.",
                Tone.BAD,
                "gone",
                silent,
            )
        word, tone = _word(status)
        reason = "" if status.sentence == "planning" else status.sentence
        if status.is_holding:  # the word says so
            reason = reason.removeprefix("holding: ")
        return Headline(word, reason, tone, str(status.code), now - self._since)


def _word(status: MpcStatus) -> tuple[str, Tone]:
    if status.is_holding:
        wanted = status.code in _WANTED
        return "Holding", Tone.WARN if wanted else Tone.BAD
    word, tone = _WORDS.get(status.code, (status.code or "Unknown", Tone.IDLE))  # type: ignore[call-overload]
    return word, Tone.WARN if tone is Tone.GOOD and status.warnings else tone


def duration(seconds: float) -> str:
    """A duration for people: "12 s", "3 min 5 s", "2 h 4 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
