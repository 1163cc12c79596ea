"""How far a training is: what `learner/progress` tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Progress:
    """Gathers the events of a training process; `message` and `values` describe the present."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.state = "idle"
        self.reason = ""  # of the last failure
        self.checkpoint: Path | None = None  # the newest
        self._begin()

    def _begin(self) -> None:
        self._started: float | None = None
        self._ended: float | None = None
        self._stage, self._done, self._total = "", 0, 0
        self._stage_began = (0.0, 0)  # time, updates already done
        self._losses: Mapping[str, float] = {}

    def starting(self) -> None:
        """A training process was started."""
        self._begin()
        self.state, self.reason, self._started = "starting", "", self._clock()

    def stopping(self) -> None:
        """It was asked to stop."""
        self.state = "stopping"

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take in an event of the process."""
        kind = event["event"]
        if kind == "started":
            if self.state == "starting":
                self.state = "training"
        elif kind == "progress":
            self._advance(event["stage"], event["done"], event["total"], event["values"])
        elif kind == "checkpoint":
            self.checkpoint = Path(event["path"]).resolve()
        else:  # one of FINAL_EVENTS
            self.state, self.reason = kind, event.get("reason", "")
            self._ended = self._clock()

    def _advance(self, stage: str, done: int, total: int, losses: Mapping[str, float]) -> None:
        if stage != self._stage:
            self._stage_began = (self._clock(), done)
            self._losses = {}
        self._stage, self._done, self._total = stage, done, total
        self._losses = losses or self._losses

    @property
    def is_failed(self) -> bool:
        return self.state == "failed"

    def message(self) -> str:
        """The state in a few words."""
        if self.is_failed:
            return f"failed: {self.reason}"
        if self.state == "training" and self._stage:
            return f"training: {self._stage}, {self._done} of {self._total}"
        return self.state

    def seconds_left(self) -> float | None:
        """Of the present stage, at its speed so far; None while there is nothing to tell from."""
        began, first = self._stage_began
        done, elapsed = self._done - first, self._clock() - began
        if self._ended is not None or done <= 0 or elapsed <= 0.0:
            return None
        return elapsed / done * (self._total - self._done)

    def values(self) -> dict[str, object]:
        """Details, by name, for a diagnostic message."""
        values: dict[str, object] = {"state": self.state}
        if self._started is not None:
            end = self._clock() if self._ended is None else self._ended
            values["seconds"] = f"{end - self._started:.1f}"
        if self._stage:
            values |= {"stage": self._stage, "update": self._done, "total": self._total}
            left = self.seconds_left()
            values["stage seconds left"] = "unknown" if left is None else f"{left:.0f}"
        values |= {f"loss {name}": f"{value:.5g}" for name, value in self._losses.items()}
        values["checkpoint"] = self.checkpoint or "none"
        return values
