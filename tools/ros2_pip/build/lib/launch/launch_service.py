"""The launch service: the loop that visits entities and processes events."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import traceback
from collections.abc import Iterable

from .event import Event
from .event_handlers import OnIncludeLaunchDescription, OnShutdown
from .events import IncludeLaunchDescription, Shutdown
from .launch_context import LaunchContext
from .launch_description import LaunchDescription
from .launch_description_entity import LaunchDescriptionEntity
from .logging import get_logger, launch_config, log_launch_config
from .utilities import normalize_to_list_of_entities, visit_all_entities_and_collect_futures


class LaunchService:
    """Execute launch descriptions until nothing is left to do, or until shut down.

    The exit code is 1 if anything raised (or the launch was terminated), else 0: processes that
    die do not count by themselves.
    """

    def __init__(
        self,
        *,
        argv: Iterable[str] | None = None,
        noninteractive: bool = False,
        debug: bool = False,
    ) -> None:
        launch_config.level = logging.DEBUG if debug else logging.INFO
        logging.getLogger("asyncio").setLevel(logging.INFO)
        self.__logger = get_logger("launch")
        self.__context = LaunchContext(argv=argv, noninteractive=noninteractive)
        self.__context.register_event_handler(OnIncludeLaunchDescription())
        self.__context.register_event_handler(OnShutdown(on_shutdown=self.__on_shutdown))
        self.__running: list[tuple[LaunchDescriptionEntity, asyncio.Future]] = []
        self.__loop: asyncio.AbstractEventLoop | None = None
        self.__shutting_down = False
        self.__return_code = 0

    @property
    def context(self) -> LaunchContext:
        """The state of the launch."""
        return self.__context

    @property
    def event_loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop while running, else None."""
        return self.__loop

    def include_launch_description(self, launch_description: LaunchDescription) -> None:
        """Execute a launch description as soon as the service runs."""
        self.emit_event(IncludeLaunchDescription(launch_description))

    def emit_event(self, event: Event) -> None:
        """Emit an event, from any thread, also before running."""
        if self.__loop is None:
            self.__context.emit_event_sync(event)
        else:
            self.__loop.call_soon_threadsafe(self.__context.emit_event_sync, event)

    def shutdown(self) -> None:
        """End the launch, from any thread."""
        if self.__loop is not None:
            self.__loop.call_soon_threadsafe(
                lambda: self.__shut_down("LaunchService.shutdown() called")
            )

    def run(self, *, shutdown_when_idle: bool = True) -> int:
        """Run until everything has ended; return the exit code."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("LaunchService can only be run in the main thread.")
        return asyncio.run(self.run_async(shutdown_when_idle=shutdown_when_idle))

    async def run_async(self, *, shutdown_when_idle: bool = True) -> int:
        """Run until everything has ended, inside an event loop; return the exit code."""
        if self.__loop is not None:
            raise RuntimeError("LaunchService cannot be run multiple times concurrently.")
        loop = self.__loop = asyncio.get_running_loop()
        self.__context._set_asyncio_loop(loop)
        loop.set_exception_handler(self.__on_exception)
        self.__install_signal_handlers(loop)
        log_launch_config(logger=self.__logger)
        try:
            await self.__process_events(shutdown_when_idle)
        finally:
            for clean_up in self.__context._clean_ups:
                clean_up()
            self.__loop = None
            self.__context._set_asyncio_loop(None)
        return self.__return_code

    # --- the loop ---------------------------------------------------------------------------

    async def __process_events(self, shutdown_when_idle: bool) -> None:
        queue = self.__context._event_queue
        while True:
            futures = self.__unfinished()
            if queue.empty():
                if not futures and self.__shutting_down:
                    return
                if not futures and shutdown_when_idle:
                    self.__shut_down("idle")
                    continue
                getter = asyncio.ensure_future(queue.get())
                await asyncio.wait([getter, *futures], return_when=asyncio.FIRST_COMPLETED)
                if not getter.done():
                    getter.cancel()
                    continue
                event = getter.result()
            else:
                event = queue.get_nowait()
            try:
                self.__process_event(event)
            except Exception as error:
                self.__report(error)

    def __unfinished(self) -> list[asyncio.Future]:
        self.__running = [pair for pair in self.__running if not pair[1].done()]
        futures = self.__context._completion_futures
        futures[:] = [future for future in futures if not future.done()]
        return [future for _, future in self.__running] + futures

    def __process_event(self, event: Event) -> None:
        for handler in tuple(self.__context._event_handlers):
            if not handler.matches(event):
                continue
            self.__logger.debug(f"processing event: '{event}' by '{handler}'")
            self.__context._push_locals()
            try:
                entities = handler.handle(event, self.__context)
                for entity in normalize_to_list_of_entities(entities):
                    if entity is None:
                        continue
                    if not isinstance(entity, LaunchDescriptionEntity):
                        raise RuntimeError(
                            f"expected a LaunchDescriptionEntity from event_handler, got '{entity}'"
                        )
                    visit_all_entities_and_collect_futures(entity, self.__context, self.__running)
            finally:
                self.__context._pop_locals()

    def __report(self, error: Exception) -> None:
        self.__logger.debug("".join(traceback.format_exception(error)))
        message = f"Caught exception in launch (see debug for traceback): {error}"
        self.__logger.error(message)
        self.__return_code = 1
        self.__shut_down(message)

    def __on_exception(self, loop: asyncio.AbstractEventLoop, details: dict) -> None:
        self.__return_code = 1
        loop.default_exception_handler(details)

    # --- the end ----------------------------------------------------------------------------

    def __shut_down(self, reason: str, *, due_to_sigint: bool = False) -> None:
        if not self.__shutting_down:
            self.__context.emit_event_sync(Shutdown(reason=reason, due_to_sigint=due_to_sigint))
        self.__shutting_down = True
        self.__context._set_is_shutdown(True)

    def __on_shutdown(self, event: Event, context: LaunchContext) -> None:
        self.__shutting_down = True
        context._set_is_shutdown(True)

    def __install_signal_handlers(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGINT, self.__on_interrupt)
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            loop.add_signal_handler(number, self.__on_terminate, number)

    def __on_interrupt(self) -> None:
        message = "user interrupted with ctrl-c (SIGINT)"
        if self.__shutting_down:
            self.__logger.warning(f"{message} again, ignoring...")
            return
        self.__logger.warning(message)
        self.__shut_down("ctrl-c (SIGINT)", due_to_sigint=True)

    def __on_terminate(self, number: signal.Signals) -> None:
        # The genuine launch ends at once and may leave orphans; this one stops its processes.
        self.__logger.error(f"user interrupted with ctrl-\\ ({number.name}), terminating...")
        self.__return_code = 1
        self.__shut_down(number.name)
