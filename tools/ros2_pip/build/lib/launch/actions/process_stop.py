"""Stopping a process: SIGINT, after a while SIGTERM, after another while SIGKILL."""

from __future__ import annotations

import signal
from logging import Logger
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..events import matches_action
from ..events.process import SignalProcess
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..substitutions import LaunchConfiguration
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions
from .event import EmitEvent, TimerAction
from .flow import OpaqueFunction
from .process_io import ChildProcess

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

DEFAULT_SECONDS = 5


def timeout_substitutions(name: str, value: Any) -> list[Substitution]:
    """Normalise a timeout; without one, the launch configuration ``name`` (or 5 s) applies."""
    some: SomeSubstitutionsType = LaunchConfiguration(name, default=DEFAULT_SECONDS)
    if value is not None:
        some = str(value) if isinstance(value, (int, float)) else value
    return normalize_to_list_of_substitutions(some)


class Stopper:
    """Sends signals to the child of ``action``, and remembers to become harsher."""

    def __init__(
        self,
        action: Action,
        name: str,
        logger: Logger,
        timeouts: tuple[list[Substitution], list[Substitution]],
    ) -> None:
        self._action = action
        self._name = name
        self._logger = logger
        self._timeouts = timeouts
        self._timers: list[TimerAction] = []

    def interrupt(
        self, context: LaunchContext, child: ChildProcess, *, announce: bool
    ) -> list[Action]:
        """Send SIGINT; return the timers of what follows. ``announce``: log the signal."""
        if announce:
            context.emit_event_sync(self._signal_event("SIGINT"))
        else:
            self._send(child, signal.SIGINT)
        term, kill = (float(perform_substitutions(context, part)) for part in self._timeouts)
        self._timers = [
            self._escalation(term, "SIGINT", "SIGTERM", term),
            self._escalation(term + kill, "SIGTERM", "SIGKILL", kill),
        ]
        return list(self._timers)

    def send(self, child: ChildProcess | None, number: signal.Signals) -> None:
        """Send and log a signal; nothing happens if the child has ended."""
        if child is None:
            raise RuntimeError(f"signal {number.name} for '{self._name}' before its start")
        if child.returncode is None:
            self._logger.info(f"sending signal '{number.name}' to process[{self._name}]")
            self._send(child, number)

    def cancel(self) -> None:
        """Become no harsher: the process has ended."""
        for timer in self._timers:
            timer.cancel()

    def _send(self, child: ChildProcess, number: signal.Signals) -> None:
        try:
            child.send_signal(number)
        except ProcessLookupError:
            self._logger.debug(f"signal '{number.name}' not sent: {self._name} has ended")

    def _signal_event(self, name: str) -> SignalProcess:
        return SignalProcess(signal_number=name, process_matcher=matches_action(self._action))

    def _escalation(self, period: float, last: str, following: str, waited: float) -> TimerAction:
        def report(context: LaunchContext) -> None:
            self._logger.error(
                f"process[{self._name}] failed to terminate '{waited:g}' seconds after "
                f"receiving '{last}', escalating to '{following}'"
            )

        return TimerAction(
            period=period,
            actions=[
                OpaqueFunction(function=report),
                EmitEvent(event=self._signal_event(following)),
            ],
            cancel_on_shutdown=False,
        )
