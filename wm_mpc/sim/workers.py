"""Many simulators at once: one function over many jobs, on the cores of this machine or a cluster.

Collection and data synthesis hand their rollouts to a `Workers` and take the results as they come.
What a job returns must depend on the job alone, then neither the number of workers nor the back end
changes any result. Files are written by whoever takes the results: workers keep nothing, so killing
them is always safe.
"""

from __future__ import annotations

import abc
import contextlib
import pickle
import re
import reprlib
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from wm_mpc.sim.bullet import Simulation
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.worker_process import Failure, WorkerProcess

Job = TypeVar("Job")
Result = TypeVar("Result")

ACCEPTED = (
    "a number of processes on this machine, ray (Ray on this machine only), auto or host:port (the "
    "Ray cluster this machine belongs to), ray://host:10001 (a remote Ray cluster)"
)


class WorkersError(RuntimeError):
    """No workers: a back end that is missing or cannot be reached."""


class JobError(RuntimeError):
    """A job that failed; `number` counts from 0. The message has the job and its error."""

    def __init__(self, number: int, job: object, error: str) -> None:
        super().__init__(f"job {number} ({reprlib.repr(job)}) failed: {error}")
        self.number = number


class Workers(abc.ABC):
    """A number of workers, to be used in a `with` statement; `count` is how many run at once."""

    count: int

    def map(
        self,
        function: Callable[[Job], Result],
        jobs: Iterable[Job],
        *,
        ordered: bool = True,
    ) -> Iterator[Result]:
        """Results of `function` for all jobs, lazily, in their order; or, not `ordered`, each as
        soon as it is there. At most twice `count` jobs are handed out ahead of the results taken.

        The function is sent to a worker once, so a `functools.partial` or an instance with
        `__call__` may carry what all jobs share, such as a model. It, jobs and results must be
        picklable. Raises JobError for the first job taken that failed.
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
        """What `_start` hands to workers as the function."""

    @abc.abstractmethod
    def _start(self, shared: Any, job: Any) -> Any:
        """Queue a job; returns a handle at once."""

    @abc.abstractmethod
    def _first_done(self, handles: list[Any]) -> int:
        """Wait until one of the jobs is done; returns its position."""

    @abc.abstractmethod
    def _outcome(self, handle: Any) -> Any:
        """Wait for a job's result, or its Failure."""

    @abc.abstractmethod
    def _cancel(self, handle: Any) -> None:
        """Drop a job that nobody waits for any more, if that is still possible."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stop all workers at once, whatever they are doing. May be called again."""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LocalWorkers(Workers):
    """Processes of this machine, started when there are jobs for them; a single worker is this very
    process. The processes end with this one, even if it is killed."""

    def __init__(self, count: int = 1) -> None:
        """Raises ValueError when `count` is below 1."""
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
            with _one_torch_thread():
                return function(job)
        except Exception as error:
            return Failure.of(error)

    def _cancel(self, handle: Any) -> None:
        if isinstance(handle, Future):
            handle.cancel()

    def _run(self, shared: tuple[str, bytes], job: Any) -> Any:
        """In a thread of `_threads`: let the thread's process do a job."""
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
        except Exception as error:  # no process, or a job that cannot be pickled
            return Failure.of(error)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Sums of several threads round differently: a worker of its own process has one, too."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def check_workers(text: str) -> str:
    """A description of workers as `make_workers` takes it. Raises ValueError for anything else."""
    if re.fullmatch(r"-?\d+", text):
        if int(text) < 1:
            raise ValueError(f"{text} is not above zero")
    elif not re.fullmatch(r"ray|auto|(ray://)?[^\s:/]+:\d+", text):
        raise ValueError(f"{text!r} are no workers; accepted: {ACCEPTED}")
    return text


def make_workers(text: str) -> Workers:
    """The workers a person asks for: one of `ACCEPTED`. Raises ValueError for anything else, and
    WorkersError when Ray is not installed or does not answer."""
    check_workers(text)
    if text.isdigit():
        return LocalWorkers(int(text))
    from wm_mpc.sim.ray_workers import RayWorkers  # needs an optional package

    return RayWorkers(text)


_simulations: dict[str, Simulation] = {}


def kept_simulation(task: str) -> Simulation:
    """The present process's simulation of a task, made by the first job that needs it. It is in the
    state some other job left it in."""
    if task not in _simulations:
        _simulations[task] = Simulation(make_task(task))
    return _simulations[task]
