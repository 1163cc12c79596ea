"""What the node `mpc` says of itself and of its goals, as data.

Each dataclass knows its values by name, as text, the way `diagnostic_msgs` carries them; so nodes
write and programs read through one place. `wm_mpc.ros.status` makes messages of them. Those of the
other nodes are in `wm_mpc.messages.progress_statuses`. Nothing here needs ROS.
"""

from __future__ import annotations

import dataclasses
import math

from wm_mpc.codes import GoalCode, HoldCode, Level, StatusCode, WarningCode
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.status_values import Reader, Values, accepted, code_of, text_of
from wm_mpc.units import SECOND


@dataclasses.dataclass(frozen=True)
class MpcStatus:
    """What the controller does.

    Attributes:
        node: Its full name without the first slash, such as `left/mpc`.
        level: How bad it is.
        code: A `HoldCode` or a `StatusCode`; a plain text where this version does not know it.
        sentence: For people. It may change with any version.
        values: All the rest, as text; the page on statuses lists them.
    """

    node: str
    level: Level
    code: str
    sentence: str
    values: Values = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the status, in diagnostics."""
        return f"{self.node}: mpc"

    @property
    def is_holding(self) -> bool:
        """Whether it keeps the robot at rest for a reason, which `code` gives."""
        return self.code.startswith("hold.")

    @property
    def is_planning(self) -> bool:
        """Whether it sends plans."""
        return self.code in (StatusCode.PLANNING, StatusCode.DEGRADED)

    @property
    def warnings(self) -> frozenset[str]:
        """Each a `WarningCode`; a plain text where this version does not know it."""
        words = self.values.get("warnings", "none").split()
        return frozenset(code_of(WarningCode, word) for word in words if word != "none")

    @property
    def plans(self) -> int:
        """How many were sent."""
        return self.count("plans")

    @property
    def holds(self) -> int:
        """How many requests to hold were sent."""
        return self.count("holds")

    @property
    def overruns(self) -> int:
        """How many control steps got no plan of their own."""
        return self.count("overruns")

    @property
    def dropped(self) -> dict[str, int]:
        """How many messages could not be used, by topic."""
        told = self.values.get("messages dropped", "none")
        parts = [part.split(" on ") for part in told.split(", ")] if told != "none" else []
        return {topic: int(count) for count, topic in parts}

    @property
    def refused_goals(self) -> int:
        """How many goals could not be read."""
        return int(self.values.get("goals refused", "0").partition(";")[0])

    def plan_ms(self, which: str) -> float:
        """Time from the image to the actions. which: `mean`, `p50`, `p99` or `max`."""
        return self.number(f"plan time {which} (ms)")

    def number(self, key: str) -> float:
        """A value; NaN where it is not there, or is no number."""
        try:
            return float(self.values.get(key, "nan"))
        except ValueError:
            return math.nan

    def count(self, key: str) -> int:
        """A value that counts; 0 where it is not there."""
        try:
            return int(self.values.get(key, 0))
        except ValueError:
            return 0

    def to_values(self) -> dict[str, str]:
        return {"code": text_of(self.code), **self.values}

    @classmethod
    def of(cls, level: Level, name: str, sentence: str, values: Values) -> MpcStatus:
        """From the parts of a message."""
        others = dict(values)
        text = others.pop("code", "")
        kind = HoldCode if text.startswith("hold.") else StatusCode
        return cls(name.partition(": ")[0], level, code_of(kind, text), sentence, others)


@dataclasses.dataclass(frozen=True)
class GoalReport:
    """What became of a goal so far.

    Attributes:
        number: Counted from 1.
        code: Where it is.
        reason: Why it ended without being reached, for people; empty otherwise.
        stamp: Of its picture, ns. By it, who sent a goal finds it again.
        distance: From the last observation, in typical scene motions per model step; NaN: unknown.
        tolerance: The distance at which it counts as reached; NaN: unknown.
        seconds: Since planning for it began.
    """

    number: int
    code: GoalCode
    reason: str = ""
    stamp: int = 0
    distance: float = math.nan
    tolerance: float = math.nan
    seconds: float = 0.0

    @property
    def is_reached(self) -> bool:
        return self.code is GoalCode.REACHED

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.code.is_final

    @property
    def name(self) -> str:
        """Of the status, in diagnostics."""
        return f"goal {self.number}"

    @property
    def level(self) -> Level:
        levels = {GoalCode.ABORTED: Level.ERROR, GoalCode.CANCELLED: Level.WARN}
        return levels.get(self.code, Level.OK)

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.code.word}: {self.reason}" if self.reason else self.code.word

    def to_values(self) -> dict[str, str]:
        return {
            "code": self.code.value,
            "number": str(self.number),
            "status": self.code.word,
            "reason": self.reason,
            "stamp": f"{self.stamp // SECOND}.{self.stamp % SECOND:09d}",
            "distance": f"{self.distance:.3f}",
            "tolerance": f"{self.tolerance:.3f}",
            "seconds": f"{self.seconds:.2f}",
        }

    @classmethod
    def of(cls, level: Level, name: str, sentence: str, values: Values) -> GoalReport:
        """From the parts of a message. Raises MessageError for what is not one."""
        read = Reader(name, values)
        seconds, _, rest = read.text("stamp").partition(".")
        code = code_of(GoalCode, read.text("code"))
        if not isinstance(code, GoalCode):
            raise MessageError(f"{name}: code is {code!r}; accepted: {accepted(GoalCode)}")
        try:
            stamp = int(seconds) * SECOND + int(rest)
        except ValueError:
            raise MessageError(f"{name}: stamp is {read.text('stamp')!r}; accepted: s.ns") from None
        return cls(
            read.whole("number"),
            code,
            values.get("reason", ""),
            stamp,
            read.number("distance"),
            read.number("tolerance"),
            read.number("seconds"),
        )
