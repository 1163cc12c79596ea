"""Settings that describe themselves: default, range, unit and one sentence, written once.

A dataclass with `setting` fields checks itself (`check`). It can be built from a file or a command
line (`wm_mpc.settings.build`). It also becomes ROS parameters (`wm_mpc.ros.parameters`), and rows
of the reference pages.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

_KEY, _SECTION = "setting", "section"


class SettingError(ValueError):
    """A setting is unknown or not accepted. The text names it, and says what is accepted."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """The description of a setting; its name and its default are in the dataclass.

    Attributes:
        text: One sentence on its meaning.
        unit: Unit of the value, for example "s".
        low: Smallest accepted value.
        high: Largest accepted value.
        choices: Accepted texts; None: any.
        read_only: Whether it counts at start-up only.
        only_inactive: Whether it may change only while the node is not active.
        above: Values must be above this one.
        below: Values must be below this one.
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
        """Say what is accepted, for people, for example "a number from 0.5 to 100.0 Hz".

        Args:
            kind: Type of the value, for example "a number".
        """
        if self.choices is not None:
            return ", ".join(choice or '""' for choice in self.choices)
        return f"{kind} {self.bounds()} {self.unit}".replace("  ", " ").rstrip()

    def bounds(self) -> str:
        """Describe the range, for people, such as "from 0.5 to 100.0"; empty without a range."""
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
        """Whether a value of the right type is in range, or one of the choices.

        Args:
            value: The value. For a tuple, every item must be accepted.
        """
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
    """Make a field of a dataclass. The other arguments are those of `Setting`.

    Args:
        default: The default.
        text: One sentence on its meaning.
    """
    entry = Setting(text, unit, low, high, choices, read_only, only_inactive, above, below)
    return dataclasses.field(default=default, metadata={_KEY: entry})


def section(kind: type) -> Any:
    """Make a field that is itself a dataclass of settings.

    The names of its settings begin with the field's name and a dot.

    Args:
        kind: The dataclass.
    """
    return dataclasses.field(default_factory=kind, metadata={_SECTION: kind})


def kind_of(value: object) -> str:
    """Name the type of a value, for people.

    Args:
        value: The value.
    """
    if isinstance(value, tuple):
        return f"a list, each {kind_of(value[0])}" if value else "a list"
    kinds = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
    return kinds.get(type(value), type(value).__name__)


def check(config: Any, where: str = "") -> None:
    """Check all `setting` fields of a dataclass. Its sections check themselves.

    Args:
        config: The dataclass.
        where: Beginning of all names in errors, for example "planner.".

    Raises:
        SettingError: A value is out of range, or not one of the choices.
    """
    for field in dataclasses.fields(config):
        entry = field.metadata.get(_KEY)
        value = getattr(config, field.name)
        if entry is not None and not entry.accepts(value):
            accepted = entry.accepted(kind_of(field.default))
            shown = list(value) if isinstance(value, tuple) else value
            raise SettingError(f"{where}{field.name} is {shown!r}; accepted: {accepted}")


def entries(kind: type, prefix: str = "") -> Iterator[tuple[str, Any, Setting]]:
    """List all settings of a dataclass and of its sections, in their order.

    Args:
        kind: The dataclass.
        prefix: Beginning of all names.

    Yields:
        Name, default and description.
    """
    for field in dataclasses.fields(kind):
        entry = field.metadata.get(_KEY)
        if entry is not None:
            yield prefix + field.name, field.default, entry
        elif (inner := field.metadata.get(_SECTION)) is not None:
            yield from entries(inner, f"{prefix}{field.name}.")


def described(field: Any) -> Setting:
    """Return the description of a field that `setting` made.

    Args:
        field: The field.
    """
    entry: Setting = field.metadata[_KEY]
    return entry


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of all settings by dotted name; the reverse of
    `wm_mpc.settings.build.nested`.

    Args:
        config: A dataclass of settings.
        prefix: Beginning of all names.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get(_KEY) is not None:
            values[prefix + field.name] = value
        elif field.metadata.get(_SECTION) is not None:
            values |= flat(value, f"{prefix}{field.name}.")
    return values
