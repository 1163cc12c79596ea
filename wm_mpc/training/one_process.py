"""One process on the processor: what a training needs of Lightning Fabric, without its import.

Lightning Fabric and what it imports (TorchDynamo, SymPy, torch.distributed) take seconds at each
start. One process on the processor has nothing to send to anybody, so it does without. `compute.py`
chooses between the two.
"""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Data = TypeVar("Data")


class OneProcess:
    """The only process of a training, on the processor.

    Its methods have the names, the arguments and the results of Lightning Fabric's.

    Attributes:
        device: The processor.
        world_size: Number of processes, 1.
        global_rank: Number of this process, 0.
        is_global_zero: Whether this is the first process, true.
    """

    device = torch.device("cpu")
    world_size = 1
    global_rank = 0
    is_global_zero = True

    def barrier(self) -> None:
        """Wait for the other processes: there are none."""

    def rank_zero_first(self) -> contextlib.AbstractContextManager[None]:
        """Return a context that the first process enters before the others."""
        return contextlib.nullcontext()

    def all_reduce(self, data: Data, reduce_op: str = "mean") -> Data:
        """Return the mean or the sum over all processes: the data of this one.

        Args:
            data: The data of this process.
            reduce_op: What to compute of the data of all processes.
        """
        return data

    def to_device(self, data: Data) -> Data:
        """Return data or a module, which are on the processor.

        Args:
            data: A module, a tensor or a collection of tensors.
        """
        return data

    def setup(
        self, module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return a module and its optimiser as they are.

        Args:
            module: The module.
            optimizer: The optimiser.
        """
        return module, optimizer

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to the weights.

        Args:
            loss: A scalar.
        """
        loss.backward()

    def clip_gradients(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        max_norm: float,
        error_if_nonfinite: bool = True,
    ) -> Tensor:
        """Scale the gradients of an optimiser's weights down to a norm.

        Args:
            module: The module.
            optimizer: The optimiser.
            max_norm: Largest norm of all gradients together.
            error_if_nonfinite: Whether a norm that is not finite is an error.

        Returns:
            The norm before, a scalar.

        Raises:
            RuntimeError: The norm is not finite, and that is an error.
        """
        weights: list[Any] = [
            weight for group in optimizer.param_groups for weight in group["params"]
        ]
        return nn.utils.clip_grad_norm_(weights, max_norm, error_if_nonfinite=error_if_nonfinite)
