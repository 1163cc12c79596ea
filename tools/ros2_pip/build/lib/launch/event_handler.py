"""Event handlers: what to do when an event of some kind happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .event import Event
from .some_entities_type import SomeEntitiesType

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class BaseEventHandler:
    """Handle the events for which ``matcher`` returns True, once only if ``handle_once``."""

    def __init__(self, *, matcher: Callable[[Event], bool], handle_once: bool = False) -> None:
        if not isinstance(handle_once, bool):
            raise TypeError(f"handle_once must be True or False, not {handle_once!r}")
        self.__matcher = matcher
        self.__handle_once = handle_once

    @property
    def handle_once(self) -> bool:
        """Whether this handler is removed after its first event."""
        return self.__handle_once

    @property
    def handler_description(self) -> str:
        """A text for people: what is done."""
        return ""

    @property
    def matcher_description(self) -> str:
        """A text for people: upon which event."""
        return ""

    def matches(self, event: Event) -> bool:
        """Return whether this handler wants ``event``."""
        return self.__matcher(event)

    def describe(self) -> tuple[str, list]:
        """Return a text for people and the entities this handler is known to yield."""
        return f"{type(self).__name__}(matcher='{self.matcher_description}')", []

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        """Make the event known to the actions that follow; subclasses return these actions."""
        context.extend_locals({"event": event})
        if self.handle_once:
            context.unregister_event_handler(self)
        return None


class EventHandler(BaseEventHandler):
    """An event handler that yields a fixed set of entities."""

    def __init__(
        self,
        *,
        matcher: Callable[[Event], bool],
        entities: SomeEntitiesType | None = None,
        handle_once: bool = False,
    ) -> None:
        super().__init__(matcher=matcher, handle_once=handle_once)
        if entities is None:
            self.__entities: list = []
        else:
            self.__entities = list(entities) if isinstance(entities, Iterable) else [entities]

    @property
    def entities(self) -> list:
        """The entities visited when the event happens."""
        return self.__entities

    def describe(self) -> tuple[str, list]:
        text, entities = super().describe()
        return text, entities + self.__entities

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        super().handle(event, context)
        return self.__entities
