"""Costs, gradients and descent of one planning problem in machine code; see `planner.cpp`.

Its numbers equal those of PyTorch (`planning/objective.py`, `planning/gradient.py`) except for
rounding. It supports GRU and transformer dynamics whose width is a multiple of the vector length.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from wm_mpc.model.dynamics import Carry
from wm_mpc.native.descent import Descent
from wm_mpc.native.model import NativeModel

_int, _float, _pointer = ctypes.c_int32, ctypes.c_float, ctypes.c_void_p


class _Problem(ctypes.Structure):
    _fields_ = (
        *(
            (name, _pointer)
            for name in (
                "latent", "remembered", "goal", "goal_state", "state_weights", "step_weights",
                "committed", "largest_change", "previous",
            )
        ),
        *(
            (name, _int)
            for name in (
                "horizon", "action", "committed_count", "is_root", "are_moves", "tokens",
            )
        ),
        *(
            (name, _float)
            for name in ("action_weight", "action_rate_weight", "smoothing")
        ),
    )  # fmt: skip


class _Descent(ctypes.Structure):
    _fields_ = (
        ("iterations", _int), ("is_adaptive", _int),
        ("learning_rate", _float), ("learning_rate_decay", _float),
        ("budget", ctypes.c_double), ("noise", _pointer),
    )  # fmt: skip


class NativeCost:
    """One planning problem: a `planning/objective.GoalCost` in machine code.

    Args:
        model: The world model.
        carry: Result of `WorldModel.start`, batch 1.
        action_size: Size of an action.
        goal: Embedded goal, (embedding size,).
        goal_state: Normalised state of the goal; None if it does not count.
        committed: Normalised committed actions, (n, action size), or None.
        largest_change: Largest change of normalised actions, (action size,), or None.
        previous: Normalised action before the first one, (action size,).
        state_weights: Weight of each squared difference to `goal_state`, of the same size.
        **weights: `action_weight`, `action_rate_weight`, `smoothing`, `is_root` and `are_moves` of
            the objective.
    """

    def __init__(
        self,
        model: NativeModel,
        carry: Carry,
        *,
        action_size: int,
        goal: Tensor,
        goal_state: Tensor | None,
        committed: Tensor | None,
        largest_change: Tensor | None,
        previous: Tensor,
        state_weights: Tensor,
        **weights: Any,
    ) -> None:

        self._model = model
        remembered, tokens = model.remembered(carry)
        self._problem = _Problem(
            action=action_size, committed_count=0 if committed is None else len(committed),
            tokens=tokens, **weights,
        )  # fmt: skip
        self._kept: dict[str, Tensor] = {}
        parts = {
            "latent": carry[0], "remembered": remembered, "goal": goal, "goal_state": goal_state,
            "state_weights": state_weights,
            "committed": committed, "largest_change": largest_change, "previous": previous,
        }  # fmt: skip
        for name, part in parts.items():
            if part is not None:
                self._point(name, part)

    def _point(self, name: str, part: Tensor) -> None:
        if part.device.type != "cpu":
            raise ValueError(f"{name} is on the device {part.device}; accepted: cpu")
        self._kept[name] = part.detach().to(torch.float32).contiguous()
        setattr(self._problem, name, self._kept[name].data_ptr())

    def _ask(self, actions: Tensor, step_weights: Tensor) -> tuple[Tensor, tuple[Any, Any]]:
        """Actions in the form of the library, and the first arguments of every call."""
        self._point("step_weights", step_weights)
        self._problem.horizon = actions.shape[1]
        ready = actions.detach().to(torch.float32).contiguous()
        return ready, (ctypes.byref(self._model.struct), ctypes.byref(self._problem))

    def costs(self, actions: Tensor, step_weights: Tensor) -> Tensor:
        """Compute costs.

        Args:
            actions: (rows, horizon, block size) in [-1, 1].
            step_weights: Weights of the model steps, (horizon,).

        Returns:
            (rows,).
        """
        return self._evaluated(actions, step_weights, None)

    def latents(self, actions: Tensor, step_weights: Tensor) -> Tensor:
        """Predict latents.

        Args:
            actions: (rows, horizon, block size) in [-1, 1].
            step_weights: Weights of the model steps, (horizon,).

        Returns:
            (rows, horizon, latent size).
        """
        latents = torch.empty(*actions.shape[:2], self._model.latent_size)
        self._evaluated(actions, step_weights, latents)
        return latents

    def _evaluated(self, actions: Tensor, step_weights: Tensor, latents: Tensor | None) -> Tensor:
        actions, ask = self._ask(actions, step_weights)
        costs = torch.empty(len(actions))
        memory = self._model.memory(len(actions), actions.shape[1], with_gradient=False)
        self._model.library.wm_mpc_costs(
            *ask, len(actions), actions.data_ptr(), costs.data_ptr(),
            None if latents is None else latents.data_ptr(), memory,
        )  # fmt: skip
        return costs

    def slopes(self, actions: Tensor, step_weights: Tensor) -> tuple[Tensor, Tensor]:
        """Compute costs and their gradient.

        Args:
            actions: (rows, horizon, block size) in [-1, 1].
            step_weights: Weights of the model steps, (horizon,).

        Returns:
            Costs (rows,), and the gradient (rows, horizon, block size).
        """
        actions, ask = self._ask(actions, step_weights)
        costs, slopes = torch.empty(len(actions)), torch.empty_like(actions)
        memory = self._model.memory(len(actions), actions.shape[1], with_gradient=True)
        self._model.library.wm_mpc_slopes(
            *ask, len(actions), actions.data_ptr(), costs.data_ptr(), slopes.data_ptr(), memory
        )
        return costs, slopes

    def descend(
        self, actions: Tensor, step_weights: Tensor, settings: Descent
    ) -> tuple[Tensor, Tensor, int]:
        """Improve plans by following the gradient.

        Args:
            actions: The starts, (rows, horizon, block size) in [-1, 1].
            step_weights: Weights of the model steps, (horizon,).
            settings: How to descend.

        Returns:
            The best plan found from each start, their costs (rows,), and the number of iterations.
        """
        actions, ask = self._ask(actions, step_weights)
        actions = actions.clone()
        best, costs = torch.empty_like(actions), torch.empty(len(actions))
        noise = None if settings.noise is None else settings.noise.contiguous()
        descent = _Descent(
            settings.iterations, int(settings.adaptive), settings.learning_rate,
            settings.learning_rate_decay, settings.budget,
            None if noise is None else noise.data_ptr(),
        )  # fmt: skip
        memory = self._model.memory(len(actions), actions.shape[1], with_gradient=True)
        done = self._model.library.wm_mpc_descend(
            *ask, ctypes.byref(descent), len(actions), actions.data_ptr(), best.data_ptr(),
            costs.data_ptr(), memory,
        )  # fmt: skip
        return best, costs, int(done)
