"""Common parts of tasks in which the arm brings loose things into a shape: a rope, or grains.

A goal is a set of places, and success is a small Chamfer distance between the things and them, as
in the rope and granular tasks of DINO-WM (Zhou et al. 2024, arXiv 2411.04983).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from wm_mpc.sim.panda import TIP_RADIUS
from wm_mpc.sim.stick_table import CENTRE, REACH, StickTable
from wm_mpc.sim.task import Explorer
from wm_mpc.sim.things_explorer import Mover

TOLERANCE = 0.015  # m, Chamfer distance


class LooseThings(StickTable):
    """The common part of these tasks; see `wm_mpc.sim.task.BulletTask`.

    A simulator state begins with joint positions (7) and velocities (7) of the arm, and ends with
    the places of the things, x and y of each.

    Attributes:
        count: Number of things.
        size: Largest distance from a thing's centre to its surface, m.
    """

    count: int
    size: float
    explorations = 3  # many cubes move little at a time
    tolerances: Mapping[str, float] = MappingProxyType({"distance": TOLERANCE})

    def things(self) -> np.ndarray:
        """Return the places of the things, (count, 2) m."""
        raise NotImplementedError

    @property
    def _touch(self) -> float:
        """Distance from the tip to a thing's centre below which they touch, m."""
        return self.size + TIP_RADIUS[self.tip]

    def _free_tip(self, rng: np.random.Generator, things: np.ndarray) -> np.ndarray:
        """Arm joints (7,) rad that put the tip somewhere beside the things."""
        while True:
            tip = CENTRE + rng.uniform(-REACH, REACH, 2)
            if np.linalg.norm(things - tip, axis=1).min() > self._touch + 0.005:
                posture: np.ndarray = self._arm.posture_at(*tip)
                return posture

    def errors(self, goal: np.ndarray) -> dict[str, float]:
        wanted = goal[-2 * self.count :].reshape(self.count, 2)
        return {"distance": chamfer_distance(self.things(), wanted)}

    def is_success(self, goal: np.ndarray) -> bool:
        return self.errors(goal)["distance"] < self.tolerances["distance"]

    def explorer(self, rng: np.random.Generator) -> Explorer:
        return Mover(self, rng, self._touch)


def chamfer_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Measure how far two sets of points are from each other, whichever point is which.

    It is the mean distance from a point to the nearest point of the other set, averaged over both
    directions (Fan et al. 2017, arXiv 1612.00603, with distances in place of their squares).

    Args:
        first: (n, 2) m.
        second: (m, 2) m.

    Returns:
        Distance, m; 0 for equal sets.
    """
    apart = np.linalg.norm(first[:, None] - second[None], axis=-1)
    return float((apart.min(0).mean() + apart.min(1).mean()) / 2)
