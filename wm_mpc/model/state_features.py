"""The robot state as a model sees it: normalised numbers, and angles as points on a circle.

A number enters as (number - mean) / spread. An angle enters as two coordinates, so the distance
between two angles goes the short way round, in costs, predictions and surprise alike. With mean
direction m, spread s, and the length of the mean point on the unit circle R = sqrt(1 - s^2), the
two coordinates are

    sin(angle - m) / s   and   (cos(angle - m) - R) / s.

Over the data, both together have mean 0 and variance 1, like a number. This holds whether the angle
takes all directions (s = 1) or hardly turns (then s is about its standard deviation).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wm_mpc.spec import StateSpec

_LEAST_SPREAD = 1e-3  # an entry that rarely changes must not become huge when it does
_STILL = 1e-6  # of an entry's size; a smaller change is rounding


class StateFeatures:
    """Converts between states in their units and features.

    Features are the normalised entries in their order (an angle's entry is its sine), then the
    cosines of all angles.

    Args:
        spec: The robot's state.

    Attributes:
        size: Number of features: the state size, plus one for each angle.
    """

    def __init__(self, spec: StateSpec) -> None:
        self._angles = list(spec.angle_columns)
        self._count = spec.size
        self.size = spec.size + len(self._angles)
        self._places = spec.place_columns

    @property
    def place_shares(self) -> Tensor:
        """Share of each feature in a distance between two places, (size,).

        They sum to 1. It is 0 for velocities and forces; all are 0 if no entry is a place.
        """
        # Not made in `__init__`: a checkpoint builds its model on the device "meta".
        turning = enumerate(self._angles)
        cosines = [self._count + k for k, column in turning if column in self._places]
        columns = [*self._places, *cosines]
        shares = torch.zeros(self.size)
        if columns:
            shares[columns] = 1.0 / len(columns)
        return shares

    def of(self, state: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """Turn states into features.

        Args:
            state: (..., state size), each entry in its unit.
            mean: (state size,), from `measure_state`.
            spread: (state size,), from `measure_state`.

        Returns:
            (..., size).
        """
        numbers = (state - mean) / spread
        if not self._angles:
            return numbers
        # Use the unscaled difference, because its rounding does not grow with the spread.
        angle = state[..., self._angles] - mean[self._angles]
        scale = spread[self._angles]
        features = numbers.clone()
        features[..., self._angles] = angle.sin() / scale
        return torch.cat([features, (angle.cos() - _length(scale)) / scale], -1)

    def back(self, features: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """Turn features into states. Angles are within pi of their mean.

        Args:
            features: (..., size).
            mean: (state size,), from `measure_state`.
            spread: (state size,), from `measure_state`.

        Returns:
            (..., state size), each entry in its unit.
        """
        if not self._angles:
            return features * spread + mean
        state = features[..., : self._count] * spread + mean
        scale = spread[self._angles]
        sine = features[..., self._angles] * scale
        cosine = features[..., self._count :] * scale + _length(scale)
        state[..., self._angles] = mean[self._angles] + torch.atan2(sine, cosine)
        return state


def _length(spread: Tensor) -> Tensor:
    """Length of the mean point on the unit circle."""
    return (1.0 - spread.square()).clamp_min(0.0).sqrt()


def measure_state(spec: StateSpec, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure mean and spread of recorded states.

    For an angle, they are its mean direction and sqrt(1 - R^2), where R is the length of its mean
    point on the unit circle. The spread of an entry that never changes is 1.

    Args:
        spec: The robot's state.
        states: (frames, state size), each entry in its unit.

    Returns:
        Mean and spread, float32 (state size,) each.
    """
    wide = states.astype(np.float64)
    mean, spread = wide.mean(0), wide.std(0)
    for column in spec.angle_columns:
        point = np.exp(1j * wide[:, column]).mean()
        mean[column] = np.angle(point)
        spread[column] = np.sqrt(max(0.0, 1.0 - abs(point) ** 2))
    least = np.where(np.ptp(wide, 0) <= _STILL * np.maximum(1.0, abs(mean)), 1.0, _LEAST_SPREAD)
    return mean.astype(np.float32), np.maximum(spread, least).astype(np.float32)
