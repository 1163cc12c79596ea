"""AdamW as PyTorch has it, without the import of TorchDynamo.

PyTorch wraps the methods of its optimisers so that `torch.compile` can leave them out. The wrappers
import TorchDynamo and SymPy at the first call, more than a second in every training process. No
optimiser is compiled here, so `AdamW` calls the methods inside the wrappers. Where a version of
PyTorch has no wrappers, these are the methods themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

_STEP: Callable[..., Any] = inspect.unwrap(torch.optim.AdamW.step)


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`: the same arguments, numbers and saved states.

    With `weight_decay=0.0` it is Adam.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one update of the weights.

        Args:
            closure: Computes the loss again and returns it.

        Returns:
            The result of the closure; None without one.
        """
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return _STEP(self, closure)

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
