"""Many simulators at once: one function over many jobs, on this machine's cores or a cluster.

Collection and data synthesis give their rollouts to `Workers`, and take the results as they come.
The result of a job must depend on the job alone. Then neither the number nor the kind of workers
changes it. The caller writes the results to files. Workers keep nothing, so killing them is always
safe.
"""

from __future__ import annotations

import abc
import pickle
import re
import reprlib
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from wm_mpc.sim.engine import Simulation
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.torch_threads import one_torch_thread
from wm_mpc.sim.worker_process import Failure, WorkerProcess

Job = TypeVar("Job")
Result = TypeVar("Result")

ACCEPTED = (
    "a number of processes on this machine, ray (Ray on this machine only), auto or host:port (the "
    "Ray cluster this machine belongs to), ray://host:10001 (a remote Ray cluster)"
)


class WorkersError(RuntimeError):
    """The workers are missing, or cannot be reached."""


class JobError(RuntimeError):
    """A job failed. The message holds the job and its error.

    Args:
        number: Number of the job, from 0.
        job: The job.
        error: The error, one line.

    Attributes:
        number: Number of the job, from 0.
    """

    def __init__(self, number: int, job: object, error: str) -> None:
        super().__init__(f"job {number} ({reprlib.repr(job)}) failed: {error}")
        self.number = number


class Workers(abc.ABC):
    """A number of workers, for use in a `with` statement.

    Attributes:
        count: How many jobs run at once.
    """

    count: int

    def map(
        self,
        function: Callable[[Job], Result],
        jobs: Iterable[Job],
        *,
        ordered: bool = True,
    ) -> Iterator[Result]:
        """Apply a function to all jobs, lazily.

        At most twice `count` jobs are in progress at a time. The function is sent to each worker
        once. So a `functools.partial`, or an object with `__call__`, may carry data that all jobs
        share, such as a model. The function, the jobs and the results must be picklable.

        Args:
            function: The function.
            jobs: The jobs.
            ordered: Whether the results come in the order of the jobs. If not, each comes when it
                is ready.

        Yields:
            The results.

        Raises:
            JobError: A job failed.
        """
        shared = self._share(function)
        pending: list[tuple[int, Job, Any]] = []
        remaining = enumerate(jobs)
        try:
            while True:
                for number, job in remaining:
                    pending.append((number, job, self._start(shared, job)))
                    if len(pending) >= self._most_pending():
                        break
                if not pending:
                    return
                first = 0 if ordered else self._first_done([handle for *_, handle in pending])
                number, job, handle = pending.pop(first)
                outcome = self._outcome(handle)
                if isinstance(outcome, Failure):
                    cause = RuntimeError("\n" + outcome.traceback) if outcome.traceback else None
                    raise JobError(number, job, outcome.error) from cause
                yield outcome
        finally:
            for _, _, handle in pending:
                self._cancel(handle)

    def _most_pending(self) -> int:
        return 2 * self.count

    @abc.abstractmethod
    def _share(self, function: Callable[[Any], Any]) -> Any:
        """Convert the function to the form that `_start` passes to workers."""

    @abc.abstractmethod
    def _start(self, shared: Any, job: Any) -> Any:
        """Queue a job, and return a handle at once."""

    @abc.abstractmethod
    def _first_done(self, handles: list[Any]) -> int:
        """Wait until one of the jobs is done, and return its position."""

    @abc.abstractmethod
    def _outcome(self, handle: Any) -> Any:
        """Wait for a job's result, or its Failure."""

    @abc.abstractmethod
    def _cancel(self, handle: Any) -> None:
        """Drop a job that nobody waits for any more, if possible."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stop all workers at once. May be called more than once."""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LocalWorkers(Workers):
    """Processes of this machine. They start when there are jobs for them.

    A single worker is the calling process itself. The processes end with this one, even if it is
    killed.

    Args:
        count: Number of processes, at least 1.

    Raises:
        ValueError: `count` is below 1.
    """

    def __init__(self, count: int = 1) -> None:

        if count < 1:
            raise ValueError(f"{count} is not above zero")
        self.count = count
        self._own = threading.local()
        self._lock = threading.Lock()
        self._processes: list[WorkerProcess] = []
        self._is_closed = False
        self._threads = ThreadPoolExecutor(count)  # one per process; started when needed

    def _most_pending(self) -> int:
        return 1 if self.count == 1 else super()._most_pending()

    def _share(self, function: Callable[[Any], Any]) -> Any:
        return function if self.count == 1 else (uuid.uuid4().hex, pickle.dumps(function))

    def _start(self, shared: Any, job: Any) -> Any:
        return (shared, job) if self.count == 1 else self._threads.submit(self._run, shared, job)

    def _first_done(self, handles: list[Any]) -> int:
        if self.count == 1:
            return 0
        done = wait(handles, return_when=FIRST_COMPLETED).done
        return next(number for number, handle in enumerate(handles) if handle in done)

    def _outcome(self, handle: Any) -> Any:
        if isinstance(handle, Future):
            return handle.result()
        function, job = handle
        try:
            with one_torch_thread():
                return function(job)
        except Exception as error:
            return Failure.of(error)

    def _cancel(self, handle: Any) -> None:
        if isinstance(handle, Future):
            handle.cancel()

    def _run(self, shared: tuple[str, bytes], job: Any) -> Any:
        """Let the process of this thread (one of `_threads`) do a job."""
        try:
            process: WorkerProcess | None = getattr(self._own, "process", None)
            if process is None:
                with self._lock:
                    if self._is_closed:
                        return Failure("the workers were closed")
                    process = self._own.process = WorkerProcess()
                    self._processes.append(process)
            try:
                return process.perform(shared, job)
            except (EOFError, OSError):
                self._own.process = None
                return Failure(f"its worker process died ({process.kill()})")
        except Exception as error:  # no process could start, or the job cannot be pickled
            return Failure.of(error)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)


def check_workers(text: str) -> str:
    """Check a description of workers, and return it.

    Args:
        text: As `make_workers` takes it.

    Raises:
        ValueError: The text is not accepted.
    """
    if re.fullmatch(r"-?\d+", text):
        if int(text) < 1:
            raise ValueError(f"{text} is not above zero")
    elif not re.fullmatch(r"ray|auto|(ray://)?[^\s:/]+:\d+", text):
        raise ValueError(f"{text!r} does not name workers; accepted: {ACCEPTED}")
    return text


def make_workers(text: str) -> Workers:
    """Make the workers that a person asks for.

    Args:
        text: One of `ACCEPTED`.

    Raises:
        ValueError: The text is not accepted.
        WorkersError: Ray is not installed, or does not answer.
    """
    check_workers(text)
    if text.isdigit():
        return LocalWorkers(int(text))
    from wm_mpc.sim.ray_workers import RayWorkers  # needs an optional package

    return RayWorkers(text)


_simulations: dict[str, Simulation] = {}


def kept_simulation(task: str) -> Simulation:
    """Return this process's simulation of a task. The first job that needs it makes it.

    It is in the state that the last job left.

    Args:
        task: Name of the task.
    """
    if task not in _simulations:
        _simulations[task] = simulate(make_task(task))
    return _simulations[task]
