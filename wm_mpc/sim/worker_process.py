"""One process that does jobs for another; `wm_mpc.sim.workers` is the interface to use.

Function, jobs and results travel pickled through a socket that only the two processes have. The end
of the socket is the end of the worker, so that it cannot outlive its parent.
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

# A job is one core's work; the cores are used up by running as many jobs.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclasses.dataclass(frozen=True)
class Failure:
    """What a worker sends instead of a result: the error in one line, and its traceback."""

    error: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Of the exception being handled."""
        return cls(f"{type(error).__name__}: {error}", traceback.format_exc())


class WorkerProcess:
    """A worker process as its parent sees it. To be made in a thread that needs no SIGINT."""

    def __init__(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        descriptor = theirs.fileno()
        # Ctrl-C goes to all processes of a terminal; this one decides what it means.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(sys.path), str(descriptor)],
                env={**os.environ, **ONE_THREAD},
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=2,  # results of our commands go to stdout, and nothing else
            )
        self._function = ""

    def perform(self, shared: tuple[str, bytes], job: Any) -> Any:
        """Raises EOFError or OSError when the process dies."""
        key, function = shared
        self._connection.send_bytes(
            pickle.dumps(
                (None if key == self._function else function, job), pickle.HIGHEST_PROTOCOL
            )
        )
        self._function = key
        return pickle.loads(self._connection.recv_bytes())

    def kill(self) -> str:
        """Returns how the process ended."""
        self._process.kill()
        self._process.wait()
        return f"exit code {self._process.returncode}"


_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from wm_mpc.sim.worker_process import serve; serve(int(sys.argv[2]))"
)


def serve(descriptor: int) -> None:
    """The life of a worker process: answer jobs until the other end of the connection is gone."""
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
    """A thread, so that a worker in the middle of a job, too, ends with its parent."""
    while True:
        try:
            jobs.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)
