"""Detect that actions do not have the effect that the model predicts. Knows nothing of ROS.

A large prediction error alone says little: where little moves, it stays small although the robot
does not do what it should. So each moment compares two predictions, one with the actions that
were sent and one at rest. Their difference is the predicted effect. The share of it that was seen
is about 1 if all is well, 0 if the robot does not move, and below 0 if it does the opposite. Shares
below a limit are evidence, shares above it are evidence against. The sum, which never goes below 0,
is a sequential test (CUSUM).
"""

from __future__ import annotations

import numpy as np

MISSING = 0.3  # share of the effect below which the robot is held
WEAK = 0.7  # share below which it is slowed down
# Squares of a predicted effect, in usual prediction errors: a smaller one says nothing, and one
# that is much larger than the second counts as a whole moment.
_LEAST, _HALF = 0.09, 0.3
_MOST = 1.0  # what one moment counts at most, so one contact is no evidence
_MEMORY = 0.9  # per moment, for the share that people see


class Effect:
    """The evidence of one robot.

    Attributes:
        missing: Evidence, in moments, that less than `MISSING` of the predicted effect is there.
        weak: Evidence, in moments, that less than `WEAK` of it is there.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget all moments."""
        self.missing = self.weak = 0.0
        self._seen = self._predicted = 0.0

    @property
    def share(self) -> float:
        """Share of the predicted effect that was seen lately; NaN if unknown."""
        return self._seen / self._predicted if self._predicted > 0.0 else np.nan

    def add(self, seen: np.ndarray, predicted: np.ndarray, resting: np.ndarray) -> None:
        """Note one moment.

        Args:
            seen: The present latent, (latent size,), in usual prediction errors.
            predicted: What was predicted for it with the actions that were sent.
            resting: What was predicted for it at rest.
        """
        effect = predicted - resting
        size = float(np.mean(effect * effect))
        if not size > _LEAST:
            return
        found = float(np.mean(effect * (seen - resting)))
        if not np.isfinite(found):
            return
        weight = 1.0 / (size + _HALF)
        self.missing = _summed(self.missing, weight * (MISSING * size - found))
        self.weak = _summed(self.weak, weight * (WEAK * size - found))
        self._seen = _MEMORY * self._seen + weight * found
        self._predicted = _MEMORY * self._predicted + weight * size


def _summed(before: float, moment: float) -> float:
    return max(0.0, before + min(max(moment, -_MOST), _MOST))
