"""Moving average of weights: what is kept of a training whose last updates still jump about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Average:
    """Exponential moving average of parameters (Polyak & Juditsky 1992).

    decay: share of the average that an update leaves; 0 makes it the parameters themselves. The
    first updates count more, so that the start is soon forgotten.
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self._parameters, self._decay = list(parameters), decay
        self._values = [parameter.detach().clone() for parameter in self._parameters]
        self._count = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the present parameters in."""
        self._count += 1
        decay = min(self._decay, (1 + self._count) / (10 + self._count))
        for value, parameter in zip(self._values, self._parameters, strict=True):
            value.lerp_(parameter, 1.0 - decay)

    @torch.no_grad()
    def copy_to(self, parameters: Iterable[Tensor]) -> None:
        """Write the average into parameters of the same shapes, in the same order."""
        for value, parameter in zip(self._values, parameters, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        return {"values": self._values, "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for value, stored in zip(self._values, state["values"], strict=True):
            value.copy_(stored)
        self._count = state["count"]
