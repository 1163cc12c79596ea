"""The exploration policy of the point mazes: travel between random places, and drift."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

import numpy as np

MAX_FORCE = 100.0  # N per axis
_MASS = 4.19  # kg, of the ball
_RESPONSE = 0.15  # s, in which a speed is reached

Cell = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The ground plan of a maze. Its cells are a metre wide.

    Attributes:
        free: The cells without a wall, as row and column.
        centre: Place of the map's middle, counted from its upper left corner, m.
    """

    free: frozenset[Cell]
    centre: tuple[float, float]

    @classmethod
    def of(cls, maze: Any) -> Plan:
        """Read the plan of an environment's maze.

        Args:
            maze: A `gymnasium_robotics.envs.maze.maze_v4.Maze`.
        """
        rows = enumerate(maze.maze_map)
        free = {(i, j) for i, row in rows for j, cell in enumerate(row) if cell != 1}
        return cls(frozenset(free), (maze.x_map_center, maze.y_map_center))

    def cell(self, place: np.ndarray) -> Cell:
        """Return the cell at a place.

        Args:
            place: (2,) m.
        """
        x, y = place
        return int(np.floor(self.centre[1] - y)), int(np.floor(self.centre[0] + x))

    def middle(self, cell: Cell) -> np.ndarray:
        """Return the middle of a cell, (2,) m.

        Args:
            cell: Row and column.
        """
        return np.array([cell[1] + 0.5 - self.centre[0], self.centre[1] - cell[0] - 0.5])

    def is_free(self, place: np.ndarray, radius: float) -> bool:
        """Whether a ball has room at a place.

        Args:
            place: (2,) m.
            radius: Of the ball, m.
        """
        if not np.isfinite(place).all():
            return False
        sides = radius * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
        return all(self.cell(place + side) in self.free for side in sides)

    def next_cell(self, start: Cell, end: Cell) -> Cell:
        """Return the next cell on a shortest way.

        Args:
            start: Row and column.
            end: Row and column.
        """
        towards, queue = {end: end}, deque([end])
        while queue and start not in towards:
            i, j = cell = queue.popleft()
            for following in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if following in self.free and following not in towards:
                    towards[following] = cell
                    queue.append(following)
        return towards.get(start, start)


class Traveller:
    """Travels to random places cell by cell, or lets a random force act for a while.

    The speed varies, and each action has noise.

    Args:
        plan: The ground plan.
        rng: Source of random numbers.
    """

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        self._plan, self._rng = plan, rng
        self._cells = sorted(plan.free)
        self._left = 0
        self._target: np.ndarray | None = None
        self._force = np.zeros(2)
        self._speed = self._noise = self._aside = 0.0

    def __call__(self, place: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Return the next force (2,), N.

        Args:
            place: (2,) place of the ball, m.
            velocity: (2,) m/s.
        """
        if self._left <= 0:
            self._choose()
        self._left -= 1
        force = self._force
        if self._target is not None:
            force = self._towards(self._target, place, velocity)
            if np.linalg.norm(self._target - place) < 0.15:
                self._left = 0
        noisy: np.ndarray = force + self._rng.normal(0.0, self._noise, 2)
        return np.clip(noisy, -MAX_FORCE, MAX_FORCE)

    def _choose(self) -> None:
        rng = self._rng
        self._noise = float(rng.choice([2.0, 8.0, 25.0]))
        self._speed = float(rng.uniform(0.6, 3.2))
        self._aside = float(rng.uniform(0.1, 0.35))  # m; farther from the middle, it returns
        if rng.random() < 0.75:
            cell = self._cells[int(rng.integers(len(self._cells)))]
            self._target = self._plan.middle(cell) + rng.uniform(-0.4, 0.4, 2)
            self._left = int(rng.integers(8, 50))
        else:
            self._target = None
            self._force = rng.uniform(-60.0, 60.0, 2) * rng.random()
            self._left = int(rng.integers(1, 6))

    def _towards(self, target: np.ndarray, place: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        plan = self._plan
        here, end = plan.cell(place), plan.cell(target)
        goal = target
        if here != end:
            following = plan.next_cell(here, end)
            middle = plan.middle(here)
            along = plan.middle(following) - middle
            aside = (place - middle) * (along == 0.0)
            goal = plan.middle(following)
            if np.abs(aside).max() > self._aside:  # first to the middle, to avoid corners
                goal = place - aside + 0.2 * along
        way = goal - place
        distance = float(np.linalg.norm(way))
        speed = min(self._speed, 3.0 * distance)
        wanted = way * speed / max(distance, 1e-3)
        force: np.ndarray = _MASS / _RESPONSE * (wanted - velocity)
        return force
