"""Actions about events: register handlers, emit, shut down, wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..event import Event
from ..event_handler import BaseEventHandler, EventHandler
from ..events import Shutdown as ShutdownEvent
from ..events import TimerEvent
from ..events.process import ProcessExited
from ..launch_description_entity import LaunchDescriptionEntity
from ..logging import get_logger
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions
from .flow import OpaqueFunction

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class RegisterEventHandler(Action):
    """Register an event handler."""

    def __init__(self, event_handler: BaseEventHandler, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__event_handler = event_handler

    @property
    def event_handler(self) -> BaseEventHandler:
        """The handler."""
        return self.__event_handler

    def execute(self, context: LaunchContext) -> None:
        context.register_event_handler(self.__event_handler)

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        text, entities = self.__event_handler.describe()
        return [(text, entities)] if entities else []


class UnregisterEventHandler(Action):
    """Remove an event handler."""

    def __init__(self, event_handler: BaseEventHandler, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__event_handler = event_handler

    @property
    def event_handler(self) -> BaseEventHandler:
        """The handler."""
        return self.__event_handler

    def execute(self, context: LaunchContext) -> None:
        context.unregister_event_handler(self.__event_handler)


class EmitEvent(Action):
    """Emit an event."""

    def __init__(self, *, event: Event, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(event, Event):
            raise RuntimeError(f"EmitEvent() expected an event instance, got '{event}'.")
        self.__event = event

    @property
    def event(self) -> Event:
        """The event."""
        return self.__event

    def execute(self, context: LaunchContext) -> None:
        context.emit_event_sync(self.__event)


class Shutdown(EmitEvent):
    """End the launch; the exit code stays 0 unless something raised."""

    def __init__(self, *, reason: str = "reason not given", **kwargs: Any) -> None:
        super().__init__(event=ShutdownEvent(reason=reason), **kwargs)

    def execute(self, context: LaunchContext) -> None:
        event = context.get_locals_as_dict().get("event")
        if isinstance(event, ProcessExited):
            get_logger("launch").info(
                f"process[{event.process_name}] was required: shutting down launched system"
            )
        super().execute(context)


class TimerAction(Action):
    """Execute actions after ``period`` seconds, unless cancelled or shut down before."""

    def __init__(
        self,
        *,
        period: float | SomeSubstitutionsType,
        actions: Iterable[LaunchDescriptionEntity],
        cancel_on_shutdown: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.__period = normalize_to_list_of_substitutions(
            str(period) if isinstance(period, (int, float)) else period
        )
        self.__actions = list(actions)
        self.__cancel_on_shutdown = cancel_on_shutdown
        self.__cancelled = False
        self.__cancelled_future: asyncio.Future | None = None
        self.__completed_future: asyncio.Future | None = None
        self.__locals: dict[str, Any] = {}

    @property
    def period(self) -> list[Substitution]:
        """The seconds to wait."""
        return self.__period

    @property
    def actions(self) -> list[LaunchDescriptionEntity]:
        """The actions to execute then."""
        return self.__actions

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        return [("the period passes without being canceled", self.__actions)]

    def cancel(self) -> None:
        """Do not execute the actions; harmless if they were executed already."""
        self.__cancelled = True
        if self.__cancelled_future is not None and not self.__cancelled_future.done():
            self.__cancelled_future.set_result(True)

    def get_asyncio_future(self) -> asyncio.Future | None:
        return self.__completed_future

    def execute(self, context: LaunchContext) -> None:
        loop = context.asyncio_loop
        if self.__cancelled or loop is None:
            return
        seconds = float(perform_substitutions(context, self.__period))
        self.__cancelled_future = loop.create_future()
        self.__completed_future = loop.create_future()
        self.__locals = context.get_locals_as_dict()
        context.register_event_handler(
            EventHandler(
                matcher=lambda event: isinstance(event, TimerEvent) and event.timer_action is self,
                entities=OpaqueFunction(function=self.__fire),
                handle_once=True,
            )
        )
        if self.__cancel_on_shutdown:
            context.register_event_handler(
                EventHandler(
                    matcher=lambda event: isinstance(event, ShutdownEvent),
                    entities=OpaqueFunction(function=lambda context: self.cancel()),
                )
            )
        loop.create_task(self.__wait(context, seconds))

    def __fire(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        context.extend_locals(self.__locals)
        return self.__actions

    async def __wait(self, context: LaunchContext, seconds: float) -> None:
        assert self.__cancelled_future is not None
        assert self.__completed_future is not None
        await asyncio.wait([self.__cancelled_future], timeout=seconds)
        if not self.__cancelled_future.done():
            await context.emit_event(TimerEvent(timer_action=self))
        self.__completed_future.set_result(None)
