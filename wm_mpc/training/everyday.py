"""What is usual: an ordinary day, and a percentile of errors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wm_mpc.model.familiarity import ENOUGH
from wm_mpc.training.augmentation import AugmentationConfig

LOOKS = 3  # pictures in a row from which the light is known
_QUANTILE = 0.99
# What a room and a camera do on an ordinary day; it must not hold a robot.
EVERYDAY = AugmentationConfig(
    share=1.0, light=0.1, offset=4.0, colour=0.4, gamma=0.1, gradient=0.15, shadow=0.0, blur=0.8,
    noise=2.0, jpeg=75, shift=1, patch=0.0, each=0.2,
)  # fmt: skip


def usual(errors: Tensor, quantile: float = _QUANTILE) -> float:
    """Return what is usual of some errors.

    Args:
        errors: (moments,).
        quantile: The share of errors that are usual.

    Returns:
        The quantile; with fewer than `ENOUGH` errors the largest one times a factor of up to two;
        NaN if an error is not finite.
    """
    if not torch.isfinite(errors).all():
        return math.nan
    if len(errors) >= ENOUGH:
        return float(errors.quantile(quantile))
    return float(errors.max()) * (2.0 - len(errors) / ENOUGH)
