"""Values of a status, which messages carry as text: reading them, with an error for a wrong one."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, TypeVar

from wm_mpc.messages.errors import MessageError

Values = Mapping[str, str]
_Code = TypeVar("_Code", bound=enum.Enum)


class Reader:
    """Reads values of a status. Raises MessageError for one that is missing, or is no number."""

    def __init__(self, name: str, values: Values) -> None:
        self._name, self._values = name, values

    def text(self, key: str) -> str:
        if key not in self._values:
            has = ", ".join(self._values) or "none"
            raise MessageError(f"{self._name} has no value {key!r}; it has: {has}")
        return self._values[key]

    def number(self, key: str) -> float:
        return float(self._number(key, float, "a number"))

    def whole(self, key: str) -> int:
        return int(self._number(key, int, "a whole number"))

    def _number(self, key: str, kind: type, wanted: str) -> Any:
        text = self.text(key)
        try:
            return kind(text)
        except ValueError:
            raise MessageError(f"{self._name}: {key} is {text!r}; accepted: {wanted}") from None


def code_of(kind: type[_Code], text: str) -> Any:
    """The code of that kind; the text as it is where there is none."""
    known = {member.value: member for member in kind}
    return known.get(text, text)


def text_of(code: str) -> str:
    """A code as it is sent."""
    return str(code.value) if isinstance(code, enum.Enum) else code


def accepted(kind: type[enum.Enum]) -> str:
    """All codes of a kind, for an error."""
    return ", ".join(member.value for member in kind)
