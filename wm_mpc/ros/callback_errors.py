"""Errors of callbacks: one bad message must not end a node, and must not go unnoticed either.

The executors of `executors.py` catch what a callback raises and hand it over here. The message or
request is dropped, the error is logged and counted, and `/diagnostics` shows it for a while.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from wm_mpc.ros.status import DiagnosticsPublisher

SHOWN = 10.0  # s, for which /diagnostics shows an error
_REPEAT = 10.0  # s, until an error of the same kind is logged again
_FRAMES = 5  # of a traceback that are logged, the last ones; those before are rclpy's
_KINDS = 100  # that are told apart; more would be somebody's attack on our memory


class CallbackErrors:
    """What the callbacks of one node raised. Thread-safe.

    Args:
        node: whose callbacks they are; its logger is used.
        now: seconds, monotonic.
    """

    def __init__(self, node: Any, now: Callable[[], float] = time.monotonic) -> None:
        self._node, self._now = node, now
        self._lock = threading.Lock()
        self._count = 0
        self._last: tuple[float, str] | None = None
        # By kind: when it was logged, and how often it has come since.
        self._kinds: dict[tuple[str, str, str], tuple[float, int]] = {}

    @property
    def count(self) -> int:
        """How many errors there were."""
        return self._count

    @property
    def last(self) -> str:
        """The newest error, for people; "none" before the first."""
        return "none" if self._last is None else self._last[1]

    def recent(self) -> str:
        """The newest error if it is less than `SHOWN` seconds old, else an empty text."""
        last = self._last
        return "" if last is None or self._now() - last[0] > SHOWN else last[1]

    def caught(self, where: str, error: BaseException) -> None:
        """Log and count an error.

        Each kind of error (same callback, type and line of code) is logged with its traceback
        when it comes first, and at most once in 10 s from then on.

        Args:
            where: which callback it was, for people, e.g. "topic /odom".
            error: what it raised.
        """
        text = f"{where}: {type(error).__name__}: {_short(str(error))}"
        kind = (where, type(error).__name__, _place(error))
        with self._lock:
            now = self._now()
            self._count += 1
            self._last = now, text
            first = kind not in self._kinds
            if first and len(self._kinds) >= _KINDS:
                kind = ("", "", "")
                first = kind not in self._kinds
            logged, unlogged = self._kinds.get(kind, (now, 0))
            is_due = first or now - logged >= _REPEAT
            self._kinds[kind] = (now, 0) if is_due else (logged, unlogged + 1)
        if not is_due:
            return
        message = f"a callback failed, and what it was to handle is dropped: {text}"
        if first:
            lines = traceback.format_exception(error, limit=-_FRAMES)
            message = f"{message}\n{''.join(lines).rstrip()}"
        elif unlogged:
            message = f"{message} (and {unlogged} times more since the last report)"
        self._node.get_logger().error(message)


class PublishedCallbackErrors(CallbackErrors):
    """The same, and it publishes them on `/diagnostics` as `<node>: callbacks`.

    For nodes without a status of their own there. Nothing is published before the first error;
    from then on an ERROR comes once a second, and an OK when no error came for `SHOWN` seconds.
    """

    def __init__(self, node: Any, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(node, now)
        self._publisher: DiagnosticsPublisher | None = None
        self._was_shown = False

    def caught(self, where: str, error: BaseException) -> None:
        super().caught(where, error)
        with self._lock:
            if self._publisher is None:
                self._publisher = DiagnosticsPublisher(self._node, "callbacks")
                # Simulated time may stand still.
                clock = Clock(clock_type=ClockType.STEADY_TIME)
                self._node.create_timer(1.0, self._publish, clock=clock)
            is_new, self._was_shown = not self._was_shown, True
        if is_new:
            self._publish()

    def _publish(self) -> None:
        assert self._publisher is not None
        recent = self.recent()
        if not (recent or self._was_shown):
            return
        self._was_shown = bool(recent)
        level = DiagnosticStatus.ERROR if recent else DiagnosticStatus.OK
        message = f"a callback failed: {recent}" if recent else "callbacks work again"
        values = {"callback errors": self.count, "last callback error": self.last}
        self._publisher.publish(level, message, values)


def errors_of(node: Any) -> CallbackErrors:
    """The errors of a node's callbacks: its attribute `callback_errors`, made where it has none."""
    errors = getattr(node, "callback_errors", None)
    if errors is None:
        errors = node.callback_errors = PublishedCallbackErrors(node)
    assert isinstance(errors, CallbackErrors)
    return errors


def name_of(entity: Any) -> str:
    """Which callback belongs to something that an executor runs, for people."""
    if isinstance(entity, Subscription):
        return f"topic {entity.topic_name}"
    if isinstance(entity, Service):
        return f"service {entity.handle.name}"
    if isinstance(entity, Timer):
        name = getattr(entity.callback, "__qualname__", "")
        return f"timer {name}".rstrip()
    return "task" if entity is None else f"event ({type(entity).__name__})"


def _place(error: BaseException) -> str:
    """File and line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]}..."
