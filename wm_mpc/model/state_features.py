"""The measured robot state as a model sees it: numbers normalised, angles as points on a circle.

A number enters as (number - mean) / spread. An angle enters as two coordinates, so that the
distance between two angles goes the short way round, in costs, predictions and surprise alike.
With mean direction m, spread s and R = sqrt(1 - s^2), the length of the mean point on the unit
circle, they are

    sin(angle - m) / s   and   (cos(angle - m) - R) / s.

Over the data both together have mean 0 and variance 1, as a number has, whether the angle takes
all directions (s = 1) or hardly turns (s is then about its standard deviation).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wm_mpc.spec import StateSpec

_LEAST_SPREAD = 1e-3  # what hardly ever changes must not become huge when it does
_STILL = 1e-6  # of an entry's size: so little is rounding, and says nothing of its spread


class StateFeatures:
    """Between states (..., state size) in their units and features (..., size): the normalised
    entries in their order, where an angle's is its sine, and then the cosines of all angles."""

    def __init__(self, spec: StateSpec) -> None:
        self._angles = list(spec.angle_columns)
        self._count = spec.size
        self.size = spec.size + len(self._angles)

    def of(self, state: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """mean, spread: as `measure_state` gives them, (state size,)."""
        numbers = (state - mean) / spread
        if not self._angles:
            return numbers
        # From the unscaled difference, whose rounding does not grow with the spread.
        angle = state[..., self._angles] - mean[self._angles]
        scale = spread[self._angles]
        features = numbers.clone()
        features[..., self._angles] = angle.sin() / scale
        return torch.cat([features, (angle.cos() - _length(scale)) / scale], -1)

    def back(self, features: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """The inverse of `of`; angles are within pi of their mean."""
        if not self._angles:
            return features * spread + mean
        state = features[..., : self._count] * spread + mean
        scale = spread[self._angles]
        sine = features[..., self._angles] * scale
        cosine = features[..., self._count :] * scale + _length(scale)
        state[..., self._angles] = mean[self._angles] + torch.atan2(sine, cosine)
        return state


def _length(spread: Tensor) -> Tensor:
    """Of the mean point on the unit circle."""
    return (1.0 - spread.square()).clamp_min(0.0).sqrt()


def measure_state(spec: StateSpec, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of recorded states (frames, state size), float32 (state size,) each; of an
    angle its mean direction and sqrt(1 - R^2), R being the length of its mean point. The spread of
    what never changes is 1."""
    wide = states.astype(np.float64)
    mean, spread = wide.mean(0), wide.std(0)
    for column in spec.angle_columns:
        point = np.exp(1j * wide[:, column]).mean()
        mean[column] = np.angle(point)
        spread[column] = np.sqrt(max(0.0, 1.0 - abs(point) ** 2))
    least = np.where(np.ptp(wide, 0) <= _STILL * np.maximum(1.0, abs(mean)), 1.0, _LEAST_SPREAD)
    return mean.astype(np.float32), np.maximum(spread, least).astype(np.float32)
