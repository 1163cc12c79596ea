"""The exploration policy of `pusht`: a noisy pusher that stays at the block.

Places are in the environment's frame, pixels; rows count downwards. An action of 1 is the
environment's largest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LOW, HIGH = 40.0, 472.0  # pixels; the agent is kept inside
_CENTRE = np.full(2, 256.0)
_RIM = 130.0  # pixels from the centre; a block farther out is pushed inwards
_CAREFUL = 0.85  # share of the pushes that are slow; a fast one throws the block across the table
_AGENT = 15.0  # pixels, its radius
_MIDDLE = np.array([0.0, 45.0])  # the block's centre of mass in its own frame
# The two boxes of the block in its own frame, pixels: centre and half size.
_BOXES = (
    (np.array([0.0, 15.0]), np.array([60.0, 15.0])),
    (np.array([0.0, 75.0]), np.array([15.0, 45.0])),
)


class NoisyPusher:
    """Pushes the block around, goes to another side of it, and sometimes wanders.

    Each of these lasts some control steps, at a speed and with a noise that are drawn.

    Args:
        env: The environment.
        rng: Source of random numbers.
    """

    def __init__(self, env: Any, rng: np.random.Generator) -> None:
        self._env, self._rng = env, rng
        self._left = 0
        self._mode = "wander"
        self._target = np.zeros(2)
        self._speed, self._noise = 1.0, 0.0

    def __call__(self) -> np.ndarray:
        """Return the next action (2,), from -1 to 1, in the environment's frame."""
        agent, block, angle = self._scene()
        if self._left <= 0:
            self._choose(block)
        self._left -= 1
        middle = block + _turned(_MIDDLE, angle)
        outwards = middle - _CENTRE
        pushes_out = self._mode == "push" and (middle - agent) @ outwards > 0
        if pushes_out and np.abs(outwards).max() > _RIM:
            self._go_round(middle)
        target = block + _turned(self._target, angle) if self._mode == "push" else self._target
        way = np.clip(target, LOW, HIGH) - agent
        distance = float(np.linalg.norm(way))
        if self._mode != "push" and distance < 15.0:
            self._left = 0
        direction = way / max(distance, 1e-3)
        if self._mode == "round" and distance > 30.0:
            direction = _past(block, angle, agent, direction)
        action = direction * min(self._speed, max(distance, 10.0) / 40.0)
        action = action + self._rng.normal(0.0, self._noise, 2)
        inside = (np.clip(agent + 40.0 * action, LOW, HIGH) - agent) / 40.0
        return np.clip(inside, -1.0, 1.0)

    def _scene(self) -> tuple[np.ndarray, np.ndarray, float]:
        env = self._env
        return np.array(env.agent.position), np.array(env.block.position), float(env.block.angle)

    def _choose(self, block: np.ndarray) -> None:
        rng = self._rng
        careful = rng.random() < _CAREFUL
        self._noise = float(rng.choice([0.02, 0.1, 0.3]))
        kind = rng.random()
        if kind < 0.55:
            self._mode, self._left = "push", int(rng.integers(4, 18))
            centre, half = _BOXES[int(rng.integers(2))]
            self._target = centre + rng.uniform(-1.0, 1.0, 2) * half
        elif kind < 0.85:
            self._go_round(block)
        else:
            self._mode, self._left = "wander", int(rng.integers(3, 12))
            self._target = rng.uniform(LOW, HIGH, 2)
        slow = careful and self._mode == "push"
        self._speed = float(rng.uniform(0.05, 0.5) if slow else rng.uniform(0.15, 1.1))

    def _go_round(self, middle: np.ndarray) -> None:
        """Head for a place beside the block, preferably between it and the rim."""
        rng = self._rng
        outwards = middle - _CENTRE
        angle = float(rng.uniform(-math.pi, math.pi))
        if np.linalg.norm(outwards) > 60.0 and rng.random() < 0.8:
            angle = math.atan2(outwards[1], outwards[0]) + float(rng.normal(0.0, 0.7))
        away = rng.uniform(80.0, 130.0) * np.array([math.cos(angle), math.sin(angle)])
        self._mode, self._left = "round", int(rng.integers(4, 14))
        self._target = np.clip(middle + away, LOW, HIGH)


def distance_to_block(block: np.ndarray, angle: float, point: np.ndarray) -> float:
    """Measure the distance of a point to the outline of the block, pixels; 0 inside.

    Args:
        block: (2,) place of the block's origin.
        angle: Its angle, rad.
        point: (2,) the point.
    """
    local = _turned(point - block, -angle)
    outside = [np.maximum(np.abs(local - centre) - half, 0.0) for centre, half in _BOXES]
    return min(float(np.linalg.norm(each)) for each in outside)


def _past(block: np.ndarray, angle: float, agent: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Bend a direction (2,) sideways if the block is in the way."""
    if distance_to_block(block, angle, agent + 30.0 * direction) > _AGENT + 4.0:
        return direction
    away = agent - block - _turned(_MIDDLE, angle)
    away = away / max(float(np.linalg.norm(away)), 1e-3)
    side = np.array([-away[1], away[0]])
    if side @ direction < 0:
        side = -side
    bent: np.ndarray = side + 0.4 * away
    return bent / float(np.linalg.norm(bent))


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = math.cos(angle), math.sin(angle)
    turned: np.ndarray = np.array([[cosine, -sine], [sine, cosine]]) @ vector
    return turned
