"""What an evaluation runs and records: a row of its table, and one episode of it."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Cell:
    """One row of the results.

    Attributes:
        variant: Name of the variant; "-" for the ceiling, which belongs to none.
        training_seed: Training seed of the checkpoint.
        planner: Name of the planner.
        loop: open, closed or ros.
        disturbance: What happens to the pictures, as `parse_disturbances` reads it; empty: the
            guard is not measured, and nothing happens to them.
    """

    variant: str
    training_seed: int | None
    planner: str
    loop: str
    disturbance: str = ""

    def label(self) -> str:
        """Name of the cell, for files and messages."""
        seed = "" if self.training_seed is None else f" s{self.training_seed}"
        disturbance = f" {self.disturbance}" if self.disturbance else ""
        return f"{self.variant}{seed} {self.planner} {self.loop}{disturbance}"


@dataclasses.dataclass(frozen=True)
class Record:
    """One episode of one cell; see `EpisodeResult`.

    Attributes:
        plan_ms: Time of each plan, ms.
        extra: Values that only one kind of loop reports.
    """

    cell: Cell
    episode: int
    success: bool
    steps: int
    success_at_end: bool
    errors: dict[str, float]
    plan_ms: list[float]
    holds: int = 0
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
