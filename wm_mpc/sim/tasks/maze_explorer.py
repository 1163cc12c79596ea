"""The exploration policy of `maze`: travel between random places, and drift."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from wm_mpc.sim.tasks.maze_plan import cell_of, centre_of, way

MAX_FORCE = 5.0  # N per axis
_STIFFNESS = 12.0  # N/m; pull towards the next place
_BRAKE = 3.0  # N s/m


class _Scene(Protocol):
    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        """A free place at rest: x, y, vx, vy."""

    def get_state(self) -> np.ndarray:
        """x, y (m), vx, vy (m/s)."""


class Traveller:
    """Travels to random places cell by cell, or lets a random force act for a while.

    The speed varies, and each action has noise.

    Args:
        task: The scene.
        rng: Source of random numbers.
    """

    def __init__(self, task: _Scene, rng: np.random.Generator) -> None:
        self._task, self._rng = task, rng
        self._remaining = 0
        self._target: np.ndarray | None = None
        self._force = np.zeros(2)
        self._haste = self._noise = 0.0

    def _choose(self) -> None:
        rng = self._rng
        self._noise = float(rng.choice([0.03, 0.2, 0.6])) * MAX_FORCE
        self._haste = rng.uniform(0.4, 1.6)
        if rng.random() < 0.7:
            self._target = self._task.sample_state(rng)[:2]
            self._remaining = int(rng.integers(10, 60))
        else:
            self._target = None
            self._force = rng.uniform(-1.2, 1.2, size=2) * MAX_FORCE
            self._remaining = int(rng.integers(2, 10))

    def __call__(self) -> np.ndarray:
        rng = self._rng
        if self._remaining <= 0:
            self._choose()
        self._remaining -= 1
        force = self._force
        if self._target is not None:
            state = self._task.get_state()
            force = self._towards(self._target, state[:2], state[2:])
            if np.linalg.norm(self._target - state[:2]) < 0.08:
                self._remaining = 0
        noisy: np.ndarray = force + rng.normal(0, self._noise, 2)
        return np.clip(noisy, -MAX_FORCE, MAX_FORCE)

    def _towards(
        self, target: np.ndarray, position: np.ndarray, velocity: np.ndarray
    ) -> np.ndarray:
        cells = way(cell_of(position), cell_of(target))
        place = target if len(cells) == 1 else centre_of(cells[1])
        if len(cells) > 1:  # first go along the middle of the cell, to avoid corners
            here = centre_of(cells[0])
            across = place - here
            side = np.abs(across) < 0.1  # the axis on which both cells agree
            if np.abs((position - here)[side]).max() > 0.1:
                place = np.where(side, here, position + 0.3 * across)
        force: np.ndarray = self._haste * (_STIFFNESS * (place - position) - _BRAKE * velocity)
        return force
