"""Changes to a robot after the training of its model: more friction, or a camera that was bumped.

They serve experiments with live learning. The tasks themselves stay the same.
"""

from __future__ import annotations

import dataclasses
import math

from wm_mpc.sim.task import CameraView, Task


@dataclasses.dataclass(frozen=True)
class Disturbance:
    """A change to a task.

    Attributes:
        friction: Factor on the friction of the base, above 0; only for tasks with
            `friction_factor`.
        camera: Distance by which each camera and its target move along x, m.

    Raises:
        ValueError: A value is not accepted.
    """

    friction: float = 1.0
    camera: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.friction) and self.friction > 0.0):
            raise ValueError(f"friction is {self.friction}; a factor above 0 is needed")
        if not math.isfinite(self.camera):
            raise ValueError(f"camera is {self.camera}; a number of metres is needed")

    def apply(self, task: Task) -> Task:
        """Disturb a task before it is built.

        Args:
            task: The task. It is changed in place.

        Returns:
            The task.

        Raises:
            ValueError: The task has no friction, or no camera, to change.
        """
        if self.friction != 1.0:
            if not hasattr(task, "friction_factor"):
                raise ValueError(f"task {task.spec.task!r} has no friction that could be changed")
            task.friction_factor = self.friction
        if self.camera != 0.0:
            view = getattr(task, "view", None)
            if view is None:
                raise ValueError(f"task {task.spec.task!r} has no camera that could be moved")
            task.view = self._moved(view)  # type: ignore[attr-defined]
            if further := getattr(task, "further_views", ()):
                task.further_views = tuple(map(self._moved, further))  # type: ignore[attr-defined]
        return task

    def _moved(self, view: CameraView) -> CameraView:
        (x, y, z), (to_x, to_y, to_z) = view.position, view.target
        return dataclasses.replace(
            view, position=(x + self.camera, y, z), target=(to_x + self.camera, to_y, to_z)
        )
