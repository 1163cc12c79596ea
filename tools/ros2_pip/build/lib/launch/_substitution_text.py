"""Substitutions as launch files in XML and YAML write them: `$(var name)`, also one in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .substitution import Substitution
from .substitutions import (
    EnvironmentVariable,
    EqualsSubstitution,
    LaunchConfiguration,
    NotSubstitution,
    PythonExpression,
    TextSubstitution,
    ThisLaunchFileDir,
)

Argument = list[Substitution]


def parse_text(text: str) -> list[Substitution]:
    """Return text as substitutions. Raises ValueError for a `$(` that makes none."""
    parts, position = _parse(text, 0, end="")
    assert position == len(text)
    return parts or [TextSubstitution(text="")]


def _parse(text: str, position: int, end: str) -> tuple[list[Substitution], int]:
    """Read up to a character of `end` that is in no substitution."""
    parts: list[Substitution] = []
    plain = ""
    while position < len(text) and text[position] not in end:
        if text.startswith("$(", position):
            if plain:
                parts.append(TextSubstitution(text=plain))
                plain = ""
            substitution, position = _call(text, position + 2)
            parts.append(substitution)
            continue
        if text[position] == "\\" and position + 1 < len(text):
            position += 1
        plain += text[position]
        position += 1
    if plain:
        parts.append(TextSubstitution(text=plain))
    return parts, position


def _call(text: str, position: int) -> tuple[Substitution, int]:
    """Read a substitution behind its `$(`."""
    start = position
    name = ""
    while position < len(text) and text[position] not in " )":
        name += text[position]
        position += 1
    arguments: list[Argument] = []
    while position < len(text):
        character = text[position]
        if character == " ":
            position += 1
        elif character == ")":
            return _made(name, arguments), position + 1
        elif character in "'\"":
            argument, position = _parse(text, position + 1, end=character)
            arguments.append(argument or [TextSubstitution(text="")])
            position += 1
        else:
            argument, position = _parse(text, position, end=" )")
            arguments.append(argument)
    raise ValueError(f"'$({text[start:]}' is not closed by a ')'")


def _ros(kind: str) -> Callable[..., Substitution]:
    def make(*arguments: Any) -> Substitution:
        from launch_ros import substitutions

        return getattr(substitutions, kind)(*arguments)

    return make


# Name, how many arguments it takes at least and at most, what it makes of them.
_MAKERS: dict[str, tuple[int, int, Callable[..., Substitution]]] = {
    "var": (1, 2, lambda name, default=None: LaunchConfiguration(name, default=default)),
    "env": (1, 2, lambda name, default=None: EnvironmentVariable(name, default_value=default)),
    "eval": (1, 10**6, lambda *parts: PythonExpression(_joined(parts))),
    "dirname": (0, 0, ThisLaunchFileDir),
    "not": (1, 1, NotSubstitution),
    "equals": (2, 2, EqualsSubstitution),
    "find-pkg-share": (1, 1, _ros("FindPackageShare")),
    "find-pkg-prefix": (1, 1, _ros("FindPackagePrefix")),
}


def _joined(arguments: tuple[Argument, ...]) -> Argument:
    blank = TextSubstitution(text=" ")
    return [part for argument in arguments for part in (*argument, blank)][:-1]


def _made(name: str, arguments: list[Argument]) -> Substitution:
    if name not in _MAKERS:
        raise ValueError(
            f"ros2_pip does not provide '$({name} ...)'; provided: {', '.join(sorted(_MAKERS))}"
        )
    least, most, make = _MAKERS[name]
    if not least <= len(arguments) <= most:
        raise ValueError(f"'$({name} ...)' with {len(arguments)} arguments; accepted: {least}")
    return make(*arguments)
