"""How a person changes a parameter: a slider, a menu, a box; from what its node says of it."""

from __future__ import annotations

import dataclasses
import enum
import math
import re

_SLIDER_STEPS = 100
_WIDEST = 1000  # a slider whose ends are further apart (as integers, or as a ratio) is of no use

# What people change most, in the order in which it is shown; and from where to where they usually
# move it, which is less than what is accepted.
MAIN: dict[str, tuple[float, float] | None] = {
    "planner.type": None,
    "planner.horizon": (1, 20),
    "planner.iterations": (1, 100),
    "planner.samples": (8, 512),
    "planner.restarts": (1, 32),
    "planner.learning_rate": (0.01, 0.5),
    "planner.noise": (0.0, 0.5),
    "rate": (1.0, 30.0),
    "time_budget": (0.01, 0.2),
    "cost.mode": None,
    "cost.discount": None,
    "cost.action_weight": (0.0, 0.2),
    "goal.tolerance": (0.1, 2.0),
    "goal.timeout": None,
    "surprise.image": (0.0, 10.0),
    "surprise.slow": (0.0, 10.0),
    "surprise.hold": (0.0, 10.0),
    "observation_timeout": (0.1, 2.0),
}


class Kind(enum.Enum):
    """Of a widget."""

    SLIDER = "slider"
    NUMBER = "number"
    MENU = "menu"
    CHECKBOX = "checkbox"
    TEXT = "text"


@dataclasses.dataclass(frozen=True)
class Described:
    """A parameter, as its node describes it.

    Attributes:
        name: Of the parameter.
        value: At present.
        text: What it means, for people.
        constraints: What is accepted and when it may change, for people.
        low, high: Smallest and largest value; None: not limited.
        read_only: Whether it counts at start-up only.
    """

    name: str
    value: bool | int | float | str
    text: str = ""
    constraints: str = ""
    low: float | None = None
    high: float | None = None
    read_only: bool = False


@dataclasses.dataclass(frozen=True)
class Widget:
    """How a parameter is shown. low, high, step: of a slider. choices: of a menu."""

    kind: Kind
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    choices: tuple[str, ...] = ()


def widget_of(described: Described) -> Widget:
    """The widget that fits a parameter."""
    value = described.value
    if isinstance(value, bool):
        return Widget(Kind.CHECKBOX)
    if isinstance(value, str):
        choices = choices_of(described.constraints)
        return Widget(Kind.MENU, choices=choices) if value in choices else Widget(Kind.TEXT)
    low, high = described.low, described.high
    usual = MAIN.get(described.name)
    if usual is not None and usual[0] <= value <= usual[1]:
        low, high = max(usual[0], low or usual[0]), min(usual[1], high or usual[1])
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return Widget(Kind.NUMBER)
    if isinstance(value, int):
        fits = 0 < high - low <= _WIDEST
        return Widget(Kind.SLIDER, low, high, 1) if fits else Widget(Kind.NUMBER)
    smallest = low if low > 0 else max(abs(value), 1e-9) / 10
    if high / smallest > _WIDEST:
        return Widget(Kind.NUMBER)
    return Widget(Kind.SLIDER, low, high, _round_step((high - low) / _SLIDER_STEPS))


def choices_of(constraints: str) -> tuple[str, ...]:
    """The texts that a parameter accepts, from "accepted: a, b; may change ..."; else nothing."""
    found = re.match(r"accepted: ([^;]*);", constraints)
    words = [] if found is None else found[1].split(", ")
    is_list = len(words) > 1 and all(re.fullmatch(r'""|[\w./+-]+', word) for word in words)
    return tuple("" if word == '""' else word for word in words) if is_list else ()


def read(text: str, like: bool | int | float | str) -> bool | int | float | str:
    """What a person typed, as a value of the same type. Raises ValueError, for people."""
    if isinstance(like, bool) or not isinstance(like, int | float):
        return text
    kind = int if isinstance(like, int) else float
    wanted = "a whole number" if kind is int else "a number"
    try:
        return kind(text.strip().replace(",", "."))
    except ValueError:
        raise ValueError(f"{text!r} is no number; accepted: {wanted}") from None


def _round_step(step: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten, not above the step."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= step * (1 + 1e-9))
