"""Events of processes: started, exited, output, and requests to signal or to shut down."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._support import refuse_unknown_names
from ..event import Event

if TYPE_CHECKING:
    from ..actions import ExecuteProcess

__all__ = [
    "ProcessExited",
    "ProcessIO",
    "ProcessStarted",
    "ProcessStderr",
    "ProcessStdout",
    "ProcessTargetedEvent",
    "RunningProcessEvent",
    "ShutdownProcess",
    "SignalProcess",
    "matches_executable",
    "matches_name",
    "matches_pid",
]


class RunningProcessEvent(Event):
    """Something about a process that was started."""

    name = "launch.events.process.RunningProcessEvent"

    def __init__(
        self,
        *,
        action: ExecuteProcess,
        name: str,
        cmd: list[str],
        cwd: str | None,
        env: dict[str, str] | None,
        pid: int,
        **_: Any,
    ) -> None:
        self.action = action
        self.process_name = name
        self.cmd = cmd
        self.cwd = cwd
        self.env = env
        self.pid = pid
        self.execute_process_action = action


class ProcessStarted(RunningProcessEvent):
    """A process was started."""

    name = "launch.events.process.ProcessStarted"


class ProcessExited(RunningProcessEvent):
    """A process ended with ``returncode`` (negative: by that signal)."""

    name = "launch.events.process.ProcessExited"

    def __init__(self, *, returncode: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.returncode = returncode


class ProcessIO(RunningProcessEvent):
    """A process wrote ``text`` (bytes) to the file descriptor ``fd``."""

    name = "launch.events.process.ProcessIO"

    def __init__(self, *, text: bytes, fd: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = text
        self.fd = fd

    @property
    def from_stdin(self) -> bool:
        """Whether the text went to the process."""
        return self.fd == 0

    @property
    def from_stdout(self) -> bool:
        """Whether the text came from standard output."""
        return self.fd == 1

    @property
    def from_stderr(self) -> bool:
        """Whether the text came from standard error."""
        return self.fd == 2


class ProcessStdout(ProcessIO):
    """A process wrote to its standard output."""

    name = "launch.events.process.ProcessStdout"

    def __init__(self, *, text: bytes, **kwargs: Any) -> None:
        super().__init__(text=text, fd=1, **kwargs)


class ProcessStderr(ProcessIO):
    """A process wrote to its standard error."""

    name = "launch.events.process.ProcessStderr"

    def __init__(self, *, text: bytes, **kwargs: Any) -> None:
        super().__init__(text=text, fd=2, **kwargs)


class ProcessTargetedEvent(Event):
    """A request to the processes for which ``process_matcher`` returns True."""

    name = "launch.events.process.ProcessTargetedEvent"

    def __init__(self, *, process_matcher: Callable[[ExecuteProcess], bool]) -> None:
        self.__process_matcher = process_matcher

    @property
    def process_matcher(self) -> Callable[[ExecuteProcess], bool]:
        """The matcher."""
        return self.__process_matcher


class ShutdownProcess(ProcessTargetedEvent):
    """Stop processes: SIGINT, later SIGTERM, later SIGKILL."""

    name = "launch.events.process.ShutdownProcess"


class SignalProcess(ProcessTargetedEvent):
    """Send a signal, given by number or by name, to processes."""

    name = "launch.events.process.SignalProcess"

    def __init__(
        self,
        *,
        signal_number: str | signals.Signals | int,
        process_matcher: Callable[[ExecuteProcess], bool],
    ) -> None:
        super().__init__(process_matcher=process_matcher)
        self.__signal = (
            signals.Signals[signal_number]
            if isinstance(signal_number, str)
            else signals.Signals(signal_number)
        )

    @property
    def signal(self) -> signals.Signals:
        """The signal."""
        return self.__signal

    @property
    def signal_name(self) -> str:
        """The name of the signal."""
        return self.__signal.name


def matches_name(name: str) -> Callable[[ExecuteProcess], bool]:
    """Match processes by their name in the launch output, e.g. 'sim-1'."""
    return lambda action: (action.process_details or {}).get("name") == name


def matches_pid(pid: int) -> Callable[[ExecuteProcess], bool]:
    """Match the process with this process id."""
    return lambda action: (action.process_details or {}).get("pid") == pid


def matches_executable(executable: str) -> Callable[[ExecuteProcess], bool]:
    """Match processes by the end of the path of their executable."""
    return lambda action: (
        action.process_details is not None and action.process_details["cmd"][0].endswith(executable)
    )


__getattr__ = refuse_unknown_names(__name__, __all__)
