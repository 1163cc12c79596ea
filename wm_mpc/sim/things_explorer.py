"""An exploration policy that pushes loose things over the table: a rope, or many small bodies."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from wm_mpc.sim.stick_table import CENTRE, MAX_SPEED, REACH

_NEAR_RIM = 0.13  # m from the centre; from there on, pushes lead inwards
_PUSHED = (
    0.13  # m from the centre; no push goes on beyond. The stick still gets behind things there
)


class _Scene(Protocol):
    def things(self) -> np.ndarray:
        """Places of what can be pushed, (n, 2) m."""

    def measure(self) -> np.ndarray:
        """The tip's x, y (m)."""


class Mover:
    """Pushes through one thing after another, and goes round to another side in between.

    Sometimes it wanders. Each action has noise. Near the rim, pushes lead inwards.

    Args:
        scene: The scene.
        rng: Source of random numbers.
        touch: Distance of the tip from a thing's centre below which they touch, m.
    """

    def __init__(self, scene: _Scene, rng: np.random.Generator, touch: float) -> None:
        self._scene, self._rng, self._touch = scene, rng, touch
        self._target = np.zeros(2)
        self._goes_round = False
        self._remaining = 0
        self._noise = 0.0
        self._speed = MAX_SPEED
        self._choose()

    def _choose(self) -> None:
        rng = self._rng
        self._noise = float(rng.choice([0.02, 0.1, 0.3])) * MAX_SPEED
        self._speed = rng.uniform(0.4, 1.2) * MAX_SPEED
        self._remaining = int(rng.integers(5, 20))
        things = self._scene.things()
        thing, roll = things[rng.integers(len(things))], rng.random()
        outwards = thing - CENTRE
        is_near_rim = np.abs(outwards).max() > _NEAR_RIM
        way = thing - self._scene.measure()
        leads_out = is_near_rim and way @ outwards > 0
        pushes = roll < 0.7 and not leads_out
        self._goes_round = not pushes and roll < 0.92
        if pushes:
            beyond = way / max(float(np.linalg.norm(way)), 1e-3)
            target = thing + rng.uniform(0.02, 0.12) * beyond + rng.normal(0.0, 0.015, 2)
            target = np.clip(target, CENTRE - _PUSHED, CENTRE + _PUSHED)
        elif self._goes_round:
            angle = rng.uniform(-math.pi, math.pi)
            if is_near_rim:
                angle = math.atan2(outwards[1], outwards[0]) + rng.normal(0.0, 0.5)
            radius = rng.uniform(0.04, 0.08)
            target = thing + radius * np.array([math.cos(angle), math.sin(angle)])
        else:
            target = CENTRE + rng.uniform(-_PUSHED, _PUSHED, 2)
        self._target = np.clip(target, CENTRE - REACH, CENTRE + REACH)

    def __call__(self) -> np.ndarray:
        tip = self._scene.measure()
        if self._remaining <= 0 or np.linalg.norm(self._target - tip) < 0.01:
            self._choose()
        self._remaining -= 1
        offset = self._target - tip
        distance = float(np.linalg.norm(offset))
        direction = offset / max(distance, 1e-3)
        if self._goes_round and distance > 0.02:
            direction = self._around(tip, direction)
        velocity = direction * min(self._speed, max(distance, 0.02) * 10)
        velocity = velocity + self._rng.normal(0.0, self._noise, 2)
        return np.clip(velocity, -MAX_SPEED, MAX_SPEED)

    def _around(self, tip: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Bend a direction (2,) sideways if a thing is in the way."""
        things = self._scene.things()
        apart = np.linalg.norm(things - (tip + 0.03 * direction), axis=1)
        nearest = int(apart.argmin())
        if apart[nearest] > self._touch + 0.005:
            return direction
        away = tip - things[nearest]
        length = max(float(np.linalg.norm(away)), 1e-3)
        side = np.array([-away[1], away[0]]) / length
        if side @ direction < 0:
            side = -side
        bent = side + 0.3 * away / length
        return bent / float(np.linalg.norm(bent))
