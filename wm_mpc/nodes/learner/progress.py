"""How far a training is: what `learner/progress` tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wm_mpc.codes import LearnerCode
from wm_mpc.messages.progress_statuses import LearnerStatus


class Progress:
    """Gathers the events of a training process; `status` is how things are now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.code = LearnerCode.IDLE
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
        self.code, self.reason, self._started = LearnerCode.STARTING, "", self._clock()

    def stopping(self) -> None:
        """It was asked to stop."""
        self.code = LearnerCode.STOPPING

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take in an event of the process."""
        kind = event["event"]
        if kind == "started":
            if self.code is LearnerCode.STARTING:
                self.code = LearnerCode.TRAINING
        elif kind == "progress":
            self._advance(event["stage"], event["done"], event["total"], event["values"])
        elif kind == "checkpoint":
            self.checkpoint = Path(event["path"]).resolve()
        else:  # one of FINAL_EVENTS
            self.code, self.reason = _FINAL[kind], event.get("reason", "")
            self._ended = self._clock()

    def _advance(self, stage: str, done: int, total: int, losses: Mapping[str, float]) -> None:
        if stage != self._stage:
            self._stage_began = (self._clock(), done)
            self._losses = {}
        self._stage, self._done, self._total = stage, done, total
        self._losses = losses or self._losses

    @property
    def is_failed(self) -> bool:
        return self.code is LearnerCode.FAILED

    def message(self) -> str:
        """The state in a few words, for people."""
        return self.status().sentence

    def seconds_left(self) -> float | None:
        """Of the present stage, at its speed so far; None while there is nothing to tell from."""
        began, first = self._stage_began
        done, elapsed = self._done - first, self._clock() - began
        if self._ended is not None or done <= 0 or elapsed <= 0.0:
            return None
        return elapsed / done * (self._total - self._done)

    def values(self) -> dict[str, object]:
        """Details, by name, for a diagnostic message."""
        return self.status().to_values()

    def status(self, node: str = "", others: Mapping[str, object] | None = None) -> LearnerStatus:
        """How things are now.

        Args:
            node: Full name of the node.
            others: What learning from a running robot adds.
        """
        seconds = None
        if self._started is not None:
            seconds = (self._clock() if self._ended is None else self._ended) - self._started
        return LearnerStatus(
            node,
            self.code,
            self.reason,
            seconds,
            self._stage,
            self._done,
            self._total,
            self.seconds_left(),
            self._losses,
            self.checkpoint,
            {key: str(value) for key, value in (others or {}).items()},
        )


_FINAL = {
    "finished": LearnerCode.FINISHED,
    "stopped": LearnerCode.STOPPED,
    "failed": LearnerCode.FAILED,
}
