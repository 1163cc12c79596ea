"""Conditions: whether an action is executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._support import refuse_unknown_names
from .condition import Condition
from .some_substitutions_type import SomeSubstitutionsType
from .utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from .launch_context import LaunchContext

__all__ = [
    "IfCondition",
    "InvalidConditionExpressionError",
    "LaunchConfigurationEquals",
    "LaunchConfigurationNotEquals",
    "UnlessCondition",
    "evaluate_condition_expression",
]

TRUE = ("true", "1")
FALSE = ("false", "0")


class InvalidConditionExpressionError(ValueError):
    """A condition is neither true nor false."""


def evaluate_condition_expression(context: LaunchContext, expression: list) -> bool:
    """Return the truth of a list of substitutions that yields true, false, 1 or 0."""
    text = perform_substitutions(context, expression)
    if text.strip().lower() in TRUE:
        return True
    if text.strip().lower() in FALSE:
        return False
    raise InvalidConditionExpressionError(
        f"invalid condition expression, expected one of '{TRUE}' or '{FALSE}', but got '{text}'"
    )


class IfCondition(Condition):
    """True if the expression is."""

    def __init__(self, predicate_expression: SomeSubstitutionsType) -> None:
        self.__expression = normalize_to_list_of_substitutions(predicate_expression)
        super().__init__(
            predicate=lambda context: evaluate_condition_expression(context, self.__expression)
        )

    def describe(self) -> str:
        return f"{type(self).__name__}({' + '.join(s.describe() for s in self.__expression)})"


class UnlessCondition(IfCondition):
    """True if the expression is not."""

    def evaluate(self, context: LaunchContext) -> bool:
        return not super().evaluate(context)


class LaunchConfigurationEquals(Condition):
    """True if a launch configuration has the expected value (None: does not exist)."""

    def __init__(
        self, launch_configuration_name: str, expected_value: SomeSubstitutionsType | None
    ) -> None:
        self.__name = launch_configuration_name
        self.__expected = (
            None if expected_value is None else normalize_to_list_of_substitutions(expected_value)
        )
        super().__init__(predicate=self.__compare)

    def __compare(self, context: LaunchContext) -> bool:
        value = context.launch_configurations.get(self.__name)
        if self.__expected is None or value is None:
            return value is None and self.__expected is None
        return value == perform_substitutions(context, self.__expected)

    def describe(self) -> str:
        return f"{type(self).__name__}({self.__name})"


class LaunchConfigurationNotEquals(LaunchConfigurationEquals):
    """The opposite of LaunchConfigurationEquals."""

    def evaluate(self, context: LaunchContext) -> bool:
        return not super().evaluate(context)


__getattr__ = refuse_unknown_names(__name__, __all__)
