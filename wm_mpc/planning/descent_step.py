"""What a slope becomes in one step of gradient descent, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

_STEEPEST = 1e15  # larger slopes would overflow when Adam squares them
_MEAN, _SQUARE = 0.9, 0.999  # of the moments of Adam


def usable_slope(slope: Tensor) -> Tensor:
    """Replace what is not finite, and limit what is too steep.

    Args:
        slope: Gradient of the costs by the actions, of any shape.

    Returns:
        The same, finite.
    """
    slope = torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)
    return slope.clamp(-_STEEPEST, _STEEPEST)


def adam_direction(slope: Tensor, mean: Tensor, square: Tensor, number: int | Tensor) -> Tensor:
    """Return the direction of Adam (Kingma & Ba 2015, arXiv 1412.6980).

    Args:
        slope: Gradient, of any shape.
        mean: First moment, of the same shape; changed in place.
        square: Second moment, of the same shape; changed in place.
        number: Number of the step; the first is 1.

    Returns:
        The direction, to be subtracted.
    """
    mean.mul_(_MEAN).add_(slope, alpha=1.0 - _MEAN)
    square.mul_(_SQUARE).addcmul_(slope, slope, value=1.0 - _SQUARE)
    unbiased = square / (1 - _SQUARE**number)
    return (mean / (1 - _MEAN**number)) / (unbiased.sqrt_().add_(1e-8))
