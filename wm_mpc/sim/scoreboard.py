"""Count the results of episodes, and put them into words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

_UNITS = {"distance": "m", "angle": "rad"}


def errors_text(errors: Mapping[str, float]) -> str:
    """Describe true distances to the goal: "distance 0.062 m, angle 0.10 rad".

    Distances have millimetres: heaps and ropes are often 2 cm off, where 1.5 are accepted.

    Args:
        errors: From `Task.errors`.
    """
    return ", ".join(
        f"{name} {value:.{3 if unit_of(name) == 'm' else 2}f} {unit_of(name)}".rstrip()
        for name, value in errors.items()
    )


def unit_of(name: str) -> str:
    """Return the unit of a distance from `Task.errors`; empty if its name does not end in a known
    word.

    Args:
        name: Name of the distance.
    """
    return next((unit for word, unit in _UNITS.items() if name.endswith(word)), "")


@dataclasses.dataclass
class Scoreboard:
    """Counts finished episodes.

    Attributes:
        finished: Number of finished episodes.
        successes: Number of successful episodes.
        successful_steps: Control steps in all successful episodes together.
    """

    finished: int = 0
    successes: int = 0
    successful_steps: int = 0

    def add(self, success: bool, steps: int) -> None:
        """Count an episode.

        Args:
            success: Whether it reached its goal.
            steps: Its length, control steps.
        """
        self.finished += 1
        if success:
            self.successes += 1
            self.successful_steps += steps

    def episode_line(
        self, number: int, success: bool, steps: int, errors: Mapping[str, float]
    ) -> str:
        """Describe the episode that was counted last, in one line.

        Args:
            number: Number of the episode.
            success: Whether it reached its goal.
            steps: Its length, control steps.
            errors: True distances to the goal at its end.
        """
        outcome = (
            f"reached the goal in {steps}" if success else f"did not reach the goal in {steps}"
        )
        return (
            f"episode {number}: {outcome} steps ({errors_text(errors)}), "
            f"{self.successes} of {self.finished}"
        )

    def summary(self, mean_plan_ms: float | None) -> str:
        """Return the line at the end of a run.

        Args:
            mean_plan_ms: Mean planning time that the planner reported, ms; None if it reported
                none.
        """
        steps = f"{self.successful_steps / self.successes:.1f}" if self.successes else "n/a"
        plan = "n/a" if mean_plan_ms is None else f"{mean_plan_ms:.1f} ms"
        return (
            f"episodes {self.finished}  success {self.successes}  mean steps {steps}  "
            f"mean plan {plan}"
        )
