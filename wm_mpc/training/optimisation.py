"""The updates of one phase: AdamW with one cycle of the learning rate, on one or more processes.

With several processes (Lightning Fabric's `ddp`), each computes the loss on its own windows. Their
gradients are averaged, so all have the same weights.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.compute import in_any_process
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.ema import Average
from wm_mpc.training.optimiser import AdamW
from wm_mpc.training.phases.phase import Phase

if TYPE_CHECKING:
    from wm_mpc.training.compute import Processes

_LARGEST_GRADIENT = 1.0  # norm; larger gradients are scaled down
# Share of the updates in which the rate rises. With 0.05 and 20 updates, OneCycleLR would divide by
# zero.
_RISE = 0.0501


class Optimisation:
    """Optimiser, learning-rate schedule and weight average of a phase.

    Args:
        fabric: The processes.
        phase: The phase.
        config: Settings of the run.
    """

    def __init__(self, fabric: Processes, phase: Phase, config: TrainConfig) -> None:
        self._fabric, self._phase = fabric, phase
        weights = phase.trained()
        rate = config.rate_of(phase.name)
        updates = config.updates_of(phase.name)
        self._plain = AdamW(weights, rate, weight_decay=config.weight_decay)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._plain, rate, updates, pct_start=_RISE
        )
        kept = phase.weights_of(phase.model)
        known = {id(weight) for weight in kept}
        # Weights of the phase that are not part of the model are saved here.
        self._own = [weight for weight in weights if id(weight) not in known]
        self._average = Average(kept, config.ema) if config.ema else None
        self._module: Any
        self._optimizer: Any
        self._module, self._optimizer = fabric.setup(phase, self._plain)

    def update(self, batch: tuple[Any, ...]) -> dict[str, Tensor]:
        """Make one update.

        Args:
            batch: Result of the phase's `batch`.

        Returns:
            Loss terms of this process.

        Raises:
            FloatingPointError: The loss of any process is not finite; raised in all processes.
        """
        terms: dict[str, Tensor] = self._module(*self._fabric.to_device(batch))
        loss = torch.stack(list(terms.values())).sum()
        if in_any_process(self._fabric, not torch.isfinite(loss)):
            raise FloatingPointError(f"the loss is {loss.item()}")
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        self._fabric.clip_gradients(
            self._module, self._optimizer, max_norm=_LARGEST_GRADIENT, error_if_nonfinite=False
        )
        self._optimizer.step()
        self._schedule.step()
        if self._average is not None:
            self._average.update()
        return terms

    def write_average(self, model: WorldModel) -> None:
        """Copy the averaged weights, if any, into a model.

        Args:
            model: The phase's model or a copy of it.
        """
        if self._average is not None:
            self._average.copy_to(self._phase.weights_of(model))

    def state_dict(self) -> dict[str, Any]:
        """Return the state, to be saved."""
        return {
            "optimizer": self._plain.state_dict(),
            "schedule": self._schedule.state_dict(),
            "own": [weight.detach() for weight in self._own],
            "average": None if self._average is None else self._average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state.

        Args:
            state: Result of `state_dict`.
        """
        self._plain.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        with torch.no_grad():
            for weight, stored in zip(self._own, state["own"], strict=True):
                weight.copy_(stored)
        if self._average is not None:
            self._average.load_state_dict(state["average"])


def snapshot(model: WorldModel, optimisation: Optimisation | None) -> WorldModel:
    """Copy a model to the CPU, in evaluation mode.

    Args:
        model: The model.
        optimisation: The current phase, whose averaged weights, if any, replace the model's.
    """
    copied = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    if optimisation is not None:
        optimisation.write_average(copied)
    return copied
