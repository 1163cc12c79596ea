"""Base class of what decides whether an action is executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class Condition:
    """A yes/no question asked of the launch context, by a function given to the constructor."""

    def __init__(self, *, predicate: Callable[[LaunchContext], bool] | None = None) -> None:
        self._predicate = predicate

    def describe(self) -> str:
        """Return a text for people."""
        return repr(self)

    def evaluate(self, context: LaunchContext) -> bool:
        """Return the answer in ``context``."""
        if self._predicate is None:
            raise NotImplementedError(f"{type(self).__name__} has no predicate")
        return self._predicate(context)
