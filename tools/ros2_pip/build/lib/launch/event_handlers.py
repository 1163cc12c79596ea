"""Event handlers for the end of processes, of actions, and of the launch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ._support import refuse_unknown_names
from .event import Event
from .event_handler import BaseEventHandler
from .events import ExecutionComplete, IncludeLaunchDescription, Shutdown
from .events.process import ProcessExited, ProcessIO, ProcessStarted
from .launch_description_entity import LaunchDescriptionEntity
from .some_entities_type import SomeEntitiesType
from .utilities import normalize_to_list_of_entities

if TYPE_CHECKING:
    from .launch_context import LaunchContext

__all__ = [
    "OnExecutionComplete",
    "OnIncludeLaunchDescription",
    "OnProcessExit",
    "OnProcessIO",
    "OnProcessStart",
    "OnShutdown",
]

Reaction = SomeEntitiesType | Callable[[Any, Any], SomeEntitiesType | None] | None


class OnActionEventBase(BaseEventHandler):
    """Handle the events of one action, of the actions a function accepts, or of all.

    The reaction is a list of entities, or a function of (event, context) that returns one.
    """

    event_class: type[Event]

    def __init__(self, *, action_matcher: Any, on_event: Reaction, **kwargs: Any) -> None:
        from .action import Action

        if not (
            action_matcher is None or isinstance(action_matcher, Action) or callable(action_matcher)
        ):
            raise TypeError(
                f"{type(self).__name__}: the target must be an action or a function of an "
                f"action, not {action_matcher!r}"
            )
        self.__target = action_matcher
        if callable(on_event):
            self.__function, self.__entities = on_event, []
        else:
            self.__function = None
            self.__entities = [
                entity for entity in normalize_to_list_of_entities(on_event) if entity is not None
            ]
            for entity in self.__entities:
                if not isinstance(entity, LaunchDescriptionEntity):
                    raise TypeError(
                        f"{type(self).__name__}: expected actions, got {entity!r} "
                        f"of type {type(entity).__name__}"
                    )
        super().__init__(matcher=self.__is_wanted, **kwargs)

    def __is_wanted(self, event: Event) -> bool:
        if not isinstance(event, self.event_class):
            return False
        action = event.action  # type: ignore[attr-defined]
        if callable(self.__target):
            return self.__target(action)
        return self.__target is None or action is self.__target

    @property
    def matcher_description(self) -> str:
        return f"event == {self.event_class.__name__}"

    def describe(self) -> tuple[str, list]:
        text, entities = super().describe()
        return text, entities + self.__entities

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        super().handle(event, context)
        if self.__function is None:
            return self.__entities
        return self.__function(event, context)


class OnProcessExit(OnActionEventBase):
    """React to the end of a process."""

    event_class = ProcessExited

    def __init__(
        self, *, target_action: Any = None, on_exit: Reaction = None, **kwargs: Any
    ) -> None:
        super().__init__(action_matcher=target_action, on_event=on_exit, **kwargs)


class OnProcessStart(OnActionEventBase):
    """React to the start of a process."""

    event_class = ProcessStarted

    def __init__(self, *, target_action: Any = None, on_start: Reaction, **kwargs: Any) -> None:
        super().__init__(action_matcher=target_action, on_event=on_start, **kwargs)


class OnExecutionComplete(OnActionEventBase):
    """React to the end of an action."""

    event_class = ExecutionComplete

    def __init__(
        self, *, target_action: Any = None, on_completion: Reaction, **kwargs: Any
    ) -> None:
        super().__init__(action_matcher=target_action, on_event=on_completion, **kwargs)


class OnProcessIO(OnActionEventBase):
    """React to output of a process, by functions of the event."""

    event_class = ProcessIO

    def __init__(
        self,
        *,
        target_action: Any = None,
        on_stdin: Callable[[ProcessIO], Any] | None = None,
        on_stdout: Callable[[ProcessIO], Any] | None = None,
        on_stderr: Callable[[ProcessIO], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        functions = {0: on_stdin, 1: on_stdout, 2: on_stderr}

        def react(event: ProcessIO, context: LaunchContext) -> SomeEntitiesType | None:
            function = functions[event.fd]
            return function(event) if function is not None else None

        super().__init__(action_matcher=target_action, on_event=react, **kwargs)


class OnShutdown(BaseEventHandler):
    """React to the end of the launch."""

    def __init__(self, *, on_shutdown: Reaction, **kwargs: Any) -> None:
        super().__init__(matcher=lambda event: isinstance(event, Shutdown), **kwargs)
        self.__reaction = on_shutdown

    @property
    def matcher_description(self) -> str:
        return "event is Shutdown"

    def describe(self) -> tuple[str, list]:
        text, entities = super().describe()
        if callable(self.__reaction):
            return text, entities
        return text, entities + normalize_to_list_of_entities(self.__reaction)

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        super().handle(event, context)
        if callable(self.__reaction):
            return self.__reaction(event, context)
        if isinstance(self.__reaction, Iterable):
            return list(self.__reaction)
        return self.__reaction


class OnIncludeLaunchDescription(BaseEventHandler):
    """Execute the launch descriptions that are handed to the launch service."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            matcher=lambda event: isinstance(event, IncludeLaunchDescription), **kwargs
        )

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        super().handle(event, context)
        return event.launch_description  # type: ignore[attr-defined]


__getattr__ = refuse_unknown_names(__name__, __all__)
