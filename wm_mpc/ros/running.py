"""Running a node whose loop is its own: executor in the background, signals, a clean end.

rclpy's own signal handlers end the context under the feet of a running loop. Here Ctrl-C only
asks the loop to stop; the node then finishes its step, closes its files and leaves with code 0.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, TypeVar

import rclpy
from rclpy.exceptions import InvalidHandle, ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from wm_mpc.ros import garbage, overrides
from wm_mpc.ros.callback_errors import errors_of
from wm_mpc.ros.executors import PatientExecutor, UrgentExecutor
from wm_mpc.settings.fields import SettingError

Stopped = Callable[[], bool]
AnyNode = TypeVar("AnyNode", bound=Node)
_NAP = 0.02  # s


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stopped]:
    """Within the block, SIGINT and SIGTERM make the yielded function return True."""
    # A plain list: an Event must not be set from a handler that may have interrupted its lock.
    received: list[int] = []
    previous = {
        number: signal.signal(number, lambda got, _: received.append(got))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class BrokenOff(BaseException):
    """A signal came while something ran that may take long. No `except Exception` stops it."""


@contextlib.contextmanager
def breaking_off() -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM raise BrokenOff at once, besides what they do otherwise.

    For what may take long and cannot ask whether to stop. Only the main thread hears signals;
    elsewhere the block is nothing special.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def broken_off(number: int, frame: FrameType | None) -> None:
        before = previous[signal.Signals(number)]
        if callable(before):
            before(number, frame)
        raise BrokenOff

    try:
        for number in previous:
            signal.signal(number, broken_off)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def wait_until(condition: Callable[[], Any], seconds: float, stopped: Stopped) -> bool:
    """Sleep until `condition()`; False when that takes longer, or `stopped()` comes first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if stopped() or time.monotonic() > deadline:
            return False
        time.sleep(_NAP)
    return True


@contextlib.contextmanager
def spinning(node: Node) -> Iterator[Stopped]:
    """Within the block, callbacks run in another thread, the urgent ones in one of their own.

    A callback that raises does not end them: see `callback_errors.py`. Its error goes to the node's
    attribute `callback_errors` or, where it has none, to the log and `/diagnostics`.

    The yielded function returns True when they have come to an end all the same, as by a fault of
    the middleware; that exception is raised again at the end of the block.
    """
    errors = errors_of(node)
    urgent = UrgentExecutor(node, errors)
    patient = PatientExecutor(urgent, errors)
    patient.add_node(node)
    failures: list[BaseException] = []
    stopping: list[bool] = []

    def spin(executor: SingleThreadedExecutor) -> None:
        try:
            while executor.context.ok() and not stopping:
                _spin_once(executor)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(
            target=spin, args=[executor], name=f"{node.get_name()} {what}", daemon=True
        )
        for executor, what in ((urgent, "urgent callbacks"), (patient, "callbacks"))
    ]
    for thread in threads:
        thread.start()
    try:
        yield lambda: not all(thread.is_alive() for thread in threads)
    finally:
        # `shutdown` pulls from under a running executor what it waits with: the loops end first.
        stopping.append(True)
        for executor in (urgent, patient):
            executor.create_task(lambda: None)  # woken without any work, it would wait on
        for thread in threads:
            thread.join(timeout=1.0)
        for executor in (urgent, patient):
            executor.shutdown(timeout_sec=1.0)
    if failures:
        raise failures[0]


def _spin_once(executor: SingleThreadedExecutor) -> None:
    # Another thread may just have destroyed what it was about to wait for; of events, rclpy does
    # not expect that.
    with contextlib.suppress(InvalidHandle):
        executor.spin_once()


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """A program's arguments (its name first) without the name and without ROS's.

    Ends the program with one line on stderr, code 1, for ROS arguments that cannot be read.
    """
    try:
        overrides.use(arguments)
        return list(remove_ros_args(list(arguments))[1:])
    except (RuntimeError, overrides.OverrideError) as error:
        print(f"error: {str(error).split(', at /')[0]}", file=sys.stderr)
        raise SystemExit(1) from None


def _init(args: Sequence[str] | None) -> None:
    """rclpy's, which leaves signals alone. Raises OverrideError for arguments it cannot read."""
    try:
        rclpy.init(
            args=None if args is None else list(args),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except RuntimeError as error:  # what rclpy raises has no name of its own
        raise overrides.OverrideError(str(error).split(", at /")[0]) from None


def run(
    make_node: Callable[[], AnyNode],
    work: Callable[[AnyNode, Stopped], Any],
    args: Sequence[str] | None = None,
) -> int:
    """Make a node, let `work(node, stopped)` run in this thread, clean up; the exit code.

    Code 1 with one line on stderr when a parameter, or what was given as one, is not acceptable;
    other exceptions pass.
    """
    garbage.spare_exit()
    with stop_on_signals() as interrupted:
        try:
            overrides.use(args)
            _init(args)
            node = make_node()
            try:
                overrides.check(node)
                garbage.begin()
                with spinning(node) as ended:
                    work(node, lambda: interrupted() or ended())
            finally:
                node.destroy_node()
        except (SettingError, overrides.OverrideError, ParameterException) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            rclpy.try_shutdown()
    return 0
