"""Events: what can happen while launching."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._support import refuse_unknown_names
from ..event import Event

if TYPE_CHECKING:
    from ..action import Action
    from ..launch_description import LaunchDescription

__all__ = [
    "ExecutionComplete",
    "IncludeLaunchDescription",
    "Shutdown",
    "TimerEvent",
    "matches_action",
    "process",
]


class Shutdown(Event):
    """The launch is to end; ``reason`` says why."""

    name = "launch.events.Shutdown"

    def __init__(
        self, *, reason: str = "reason not given", due_to_sigint: bool = False, **_: Any
    ) -> None:
        self.__reason = reason
        self.__due_to_sigint = due_to_sigint

    @property
    def reason(self) -> str:
        """Why the launch ends."""
        return self.__reason

    @property
    def due_to_sigint(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.__due_to_sigint


class IncludeLaunchDescription(Event):
    """A launch description is to be executed."""

    name = "launch.events.IncludeLaunchDescription"

    def __init__(self, launch_description: LaunchDescription) -> None:
        self.__launch_description = launch_description

    @property
    def launch_description(self) -> LaunchDescription:
        """The launch description."""
        return self.__launch_description


class TimerEvent(Event):
    """The period of a TimerAction is over."""

    name = "launch.events.TimerEvent"

    def __init__(self, *, timer_action: Any) -> None:
        self.__timer_action = timer_action

    @property
    def timer_action(self) -> Any:
        """The timer."""
        return self.__timer_action


class ExecutionComplete(Event):
    """An action was executed and, if it takes time, is over."""

    name = "launch.events.ExecutionComplete"

    def __init__(self, *, action: Action) -> None:
        self.__action = action

    @property
    def action(self) -> Action:
        """The action."""
        return self.__action


def matches_action(target_action: Action) -> Callable[[Action], bool]:
    """Return a matcher that accepts exactly ``target_action``."""
    return lambda action: action is target_action


from . import process  # noqa: E402  (needs Event and matchers above)

__getattr__ = refuse_unknown_names(__name__, __all__)
