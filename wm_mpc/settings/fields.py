"""Settings that describe themselves: a default, its range, its unit and one sentence, once.

A dataclass whose fields are made by `setting` checks itself (`check`), is built from a file or a
command line (`wm_mpc.settings.build`), becomes ROS parameters (`wm_mpc.ros.parameters`) and a row
of the reference pages.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

_KEY, _SECTION = "setting", "section"


class SettingError(ValueError):
    """A setting that is unknown or not accepted; the text names it, and says what is accepted."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is known of a setting beside its name and its default.

    Attributes:
        text: One sentence on what it means.
        unit: Of the value, e.g. "s".
        low: The least value accepted.
        high: The largest value accepted.
        above: All values above this one are accepted, but not the value itself.
        below: All values below this one are accepted, but not the value itself.
        choices: The texts accepted; None: any.
        read_only: Whether it counts at start-up only.
        only_inactive: Whether it may change only while the node is not active.
    """

    text: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] | None = None
    read_only: bool = False
    only_inactive: bool = False
    above: float | None = None
    below: float | None = None

    def accepted(self, kind: str) -> str:
        """What is accepted, for people, e.g. "a number from 0.5 to 100.0 Hz". kind: e.g. "a
        number"."""
        if self.choices is not None:
            return ", ".join(choice or '""' for choice in self.choices)
        return f"{kind} {self.bounds()} {self.unit}".replace("  ", " ").rstrip()

    def bounds(self) -> str:
        """The range, for people, e.g. "from 0.5 to 100.0"; empty where there is none."""
        if self.low is not None and self.high is not None:
            return f"from {self.low} to {self.high}"
        ends = {
            "of at least": self.low,
            "above": self.above,
            "of at most": self.high,
            "below": self.below,
        }
        return " and ".join(f"{word} {end}" for word, end in ends.items() if end is not None)

    def accepts(self, value: object) -> bool:
        """Whether a value of the right type is in range, or one of the choices. Of a tuple, every
        item must be."""
        if isinstance(value, tuple):
            return all(self.accepts(item) for item in value)
        if self.choices is not None and value not in self.choices:
            return False
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        above = -math.inf if self.above is None else self.above
        below = math.inf if self.below is None else self.below
        return math.isfinite(value) and low <= value <= high and above < value < below


def setting(
    default: Any,
    text: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    *,
    choices: tuple[str, ...] | None = None,
    read_only: bool = False,
    only_inactive: bool = False,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A field of a dataclass; see `Setting`."""
    entry = Setting(text, unit, low, high, choices, read_only, only_inactive, above, below)
    return dataclasses.field(default=default, metadata={_KEY: entry})


def section(kind: type) -> Any:
    """A field that is a dataclass of settings itself; the names of its settings begin with the
    field's name and a dot."""
    return dataclasses.field(default_factory=kind, metadata={_SECTION: kind})


def kind_of(value: object) -> str:
    """The type of a value, for people."""
    if isinstance(value, tuple):
        return f"a list, each {kind_of(value[0])}" if value else "a list"
    kinds = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
    return kinds.get(type(value), type(value).__name__)


def check(config: Any, where: str = "") -> None:
    """Check all fields made by `setting`, but not those of sections, which check themselves.

    Args:
        config: A dataclass.
        where: What names begin with in errors, e.g. "planner.".

    Raises:
        SettingError: A value is out of range, or none of the choices.
    """
    for field in dataclasses.fields(config):
        entry = field.metadata.get(_KEY)
        value = getattr(config, field.name)
        if entry is not None and not entry.accepts(value):
            accepted = entry.accepted(kind_of(field.default))
            shown = list(value) if isinstance(value, tuple) else value
            raise SettingError(f"{where}{field.name} is {shown!r}; accepted: {accepted}")


def entries(kind: type, prefix: str = "") -> Iterator[tuple[str, Any, Setting]]:
    """Name, default and description of every setting of a dataclass, those of its sections
    included, in their order."""
    for field in dataclasses.fields(kind):
        entry = field.metadata.get(_KEY)
        if entry is not None:
            yield prefix + field.name, field.default, entry
        elif (inner := field.metadata.get(_SECTION)) is not None:
            yield from entries(inner, f"{prefix}{field.name}.")


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a dataclass's settings by their dotted names, those of its sections included;
    the reverse of `wm_mpc.settings.build.nested`."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get(_KEY) is not None:
            values[prefix + field.name] = value
        elif field.metadata.get(_SECTION) is not None:
            values |= flat(value, f"{prefix}{field.name}.")
    return values
