"""The state of a launch: configurations, environment, event handlers and the event queue."""

from __future__ import annotations

import asyncio
import collections
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .event import Event
from .event_handler import BaseEventHandler
from .substitution import Substitution


class _Locals:
    """Attribute access to the context's current local variables."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"context.locals has no '{name}' here; it has: {', '.join(self.__dict__) or 'nothing'}"
        )


class LaunchContext:
    """What actions and substitutions can see and change while launching."""

    def __init__(self, *, argv: Iterable[str] | None = None, noninteractive: bool = False) -> None:
        self.__argv = list(argv) if argv is not None else []
        self.__noninteractive = noninteractive
        self._event_queue: asyncio.Queue = asyncio.Queue()
        self._event_handlers: collections.deque[BaseEventHandler] = collections.deque()
        self._completion_futures: list[asyncio.Future] = []
        self._clean_ups: list[Callable[[], None]] = []
        self.__globals: dict[str, Any] = {}
        self.__locals_stack: list[dict[str, Any]] = []
        self.__locals: dict[str, Any] = {}
        self.__launch_configurations: dict[str, Any] = {}
        self.__configuration_stack: list[dict[str, Any]] = []
        self.__environment_stack: list[dict[str, str]] = []
        self.__initial_environment = dict(os.environ)
        self.__is_shutdown = False
        self.__asyncio_loop: asyncio.AbstractEventLoop | None = None

    @property
    def argv(self) -> list[str]:
        """The command line arguments of the launch."""
        return self.__argv

    @property
    def noninteractive(self) -> bool:
        """Whether no terminal is attached, so that Ctrl-C reaches nobody but the launch."""
        return self.__noninteractive

    # --- life cycle -------------------------------------------------------------------------

    @property
    def is_shutdown(self) -> bool:
        """Whether the launch is shutting down."""
        return self.__is_shutdown

    def _set_is_shutdown(self, state: bool) -> None:
        self.__is_shutdown = state

    @property
    def asyncio_loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the running launch service."""
        return self.__asyncio_loop

    def _set_asyncio_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.__asyncio_loop = loop

    def add_completion_future(self, future: asyncio.Future) -> None:
        """Keep the launch alive until ``future`` is done."""
        self._completion_futures.append(future)

    # --- locals and globals -----------------------------------------------------------------

    def extend_globals(self, extensions: Mapping[str, Any]) -> None:
        """Add values visible everywhere from now on."""
        self.__globals.update(extensions)

    def extend_locals(self, extensions: Mapping[str, Any]) -> None:
        """Add values visible until the current event is processed."""
        self.__locals.update(extensions)

    def get_locals_as_dict(self) -> dict[str, Any]:
        """Return all visible values, locals before globals."""
        return {**self.__globals, **self.__locals}

    @property
    def locals(self) -> Any:
        """All visible values, as attributes."""
        return _Locals(self.get_locals_as_dict())

    def _push_locals(self) -> None:
        self.__locals_stack.append(dict(self.__locals))

    def _pop_locals(self) -> None:
        self.__locals = self.__locals_stack.pop()

    # --- launch configurations and environment ----------------------------------------------

    @property
    def launch_configurations(self) -> dict[str, Any]:
        """The named values set by launch arguments and SetLaunchConfiguration."""
        return self.__launch_configurations

    def _push_launch_configurations(self) -> None:
        self.__configuration_stack.append(dict(self.__launch_configurations))

    def _pop_launch_configurations(self) -> None:
        saved = self.__configuration_stack.pop()
        self.__launch_configurations.clear()
        self.__launch_configurations.update(saved)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment that new processes inherit."""
        return os.environ

    def _push_environment(self) -> None:
        self.__environment_stack.append(dict(os.environ))

    def _pop_environment(self) -> None:
        self.__replace_environment(self.__environment_stack.pop())

    def _reset_environment(self) -> None:
        self.__replace_environment(self.__initial_environment)

    def __replace_environment(self, environment: Mapping[str, str]) -> None:
        os.environ.clear()
        os.environ.update(environment)

    # --- substitutions and events -----------------------------------------------------------

    def perform_substitution(self, substitution: Substitution) -> str:
        """Return the text of ``substitution`` in this context."""
        return substitution.perform(self)

    def register_event_handler(self, event_handler: BaseEventHandler, append: bool = False) -> None:
        """Register a handler; the newest is asked first unless ``append``."""
        if append:
            self._event_handlers.append(event_handler)
        else:
            self._event_handlers.appendleft(event_handler)

    def unregister_event_handler(self, event_handler: BaseEventHandler) -> None:
        """Remove a handler; raises ValueError if it is not registered."""
        self._event_handlers.remove(event_handler)

    def would_handle_event(self, event: Event) -> bool:
        """Return whether any registered handler wants ``event``."""
        return any(handler.matches(event) for handler in self._event_handlers)

    def emit_event_sync(self, event: Event) -> None:
        """Queue an event from code that cannot await."""
        self._event_queue.put_nowait(event)

    async def emit_event(self, event: Event) -> None:
        """Queue an event."""
        await self._event_queue.put(event)
