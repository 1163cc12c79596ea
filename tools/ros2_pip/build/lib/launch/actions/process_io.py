"""Starting a child process and reading what it writes: the part that knows the system.

Every child leads its own process group. So exactly one SIGINT reaches it, from the launch,
whether Ctrl-C, ``kill`` or a Shutdown action ended the launch; and its own children can be
signalled, and cleaned up, together with it. Should the launch itself be killed, the kernel kills
the child (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

PR_SET_PDEATHSIG = 1
DRAIN_SECONDS = 0.5  # how long to read on after the end, if a grandchild holds the pipe open
_libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None


def die_with_parent(parent: int) -> None:
    """Arrange that the calling process is killed when ``parent``, its parent, ends."""
    if _libc is not None and hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call above
        os._exit(1)


def _open_terminal() -> tuple[int, int]:
    """Open a pseudo-terminal that passes line ends through unchanged."""
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.ONLCR
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    return ours, theirs


class _Protocol(asyncio.SubprocessProtocol):
    """Tells that the child has started, hands on what it writes, and tells when it has ended."""

    def __init__(
        self, on_start: Callable[[int], None], sinks: dict[int, Callable[[bytes], None]]
    ) -> None:
        self._on_start = on_start
        self._sinks = sinks
        self.exited: asyncio.Future = asyncio.get_running_loop().create_future()
        self.drained = {
            descriptor: asyncio.get_running_loop().create_future() for descriptor in sinks
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._on_start(transport.get_pid())  # type: ignore[attr-defined]

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._sinks[fd](data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in self.drained and not self.drained[fd].done():
            self.drained[fd].set_result(None)

    def process_exited(self) -> None:
        self.exited.set_result(None)


class _TerminalProtocol(asyncio.Protocol):
    """Hands on what the child writes to a pseudo-terminal, as if it were a pipe."""

    def __init__(self, protocol: _Protocol, descriptor: int) -> None:
        self._protocol = protocol
        self._descriptor = descriptor

    def data_received(self, data: bytes) -> None:
        self._protocol.pipe_data_received(self._descriptor, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.pipe_connection_lost(self._descriptor, exc)


class ChildProcess:
    """A running child; its output goes, in pieces as it comes, to the functions given."""

    def __init__(
        self,
        transport: asyncio.SubprocessTransport,
        protocol: _Protocol,
        terminals: list[asyncio.ReadTransport],
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._terminals = terminals
        self.pid: int = transport.get_pid()  # also the id of its process group

    @classmethod
    async def start(
        cls,
        cmd: Sequence[str],
        *,
        shell: bool,
        cwd: str | None,
        env: Mapping[str, str] | None,
        emulate_tty: bool,
        on_start: Callable[[int], None],
        on_stdout: Callable[[bytes], None],
        on_stderr: Callable[[bytes], None],
    ) -> ChildProcess:
        """Start ``cmd``; raises OSError if that fails.

        ``on_start`` is called with the process id before anything else is reported.
        """
        loop = asyncio.get_running_loop()
        parent = os.getpid()

        def prepare() -> None:
            os.setpgid(0, 0)
            die_with_parent(parent)

        protocol = _Protocol(on_start, {1: on_stdout, 2: on_stderr})
        pairs = [_open_terminal(), _open_terminal()] if emulate_tty else []
        stdout, stderr = [theirs for _, theirs in pairs] or [subprocess.PIPE] * 2
        start = loop.subprocess_shell if shell else loop.subprocess_exec
        try:
            transport, _ = await start(
                lambda: protocol,
                *([" ".join(cmd)] if shell else cmd),
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=env,
                preexec_fn=prepare,
            )
        except BaseException:
            for ours, _ in pairs:
                os.close(ours)
            raise
        finally:
            for _, theirs in pairs:
                os.close(theirs)
        terminals = []
        for descriptor, (ours, _) in enumerate(pairs, start=1):
            terminal, _ = await loop.connect_read_pipe(
                partial(_TerminalProtocol, protocol, descriptor),
                os.fdopen(ours, "rb", buffering=0),
            )
            terminals.append(terminal)
        return cls(transport, protocol, terminals)

    @property
    def returncode(self) -> int | None:
        """The exit code; negative: ended by that signal; None: still running."""
        return self._transport.get_returncode()

    async def wait(self) -> int:
        """Wait for the end of the process and of its output; return the exit code.

        Output that children of the process still hold open is waited for only a moment.
        """
        await self._protocol.exited
        await asyncio.wait(self._protocol.drained.values(), timeout=DRAIN_SECONDS)
        for terminal in self._terminals:
            terminal.close()
        self._transport.close()
        returncode = self.returncode
        assert returncode is not None
        return returncode

    def send_signal(self, number: int) -> None:
        """Signal the whole process group; raises ProcessLookupError if nothing is left of it."""
        os.killpg(self.pid, number)

    def has_left_over(self) -> bool:
        """Return whether processes of the group live on after the end of the process itself."""
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def kill_left_over(self) -> None:
        """Kill what is left of the process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
