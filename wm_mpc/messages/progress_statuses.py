"""What the nodes `sim` and `learner` say of themselves, as data; see `wm_mpc.messages.statuses`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from wm_mpc.codes import LearnerCode, Level, SimCode
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.status_values import Reader, Values, accepted, code_of


@dataclasses.dataclass(frozen=True)
class EpisodeStatus:
    """Where a simulated episode is.

    Attributes:
        code: What the robot does.
        sentence: The same, for people.
        task: What is simulated.
        episode: Counted from 1.
        success: Whether the goal is reached, by the true state.
        steps: Control steps so far.
        errors: True distances to the goal, by name; m or rad.
        finished, successes: Episodes so far.
        overruns: Control steps that came late.
    """

    code: SimCode
    sentence: str
    task: str
    episode: int
    success: bool
    steps: int
    errors: Mapping[str, float]
    finished: int
    successes: int
    overruns: int

    name = "sim: episode"

    @property
    def level(self) -> Level:
        return Level.WARN if self.code in (SimCode.TIMED_OUT, SimCode.REFUSED) else Level.OK

    def to_values(self) -> dict[str, str]:
        return {
            "code": self.code.value,
            "task": self.task,
            "episode": str(self.episode),
            "success": str(self.success).lower(),
            "steps": str(self.steps),
            **{name: f"{value:.4f}" for name, value in self.errors.items()},
            "finished": str(self.finished),
            "successes": str(self.successes),
            "overruns": str(self.overruns),
        }

    @classmethod
    def of(cls, level: Level, name: str, sentence: str, values: Values) -> EpisodeStatus:
        """From the parts of a message. Raises MessageError for what is not one."""
        read = Reader(name, values)
        code = code_of(SimCode, read.text("code"))
        if not isinstance(code, SimCode):
            raise MessageError(f"{name}: code is {code!r}; accepted: {accepted(SimCode)}")
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(
            code,
            sentence,
            read.text("task"),
            read.whole("episode"),
            read.text("success") == "true",
            read.whole("steps"),
            {key: read.number(key) for key in values if key not in known},
            read.whole("finished"),
            read.whole("successes"),
            read.whole("overruns"),
        )


@dataclasses.dataclass(frozen=True)
class LearnerStatus:
    """How far a training is.

    Attributes:
        node: Full name of the node without the first slash.
        code: What it does.
        reason: Of a failure, for people; empty otherwise.
        seconds: Since it started; None before.
        stage: The phase it is in; empty before the first.
        update, total: How many updates of that phase are done, and how many there are.
        seconds_left: Of that phase; None: unknown.
        losses: The newest, by name.
        checkpoint: Path of the newest; None before the first.
        others: What learning from a running robot adds.
    """

    node: str
    code: LearnerCode = LearnerCode.IDLE
    reason: str = ""
    seconds: float | None = None
    stage: str = ""
    update: int = 0
    total: int = 0
    seconds_left: float | None = None
    losses: Mapping[str, float] = dataclasses.field(default_factory=dict)
    checkpoint: Path | None = None
    others: Values = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the status, in diagnostics."""
        return f"{self.node}: training"

    @property
    def level(self) -> Level:
        return Level.ERROR if self.code is LearnerCode.FAILED else Level.OK

    @property
    def sentence(self) -> str:
        """For people."""
        if self.code is LearnerCode.FAILED:
            return f"failed: {self.reason}"
        if self.code is LearnerCode.TRAINING and self.stage:
            return f"training: {self.stage}, {self.update} of {self.total}"
        return self.code.word

    def to_values(self) -> dict[str, object]:
        values: dict[str, object] = {"code": self.code.value, "state": self.code.word}
        if self.reason:
            values["reason"] = self.reason
        if self.seconds is not None:
            values["seconds"] = f"{self.seconds:.1f}"
        if self.stage:
            left = "unknown" if self.seconds_left is None else f"{self.seconds_left:.0f}"
            values |= {"stage": self.stage, "update": self.update, "total": self.total}
            values["stage seconds left"] = left
        values |= {f"{_LOSS}{name}": f"{value:.5g}" for name, value in self.losses.items()}
        values["checkpoint"] = self.checkpoint or "none"
        return {**values, **self.others}

    @classmethod
    def of(cls, level: Level, name: str, sentence: str, values: Values) -> LearnerStatus:
        """From the parts of a message. Raises MessageError for what is not one."""
        read = Reader(name, values)
        code = code_of(LearnerCode, read.text("code"))
        if not isinstance(code, LearnerCode):
            raise MessageError(f"{name}: code is {code!r}; accepted: {accepted(LearnerCode)}")
        path, left = values.get("checkpoint", "none"), values.get("stage seconds left", "unknown")
        losses = {key: read.number(key) for key in values if key.startswith(_LOSS)}
        return cls(
            name.partition(": ")[0],
            code,
            values.get("reason", ""),
            read.number("seconds") if "seconds" in values else None,
            values.get("stage", ""),
            read.whole("update") if "update" in values else 0,
            read.whole("total") if "total" in values else 0,
            None if left == "unknown" else read.number("stage seconds left"),
            {key.removeprefix(_LOSS): value for key, value in losses.items()},
            None if path == "none" else Path(path),
            {key: text for key, text in values.items() if key not in {*_LEARNER, *losses}},
        )


_LOSS = "loss "
_LEARNER = (
    "code", "state", "reason", "seconds", "stage", "update", "total", "stage seconds left",
    "checkpoint",
)  # fmt: skip
