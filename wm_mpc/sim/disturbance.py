"""What changes on a robot after its model was trained: more friction, a camera that was knocked.

For experiments with learning while running; the tasks themselves stay as they are.
"""

from __future__ import annotations

import dataclasses
import math

from wm_mpc.sim.task import Task


@dataclasses.dataclass(frozen=True)
class Disturbance:
    """friction: a factor on the friction that the base moves against; only of tasks that have
    `friction_factor`. camera: m by which the camera, with all it looks at, is moved along x."""

    friction: float = 1.0
    camera: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.friction) and self.friction > 0.0):
            raise ValueError(f"friction is {self.friction}; a factor above 0 is needed")
        if not math.isfinite(self.camera):
            raise ValueError(f"camera is {self.camera}; a number of metres is needed")

    def apply(self, task: Task) -> Task:
        """Disturb a task that is not built yet; returns it. Raises ValueError when it has no
        friction to change."""
        if self.friction != 1.0:
            if not hasattr(task, "friction_factor"):
                raise ValueError(f"task {task.spec.task!r} has no friction that could be changed")
            task.friction_factor = self.friction
        if self.camera != 0.0:
            view = task.view
            moved = {
                name: (place[0] + self.camera, *place[1:])
                for name, place in (("position", view.position), ("target", view.target))
            }
            task.view = dataclasses.replace(view, **moved)  # type: ignore[arg-type]
        return task
