"""The exploration policy of `push_t`, which keeps the stick at the block.

This module also holds the sizes of the block, which task and policy share.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from wm_mpc.sim.panda import STICK_RADIUS
from wm_mpc.sim.stick_table import CENTRE, MAX_SPEED, REACH

# Half sizes and centres of the block's bar and stem, m. The origin is the centre of mass.
BAR = (0.07, 0.0175)
STEM = (0.0175, 0.0525)
BAR_OFFSET = 0.03
STEM_OFFSET = BAR_OFFSET - BAR[1] - STEM[1]


class _Scene(Protocol):
    def block_pose(self) -> np.ndarray:
        """x, y (m) and yaw (rad)."""

    def measure(self) -> np.ndarray:
        """The tip's x, y (m)."""


def distance_to_block(block: np.ndarray, point: np.ndarray) -> float:
    """Measure the distance of a point to the outline of the block; 0 inside.

    Args:
        block: x, y (m) and yaw (rad) of the block.
        point: (2,) m.

    Returns:
        Distance, m.
    """
    offset = point - block[:2]
    cosine, sine = math.cos(block[2]), math.sin(block[2])
    local = np.array([[cosine, sine], [-sine, cosine]]) @ offset
    distances = []
    for centre, half in ((BAR_OFFSET, BAR), (STEM_OFFSET, STEM)):
        outside = np.maximum(np.abs(local - [0.0, centre]) - half, 0.0)
        distances.append(float(np.linalg.norm(outside)))
    return min(distances)


class Pusher:
    """Pushes the block around.

    It drives at a point of the block for a while, goes round to another side, and sometimes
    wanders. Each action has noise. Near the rim, pushes lead inwards.

    Args:
        task: The scene.
        rng: Source of random numbers.
    """

    def __init__(self, task: _Scene, rng: np.random.Generator) -> None:
        self._task, self._rng = task, rng
        self._remaining = 0
        self._mode = "push"
        self._target = np.zeros(2)  # place to drive to, in the world frame, m
        self._local = np.zeros(2)  # point to push at, in the block's frame, m
        self._noise = 0.0
        self._speed = MAX_SPEED
        self._choose()

    def _choose(self) -> None:
        rng = self._rng
        block = self._task.block_pose()
        self._noise = float(rng.choice([0.02, 0.1, 0.3])) * MAX_SPEED
        self._speed = rng.uniform(0.3, 1.2) * MAX_SPEED
        self._remaining = int(rng.integers(5, 20))
        roll = rng.random()
        if roll < 0.65:
            self._mode = "push"
            self._local = np.array([rng.uniform(-BAR[0], BAR[0]), BAR_OFFSET])
            if rng.random() < 0.5:
                self._local = np.array([0.0, rng.uniform(STEM_OFFSET - STEM[1], BAR_OFFSET)])
        elif roll < 0.88:
            self._reach(block)
        else:
            self._mode = "wander"
            self._target = CENTRE + rng.uniform(-REACH, REACH, 2)
            self._remaining = int(rng.integers(3, 10))

    def _reach(self, block: np.ndarray) -> None:
        """Head for a place next to the block, preferably on the side of the rim."""
        rng = self._rng
        outwards = block[:2] - CENTRE
        angle = rng.uniform(-math.pi, math.pi)
        if np.linalg.norm(outwards) > 0.05 and rng.random() < 0.8:
            angle = math.atan2(outwards[1], outwards[0]) + rng.normal(0, 0.7)
        radius = rng.uniform(0.05, 0.13)
        target = block[:2] + radius * np.array([math.cos(angle), math.sin(angle)])
        self._mode, self._remaining = "reach", int(rng.integers(5, 15))
        self._target = np.clip(target, CENTRE - REACH, CENTRE + REACH)

    def __call__(self) -> np.ndarray:
        rng = self._rng
        if self._remaining <= 0:
            self._choose()
        self._remaining -= 1
        block = self._task.block_pose()
        tip = self._task.measure()
        outwards = block[:2] - CENTRE
        is_near_rim = np.abs(outwards).max() > 0.14
        if self._mode == "push" and is_near_rim and (block[:2] - tip) @ outwards > 0:
            self._reach(block)
        target = self._on_block(block) if self._mode == "push" else self._target
        offset = target - tip
        distance = float(np.linalg.norm(offset))
        if self._mode != "push" and distance < 0.01:
            self._remaining = 0
        direction = offset / max(distance, 1e-3)
        if self._mode == "reach" and distance > 0.02:
            direction = self._around(block, tip, direction)
        velocity = direction * min(self._speed, max(distance, 0.02) * 10)
        return np.clip(velocity + rng.normal(0, self._noise, 2), -MAX_SPEED, MAX_SPEED)

    def _on_block(self, block: np.ndarray) -> np.ndarray:
        """The point to push at, in the world frame, m."""
        cosine, sine = math.cos(block[2]), math.sin(block[2])
        turned: np.ndarray = np.array([[cosine, -sine], [sine, cosine]]) @ self._local
        return block[:2] + turned

    @staticmethod
    def _around(block: np.ndarray, tip: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Bend a direction (2,) sideways if the block is in the way."""
        ahead = tip + 0.03 * direction
        if distance_to_block(block, ahead) > STICK_RADIUS + 0.005:
            return direction
        away = tip - block[:2]
        side = np.array([-away[1], away[0]]) / max(float(np.linalg.norm(away)), 1e-3)
        if side @ direction < 0:
            side = -side
        bent = side + 0.3 * away / max(float(np.linalg.norm(away)), 1e-3)
        return bent / float(np.linalg.norm(bent))
