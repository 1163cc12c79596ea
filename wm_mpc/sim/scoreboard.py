"""What came of the episodes, counted and put into words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

_UNITS = {"distance": "m", "angle": "rad"}


def errors_text(errors: Mapping[str, float]) -> str:
    """True distances to the goal for people: "distance 0.06 m, angle 0.10 rad"."""
    return ", ".join(
        f"{name} {value:.2f} {unit_of(name)}".rstrip() for name, value in errors.items()
    )


def unit_of(name: str) -> str:
    """The unit of a distance that `Task.errors` names, or nothing when the name does not tell."""
    return next((unit for word, unit in _UNITS.items() if name.endswith(word)), "")


@dataclasses.dataclass
class Scoreboard:
    """Counts finished episodes; `successful_steps` is the sum over the successful ones."""

    finished: int = 0
    successes: int = 0
    successful_steps: int = 0

    def add(self, success: bool, steps: int) -> None:
        self.finished += 1
        if success:
            self.successes += 1
            self.successful_steps += steps

    def episode_line(
        self, number: int, success: bool, steps: int, errors: Mapping[str, float]
    ) -> str:
        """One line about the episode that was just added."""
        outcome = (
            f"reached the goal in {steps}" if success else f"did not reach the goal in {steps}"
        )
        return (
            f"episode {number}: {outcome} steps ({errors_text(errors)}), "
            f"{self.successes} of {self.finished}"
        )

    def summary(self, mean_plan_ms: float | None) -> str:
        """The one line at the end. mean_plan_ms: as the planner reported it, if it did."""
        steps = f"{self.successful_steps / self.successes:.1f}" if self.successes else "n/a"
        plan = "n/a" if mean_plan_ms is None else f"{mean_plan_ms:.1f} ms"
        return (
            f"episodes {self.finished}  success {self.successes}  mean steps {steps}  "
            f"mean plan {plan}"
        )
