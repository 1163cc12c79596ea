"""Moving average of weights, for a training whose last updates still fluctuate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Average:
    """Exponential moving average of parameters (Polyak & Juditsky 1992).

    The first updates weigh more, so that the average soon forgets the initial weights.

    Args:
        parameters: The parameters to average.
        decay: Share of the average that remains after an update, 0 to below 1.
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self._parameters, self._decay = list(parameters), decay
        self._values = [parameter.detach().clone() for parameter in self._parameters]
        self._count = 0

    @torch.no_grad()
    def update(self) -> None:
        """Add the current parameters to the average."""
        self._count += 1
        decay = min(self._decay, (1 + self._count) / (10 + self._count))
        for value, parameter in zip(self._values, self._parameters, strict=True):
            value.lerp_(parameter, 1.0 - decay)

    @torch.no_grad()
    def copy_to(self, parameters: Iterable[Tensor]) -> None:
        """Copy the average to other parameters.

        Args:
            parameters: Parameters with the same shapes in the same order.
        """
        for value, parameter in zip(self._values, parameters, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, to be saved."""
        return {"values": self._values, "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state.

        Args:
            state: Result of `state_dict`.
        """
        for value, stored in zip(self._values, state["values"], strict=True):
            value.copy_(stored)
        self._count = state["count"]
