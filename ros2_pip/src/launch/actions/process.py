"""The ExecuteProcess action: run a process, log its output, respawn it, stop it."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .._support import refuse_unknown_arguments
from ..action import Action
from ..conditions import evaluate_condition_expression
from ..event_handler import EventHandler
from ..event_handlers import OnProcessExit, OnProcessStart, OnShutdown
from ..events import Shutdown as ShutdownEvent
from ..events.process import (
    ProcessExited,
    ProcessStarted,
    ProcessStderr,
    ProcessStdout,
    ShutdownProcess,
    SignalProcess,
)
from ..launch_description_entity import LaunchDescriptionEntity
from ..logging import get_logger, get_output_loggers
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import (
    normalize_to_list_of_entities,
    normalize_to_list_of_substitutions,
    normalize_typed_substitution,
    perform_substitutions,
    perform_typed_substitution,
)
from .flow import OpaqueFunction
from .process_description import Environment, ProcessDescription
from .process_io import ChildProcess
from .process_stop import Stopper, timeout_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

ACCEPTED = (
    *("cmd", "prefix", "name", "cwd", "env", "additional_env", "shell"),
    *("sigterm_timeout", "sigkill_timeout", "emulate_tty", "output", "output_format"),
    *("cached_output", "log_cmd", "on_exit", "respawn", "respawn_delay"),
    *("respawn_max_retries", "condition"),
)


class _LineLogger:
    """Cut output into lines; a partial line waits for its rest."""

    def __init__(self, action: ExecuteProcess, log: Callable[[str], None]) -> None:
        self._action = action
        self._log = log
        self._rest = b""

    def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._write_line(line)

    def flush(self) -> None:
        if self._rest:
            self._write_line(self._rest)
        self._rest = b""

    def _write_line(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        self._log(self._action.output_format.format(line=text, this=self._action))


class ExecuteProcess(Action):
    """Run a process; shut it down with the launch: SIGINT, then SIGTERM, then SIGKILL."""

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        prefix: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: Environment = None,
        additional_env: Environment = None,
        shell: bool = False,
        sigterm_timeout: SomeSubstitutionsType | float | None = None,
        sigkill_timeout: SomeSubstitutionsType | float | None = None,
        emulate_tty: bool = False,
        output: SomeSubstitutionsType | dict = "log",
        output_format: str = "[{this.process_description.final_name}] {line}",
        cached_output: bool = False,
        log_cmd: bool = False,
        on_exit: Any = None,
        respawn: bool | SomeSubstitutionsType = False,
        respawn_delay: float | None = None,
        respawn_max_retries: int = -1,
        condition: Any = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown_arguments(type(self).__name__, unknown, ACCEPTED)
        super().__init__(condition=condition)
        self.__description = ProcessDescription(
            cmd=cmd, prefix=prefix, name=name, cwd=cwd, env=env, additional_env=additional_env
        )
        self.__shell = shell
        self.__timeouts = (
            timeout_substitutions("sigterm_timeout", sigterm_timeout),
            timeout_substitutions("sigkill_timeout", sigkill_timeout),
        )
        self.__emulate_tty = emulate_tty
        output = os.environ.get("OVERRIDE_LAUNCH_PROCESS_OUTPUT", output)
        self.__output = (
            output if isinstance(output, dict) else normalize_to_list_of_substitutions(output)
        )
        self.output_format = output_format
        self.__cached: tuple[list[bytes], list[bytes]] | None = ([], []) if cached_output else None
        self.__log_cmd = log_cmd
        self.__on_exit = on_exit
        self.__respawn = normalize_typed_substitution(respawn, bool)
        self.__respawn_delay = respawn_delay
        self.__respawn_max_retries = respawn_max_retries
        self.__respawn_count = 0
        self.__details: dict[str, Any] | None = None
        self.__child: ChildProcess | None = None
        self.__completed: asyncio.Future | None = None
        self.__stopping: asyncio.Future | None = None

    # --- what others may ask ----------------------------------------------------------------

    @property
    def cmd(self) -> list[Any]:
        """The command: text once executed, before that lists of substitutions."""
        return self.__description.cmd if self.__details is None else self.__details["cmd"]

    @property
    def name(self) -> Any:
        """The name in the launch output, e.g. 'sim-1', once executed."""
        return self.__description.final_name or self.__description.name

    @property
    def process_description(self) -> ProcessDescription:
        """What is run; output formats reach ``final_name`` by it."""
        return self.__description

    @property
    def cwd(self) -> list[Substitution] | None:
        """The working directory."""
        return self.__description.cwd

    @property
    def shell(self) -> bool:
        """Whether a shell interprets the command."""
        return self.__shell

    @property
    def output(self) -> Any:
        """Where the output goes."""
        return self.__output

    @property
    def process_details(self) -> dict[str, Any] | None:
        """name, cmd, cwd, env, action and, once started, pid; None before execution."""
        return self.__details

    @property
    def return_code(self) -> int | None:
        """The exit code, None if not ended (or not started) yet."""
        return None if self.__child is None else self.__child.returncode

    def get_stdout(self) -> str:
        """Return everything written to standard output; needs cached_output=True."""
        return self.__get_cached(0)

    def get_stderr(self) -> str:
        """Return everything written to standard error; needs cached_output=True."""
        return self.__get_cached(1)

    def __get_cached(self, stream: int) -> str:
        if self.__cached is None:
            raise RuntimeError(f"output of '{self.name}' is not kept without cached_output=True")
        return b"".join(self.__cached[stream]).decode(errors="replace")

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        if self.__on_exit is None or callable(self.__on_exit):
            return []
        return normalize_to_list_of_entities(self.__on_exit)

    def get_asyncio_future(self) -> asyncio.Future | None:
        return self.__completed

    def _extend_cmd(self, parts: Iterable[SomeSubstitutionsType]) -> None:
        """Add to the command before execution."""
        self.__description.cmd += [normalize_to_list_of_substitutions(part) for part in parts]

    # --- running ----------------------------------------------------------------------------

    def execute(self, context: LaunchContext) -> None:
        if self.__details is not None:
            raise RuntimeError(f"ExecuteProcess action '{self.name}': executed more than once")
        self.__details = {"action": self, **self.__description.expand(context)}
        self.__respawn = perform_typed_substitution(context, self.__respawn, bool)
        if context.is_shutdown:
            return
        output = self.__output
        if not isinstance(output, dict):
            output = perform_substitutions(context, output)
        loggers = get_output_loggers(self.name, output)
        self.__lines = [_LineLogger(self, logger.info) for logger in loggers]
        self.__logger = get_logger(self.name)
        self.__stopper = Stopper(self, self.name, self.__logger, self.__timeouts)
        self.__register_handlers(context)
        loop = context.asyncio_loop
        assert loop is not None
        self.__completed = loop.create_future()
        self.__stopping = loop.create_future()
        loop.create_task(self.__run(context))

    def __register_handlers(self, context: LaunchContext) -> None:
        def is_for_me(event: Any, event_class: Any) -> bool:
            return isinstance(event, event_class) and event.process_matcher(self)

        def on_shutdown(event: ShutdownEvent, context: LaunchContext) -> list[Action] | None:
            # After Ctrl-C the genuine launch sends nothing: the terminal did. Ours sends the
            # signal (the child is in a group of its own) but says just as little.
            announce = not event.due_to_sigint or context.noninteractive
            return self.__stop(context, announce=announce)

        for handler in (
            EventHandler(
                matcher=lambda event: is_for_me(event, ShutdownProcess),
                entities=OpaqueFunction(
                    function=lambda context: self.__stop(context, announce=True)
                ),
            ),
            EventHandler(
                matcher=lambda event: is_for_me(event, SignalProcess),
                entities=OpaqueFunction(
                    function=lambda context: self.__stopper.send(
                        self.__child, context.locals.event.signal
                    )
                ),
            ),
            OnShutdown(on_shutdown=on_shutdown),
            OnProcessExit(target_action=self, on_exit=self.__on_exit),
        ):
            context.register_event_handler(handler)

    async def __run(self, context: LaunchContext) -> None:
        try:
            while await self.__run_once(context):
                pass
        finally:
            self.__stopper.cancel()
            assert self.__completed is not None
            self.__completed.set_result(None)

    async def __run_once(self, context: LaunchContext) -> bool:
        """Run the process once; return whether to run it again."""
        assert self.__details is not None
        cmd, cwd, env = (self.__details[key] for key in ("cmd", "cwd", "env"))
        shown_cmd = " ".join(part for part in cmd if part.strip())
        if self.__log_cmd:
            self.__logger.info(f"process details: cmd='{shown_cmd}', cwd='{cwd}', custom_env?=True")
        self.__child = None
        try:
            self.__child = await ChildProcess.start(
                cmd,
                shell=self.__shell,
                cwd=cwd,
                env=env,
                emulate_tty=self.__wants_tty(context),
                on_start=self.__on_start,
                on_stdout=lambda data: self.__on_output(context, 0, data),
                on_stderr=lambda data: self.__on_output(context, 1, data),
            )
        except Exception:
            self.__logger.error(
                f"exception occurred while executing process:\n{traceback.format_exc()}"
            )
            return False
        pid = self.__child.pid
        await context.emit_event(ProcessStarted(**self.__details))
        returncode = await self.__child.wait()
        if self.__child.has_left_over():
            context._clean_ups.append(self.__child.kill_left_over)
        for lines in self.__lines:
            lines.flush()
        if returncode == 0:
            self.__logger.info(f"process has finished cleanly [pid {pid}]")
        else:
            self.__logger.error(
                f"process has died [pid {pid}, exit code {returncode}, cmd '{shown_cmd}']."
            )
        await context.emit_event(ProcessExited(returncode=returncode, **self.__details))
        return await self.__wants_respawn(context)

    def __on_start(self, pid: int) -> None:
        assert self.__details is not None
        self.__details["pid"] = pid
        self.__logger.info(f"process started with pid [{pid}]")

    def __wants_tty(self, context: LaunchContext) -> bool:
        if "emulate_tty" not in context.launch_configurations:
            return self.__emulate_tty
        value = context.launch_configurations["emulate_tty"]
        return evaluate_condition_expression(context, normalize_to_list_of_substitutions(value))

    async def __wants_respawn(self, context: LaunchContext) -> bool:
        assert self.__stopping is not None
        if context.is_shutdown or self.__stopping.done() or not self.__respawn:
            return False
        if 0 <= self.__respawn_max_retries <= self.__respawn_count:
            return False
        self.__respawn_count += 1
        if self.__respawn_delay:
            await asyncio.wait([self.__stopping], timeout=self.__respawn_delay)
        return not self.__stopping.done()

    def __on_output(self, context: LaunchContext, stream: int, data: bytes) -> None:
        self.__lines[stream].write(data)
        if self.__cached is not None:
            self.__cached[stream].append(data)
        event_class = (ProcessStdout, ProcessStderr)[stream]
        event = event_class(text=data, **(self.__details or {}))
        if context.would_handle_event(event):
            context.emit_event_sync(event)

    def __stop(self, context: LaunchContext, *, announce: bool) -> list[Action] | None:
        """Begin SIGINT, SIGTERM, SIGKILL; the actions returned carry out the later steps."""
        if self.__stopping is None or self.__stopping.done():
            return None
        if self.__child is None:  # being started just now
            context.register_event_handler(
                OnProcessStart(
                    target_action=self,
                    on_start=lambda event, context: self.__stop(context, announce=announce),
                    handle_once=True,
                )
            )
            return None
        self.__stopping.set_result(None)
        if self.__child.returncode is not None:  # ended, perhaps waiting to be respawned
            return None
        return self.__stopper.interrupt(context, self.__child, announce=announce)
