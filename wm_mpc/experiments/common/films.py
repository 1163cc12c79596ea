"""Films of episodes as GIFs: some successes and some failures of every cell.

Images are kept during an episode and written after it, so that encoding does not disturb the
measured plan times.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from wm_mpc.model.paths import in_space, paths
from wm_mpc.sim.engine import Observation, Simulation
from wm_mpc.sim.film_picture import Path as DrawnPath
from wm_mpc.sim.film_picture import Picture, main_picture
from wm_mpc.sim.recorder import Recorder
from wm_mpc.sim.scoreboard import errors_text

_BEST, _OTHER = (60, 210, 90), (110, 160, 255)  # rgb
_OTHERS = 3  # drawn paths of other candidates


class Film:
    """Watches one episode (a `Watcher` of `run_episode`) and writes it on request."""

    def __init__(self, simulation: Simulation, title: str, model: Any = None) -> None:
        """Prepare a film.

        Args:
            simulation: The simulation.
            title: Text on each image.
            model: The world model whose predicted paths to draw, if any.
        """
        self._simulation, self._title, self._model = simulation, title, model
        self._pictures: list[Picture] = []
        self._drawn: tuple[Any, list[DrawnPath]] = (None, [])

    def __call__(self, step: int, observation: Observation, plan: Any, left: np.ndarray) -> None:
        goal = self._simulation.goal
        assert goal is not None
        if plan is not self._drawn[0]:
            self._drawn = (plan, predicted_paths(self._simulation, self._model, plan))
        errors = errors_text(self._simulation.errors())
        caption = f"{self._title}   step {step}   {errors}"
        main = main_picture(observation.image, self._simulation.task.spec.image)
        seen, wanted = observation.image, goal.observation.image
        self._pictures.append(Picture(seen, wanted, left, self._drawn[1], caption, main=main))

    def write(self, path: Path, outcome: str) -> None:
        """Write the film.

        Args:
            path: GIF file.
            outcome: Text on the last image, which stays for a second.
        """
        task = self._simulation.task
        rate = 1.0 / task.spec.control_period
        recorder = Recorder(str(path), self._simulation.view, task.spec.action, rate)
        last = self._pictures[-1]
        ending = Picture(last.camera, last.goal, last.actions, [], f"{last.caption}   {outcome}")
        for picture in [*self._pictures[:-1], *[ending] * round(rate)]:
            recorder.add(picture, wait=True)
        recorder.close()


def predicted_paths(simulation: Simulation, model: Any, plan: Any) -> list[DrawnPath]:
    """Return where a plan leads, as lines in the world.

    The lines come from the model's pose read-out, or, for bases, from the planned velocities.

    Args:
        simulation: The simulation.
        model: The world model, or None.
        plan: The plan.

    Returns:
        Lines; empty if neither source exists, and then the film shows the actions.
    """
    if plan is None:
        return []
    if model is not None and hasattr(plan, "latents"):
        best = paths(model, plan.latents)
        if best:
            first = next(iter(best))
            others = [paths(model, other)[first] for other in plan.candidates[:_OTHERS]]
            return [
                *((path, _OTHER) for path in others),
                *((path, _BEST) for path in best.values()),
            ]
    task = simulation.task
    names = list(task.spec.action.names)
    is_base = names[:2] == ["vx", "vy"] and list(task.pose_names[:2]) == ["x", "y"]
    if task.spec.action.kind != "velocity" or not is_base:
        return []
    pose = simulation.pose()[:2]
    moves = plan.actions[:, :2] * task.spec.control_period
    points = np.concatenate([pose[None], pose + np.cumsum(moves, 0)])
    return [(in_space(points[:: task.spec.frame_skip]), _BEST)]


class FilmShelf:
    """The folder of films, with at most `count` successes and `count` failures of every cell."""

    def __init__(self, folder: Path | None, count: int) -> None:
        self._folder, self._count = folder, count

    @property
    def is_open(self) -> bool:
        """Whether films are wanted at all."""
        return self._folder is not None and self._count > 0

    def wants(self, label: str) -> bool:
        """Return whether a cell still needs films.

        Args:
            label: Label of the cell.
        """
        return self.is_open and any(self._has_room(label, word) for word in _OUTCOMES.values())

    def keep(self, film: Film, label: str, index: int, *, success: bool) -> None:
        """Write the film of an episode if its outcome still needs films.

        Args:
            film: The film.
            label: Label of the cell.
            index: Number of the episode.
            success: Outcome of the episode.
        """
        word = _OUTCOMES[success]
        if self._folder is None or not self._has_room(label, word):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{_file_name(label)}_{word}_{index:03d}.gif"
        film.write(path, "reached" if success else "not reached")

    def clear(self) -> None:
        """Remove all films of an earlier evaluation."""
        if self._folder is not None and self._folder.is_dir():
            for path in self._folder.glob("*.gif"):
                path.unlink()

    def _has_room(self, label: str, word: str) -> bool:
        assert self._folder is not None
        present = list(self._folder.glob(f"{_file_name(label)}_{word}_*.gif"))
        return len(present) < self._count


_OUTCOMES = {True: "success", False: "failure"}


def _file_name(label: str) -> str:
    return re.sub(r"[^\w+.-]+", "_", label)
