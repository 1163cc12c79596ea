"""Recording from the page: the node `record` as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wm_mpc.nodes.viewer.commands import CommandError

_PATIENCE = 10.0  # s, for the end of a recording


class Starter:
    """Starts processes with the priority that the thread which makes it has now.

    On Linux, each thread has a priority of its own, and a process gets that of the thread that
    starts it. Only root may raise a priority, so one thread keeps the present one.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "starter")
        self._thread.submit(lambda: None).result()  # the thread is there now

    def __call__(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program that reads and prints nothing. Raises OSError."""
        return self._thread.submit(
            subprocess.Popen, arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ).result()


class Recorder:
    """Starts and ends recordings.

    Args:
        directory: In which each recording gets a directory of its own.
        topics: What is recorded, by full names.
        starter: Starts the process that records.
    """

    def __init__(self, directory: str, topics: Sequence[str], starter: Starter) -> None:
        self._directory, self._topics = Path(directory).expanduser(), tuple(topics)
        self._starter = starter
        self._process: subprocess.Popen[bytes] | None = None
        self._output = Path()

    @property
    def is_on(self) -> bool:
        """Whether a recording runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Begin a recording. Returns a sentence. Raises CommandError."""
        self._output = self._directory / time.strftime("%Y-%m-%d_%H-%M-%S")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"{self._directory} cannot be made: {error.strerror}.") from None
        self._process = self._starter(
            [sys.executable, "-m", "wm_mpc.nodes.tools.record",
             "--output", str(self._output), *self._topics]
        )  # fmt: skip
        return f"Records to {self._output}."

    def stop(self) -> str:
        """End the recording, and wait until its file is whole. Returns a sentence. Raises
        CommandError."""
        process, self._process = self._process, None
        if process is None:
            raise CommandError("There is no recording to stop.")
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise CommandError(
                f"The recording did not end within {_PATIENCE:.0f} s; "
                f"{self._output} may not be whole."
            ) from None
        if code:
            raise CommandError(f"Nothing was recorded to {self._output}; the log says why.")
        return f"Recorded to {self._output}."

    def close(self) -> None:
        """End a recording that still runs."""
        if self.is_on:
            self.stop()
