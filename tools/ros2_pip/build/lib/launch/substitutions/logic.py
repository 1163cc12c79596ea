"""Substitutions that compute: Python expressions, comparisons and truth values.

Truth values are the texts 'true' and 'false', read by YAML rules.
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import (
    normalize_to_list_of_substitutions,
    perform_substitutions,
    perform_typed_substitution,
)
from ..utilities.type_utils import is_substitution
from .text import SubstitutionFailure, describe_all

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


def _text(value: bool) -> str:
    return str(value).lower()


class PythonExpression(Substitution):
    """The value of a Python expression, as text.

    The names of ``math`` and the modules named in ``python_modules`` can be used in it.
    """

    def __init__(
        self,
        expression: SomeSubstitutionsType,
        python_modules: SomeSubstitutionsType = ("math",),
    ) -> None:
        self.__expression = normalize_to_list_of_substitutions(expression)
        self.__modules = normalize_to_list_of_substitutions(python_modules)

    @property
    def expression(self) -> list[Substitution]:
        """The expression."""
        return self.__expression

    @property
    def python_modules(self) -> list[Substitution]:
        """The modules the expression may use."""
        return self.__modules

    def describe(self) -> str:
        modules = ", ".join(part.describe() for part in self.__modules)
        return f"PythonExpr({describe_all(self.__expression)}, [{modules}])"

    def perform(self, context: LaunchContext) -> str:
        names: dict[str, Any] = {}
        for part in self.__modules:
            module = importlib.import_module(context.perform_substitution(part))
            if module is math:
                names.update(vars(math))
            names[module.__name__] = module
        return str(eval(perform_substitutions(context, self.__expression), {}, names))


def _comparable(value: Any) -> list[Substitution]:
    if is_substitution(value):
        return normalize_to_list_of_substitutions(value)
    if value is None:
        return normalize_to_list_of_substitutions("")
    return normalize_to_list_of_substitutions(
        _text(value) if isinstance(value, bool) else str(value)
    )


class EqualsSubstitution(Substitution):
    """'true' if both sides are equal as truth values, numbers (nearly) or text."""

    def __init__(self, left: Any, right: Any) -> None:
        self.__left = _comparable(left)
        self.__right = _comparable(right)

    @property
    def left(self) -> list[Substitution]:
        """The left side."""
        return self.__left

    @property
    def right(self) -> list[Substitution]:
        """The right side."""
        return self.__right

    def describe(self) -> str:
        name = type(self).__name__
        return f"{name}({describe_all(self.__left)} {describe_all(self.__right)})"

    def _equal(self, context: LaunchContext) -> bool:
        left = perform_substitutions(context, self.__left)
        right = perform_substitutions(context, self.__right)
        truth = ("true", "false", "1", "0")
        if left.lower() in truth and right.lower() in truth:
            return (left.lower() in ("true", "1")) == (right.lower() in ("true", "1"))
        try:
            return math.isclose(float(left), float(right))
        except ValueError:
            return left == right

    def perform(self, context: LaunchContext) -> str:
        return _text(self._equal(context))


class NotEqualsSubstitution(EqualsSubstitution):
    """The opposite of EqualsSubstitution."""

    def perform(self, context: LaunchContext) -> str:
        return _text(not self._equal(context))


class _Boolean(Substitution):
    """Base of the substitutions of truth values."""

    def __init__(self, *values: SomeSubstitutionsType) -> None:
        self._values = [normalize_to_list_of_substitutions(value) for value in values]

    def describe(self) -> str:
        return f"{type(self).__name__}({' '.join(describe_all(value) for value in self._values)})"

    def _truths(self, context: LaunchContext) -> list[bool]:
        try:
            return [perform_typed_substitution(context, value, bool) for value in self._values]
        except (TypeError, ValueError) as error:
            raise SubstitutionFailure(f"{type(self).__name__}: {error}") from error


class NotSubstitution(_Boolean):
    """'true' if the value is false."""

    def __init__(self, value: SomeSubstitutionsType) -> None:
        super().__init__(value)

    def perform(self, context: LaunchContext) -> str:
        return _text(not self._truths(context)[0])


class AndSubstitution(_Boolean):
    """'true' if both values are true."""

    def __init__(self, left: SomeSubstitutionsType, right: SomeSubstitutionsType) -> None:
        super().__init__(left, right)

    def perform(self, context: LaunchContext) -> str:
        return _text(all(self._truths(context)))


class OrSubstitution(_Boolean):
    """'true' if at least one of two values is true."""

    def __init__(self, left: SomeSubstitutionsType, right: SomeSubstitutionsType) -> None:
        super().__init__(left, right)

    def perform(self, context: LaunchContext) -> str:
        return _text(any(self._truths(context)))


class AnySubstitution(_Boolean):
    """'true' if at least one of the values is true."""

    def perform(self, context: LaunchContext) -> str:
        return _text(any(self._truths(context)))


class AllSubstitution(_Boolean):
    """'true' if all values are true."""

    def perform(self, context: LaunchContext) -> str:
        return _text(all(self._truths(context)))


class IfElseSubstitution(Substitution):
    """``if_value`` if the condition is true, else ``else_value``."""

    def __init__(
        self,
        condition: SomeSubstitutionsType,
        if_value: SomeSubstitutionsType = "",
        else_value: SomeSubstitutionsType = "",
    ) -> None:
        if if_value == "" and else_value == "":
            raise RuntimeError("IfElseSubstitution needs an if_value, an else_value or both")
        self.__condition = normalize_to_list_of_substitutions(condition)
        self.__if_value = normalize_to_list_of_substitutions(if_value)
        self.__else_value = normalize_to_list_of_substitutions(else_value)

    def describe(self) -> str:
        parts = (self.__condition, self.__if_value, self.__else_value)
        return f"IfElseSubstitution({', '.join(describe_all(part) for part in parts)})"

    def perform(self, context: LaunchContext) -> str:
        try:
            truth = perform_typed_substitution(context, self.__condition, bool)
        except (TypeError, ValueError) as error:
            raise SubstitutionFailure(f"IfElseSubstitution: {error}") from error
        return perform_substitutions(context, self.__if_value if truth else self.__else_value)
