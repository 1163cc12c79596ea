"""The histories that charts show, filled from statuses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from wm_mpc.messages.progress_statuses import LearnerStatus
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.view.history import History

STAGES = ("image to plan", "plan", "encode", "overhead")
# Thresholds of the two surprises, and the parameters that hold them.
SURPRISES = {"slow": "surprise.slow", "hold": "surprise.hold", "image limit": "surprise.image"}
CHARTS = ("distance", "cost", "stages", "surprise", "missed")
_TRAINING_LONGEST = 4000  # rows


class Histories:
    """Those of a controller, and of a training.

    Args:
        seconds: How far back they go.
    """

    def __init__(self, seconds: float) -> None:
        self.cost = History(("cost",), seconds)
        self.distance = History(("distance", "tolerance"), seconds)
        self.stages = History(STAGES, seconds)
        self.surprise = History(("prediction", "image", *SURPRISES), seconds)
        self.missed = History(("missed",), seconds)
        self.losses: History | None = None  # of a training, from its beginning
        self._overruns: int | None = None

    def add_status(self, status: MpcStatus, now: float, parameters: Mapping[str, object]) -> None:
        """A row of each, from what the controller says. now: s."""
        self.stages.add(now, [status.number(f"{stage} p50 (ms)") for stage in STAGES])
        limits = [_number(parameters.get(name)) for name in SURPRISES.values()]
        seen = [status.number("prediction_error"), status.number("image_error")]
        if any(math.isfinite(value) for value in seen):
            self.surprise.add(now, [*seen, *limits])
        distance = status.number("goal distance (model steps)")
        if math.isfinite(distance):
            self.distance.add(now, [distance, _number(parameters.get("goal.tolerance"))])
        before, self._overruns = self._overruns, status.overruns
        if before is not None:
            self.missed.add(now, [max(0, status.overruns - before)])

    def columns(self, now: float) -> dict[str, tuple[np.ndarray, ...]]:
        """Seconds before now, and each column; by name. now: s."""
        found = {name: getattr(self, name) for name in CHARTS}
        return {name: history.columns(now) for name, history in found.items()}

    def add_learner(self, status: LearnerStatus, now: float) -> None:
        """A row of losses, if there are any; another set of losses begins a new chart."""
        names = tuple(status.losses)
        if not names:
            return
        if self.losses is None or self.losses.names != names:
            self.losses = History(names, math.inf, _TRAINING_LONGEST)
        self.losses.add(now, list(status.losses.values()))


def _number(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else math.nan  # type: ignore[arg-type]
