"""One process that does jobs for another. Use it through `wm_mpc.sim.workers`.

The function, the jobs and the results travel pickled through a socket that only the two processes
have. The worker ends with the socket, so it cannot outlive its parent.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import multiprocessing.connection
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from typing import Any

# Each job uses one core. Several jobs at a time use all cores.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclasses.dataclass(frozen=True)
class Failure:
    """A worker sends this instead of a result.

    Attributes:
        error: The error in one line.
        traceback: Its traceback.
    """

    error: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe the exception that is being handled.

        Args:
            error: The exception.
        """
        return cls(f"{type(error).__name__}: {error}", traceback.format_exc())


class WorkerProcess:
    """A worker process, seen from its parent. Create it in a thread that needs no SIGINT."""

    def __init__(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        descriptor = theirs.fileno()
        # Ctrl-C reaches all processes of a terminal; only the parent should react.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(sys.path), str(descriptor)],
                env={**os.environ, **ONE_THREAD},
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout is for the results of our commands only
            )
        self._function = ""

    def perform(self, shared: tuple[str, bytes], job: Any) -> Any:
        """Let the process do a job.

        Args:
            shared: Name of the function, and the pickled function.
            job: The job.

        Returns:
            The result, or a Failure.

        Raises:
            EOFError: The process died.
            OSError: The process died.
        """
        key, function = shared
        self._connection.send_bytes(
            pickle.dumps(
                (None if key == self._function else function, job), pickle.HIGHEST_PROTOCOL
            )
        )
        self._function = key
        return pickle.loads(self._connection.recv_bytes())

    def kill(self) -> str:
        """Kill the process, and say how it ended."""
        self._process.kill()
        self._process.wait()
        return f"exit code {self._process.returncode}"


_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from wm_mpc.sim.worker_process import serve; serve(int(sys.argv[2]))"
)


def serve(descriptor: int) -> None:
    """Answer jobs until the other end of the connection is gone: the life of a worker process.

    Args:
        descriptor: File descriptor of the connection.
    """
    connection = multiprocessing.connection.Connection(descriptor)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, jobs), daemon=True).start()
    function: Any = None
    while True:
        try:
            sent, job = pickle.loads(jobs.get())
            function = function if sent is None else pickle.loads(sent)
            answer = pickle.dumps(function(job), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            answer = pickle.dumps(Failure.of(error))
        connection.send_bytes(answer)


def _receive(connection: Any, jobs: queue.SimpleQueue[bytes]) -> None:
    """Receive jobs in a thread, so that even a busy worker ends with its parent."""
    while True:
        try:
            jobs.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)
