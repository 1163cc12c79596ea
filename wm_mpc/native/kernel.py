"""Costs, gradients and descent of one planning problem in machine code; see `planner.cpp`.

Its numbers equal those of PyTorch (`planning/objective.py`, `planning/gradient.py`) except for
rounding. It supports GRU dynamics whose width is a multiple of the vector length.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from wm_mpc.model.dynamics import Carry
from wm_mpc.model.embedding import TemporalEmbedding
from wm_mpc.model.gru_rollout import FusedWeights
from wm_mpc.native.descent import Descent
from wm_mpc.native.packing import Matrix, Packer

_int, _float, _pointer = ctypes.c_int32, ctypes.c_float, ctypes.c_void_p


_SIZES = (
    "latent", "scene", "state", "block", "hidden", "change", "gated", "embedding", "width",
)  # fmt: skip
_MATRICES = (
    "from_input", "from_input_back", "from_embedding", "from_embedding_back", "from_hidden",
    "from_hidden_back", "from_head", "from_head_back", "goal_linear", "goal_first", "goal_second",
    "goal_last", "goal_linear_back", "goal_first_back", "goal_second_back", "goal_last_back",
)  # fmt: skip
_BIASES = (
    "input_bias", "embedding_bias", "hidden_bias", "goal_linear_bias", "goal_first_bias",
    "goal_second_bias", "goal_last_bias",
)  # fmt: skip


class _Model(ctypes.Structure):
    _fields_ = (
        *((name, _int) for name in _SIZES),
        *((name, Matrix) for name in _MATRICES),
        *((name, _pointer) for name in _BIASES),
    )


class _Problem(ctypes.Structure):
    _fields_ = (
        *(
            (name, _pointer)
            for name in (
                "latent", "hidden", "goal", "goal_state", "state_weights", "step_weights",
                "committed", "largest_change", "previous",
            )
        ),
        *(
            (name, _int)
            for name in ("horizon", "action", "committed_count", "is_root", "are_moves")
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


def declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the argument types of the functions to ctypes. May be called more than once.

    Args:
        library: The library.

    Returns:
        The library.
    """
    library.wm_mpc_memory.restype = ctypes.c_int64
    library.wm_mpc_memory.argtypes = (_pointer, _int, _int, _int)
    library.wm_mpc_costs.restype = library.wm_mpc_slopes.restype = None
    library.wm_mpc_costs.argtypes = (_pointer, _pointer, _int, *[_pointer] * 4)
    library.wm_mpc_slopes.argtypes = (_pointer, _pointer, _int, *[_pointer] * 4)
    library.wm_mpc_descend.argtypes = (_pointer, _pointer, _pointer, _int, *[_pointer] * 4)
    return library


class NativeModel:
    """The weights of a world model in the form of the library, and its memory between plans.

    Not thread-safe: call it from one thread.

    Args:
        library: The library.
        weights: Weights of the dynamics.
        embedding: The embedding.
        block_size: Size of an action block.

    Attributes:
        library: The library.
        latent_size: Size of a latent.
        scene_size: Size of its scene part.
        struct: The model as the library reads it.

    Raises:
        ValueError: The library does not support this width.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        weights: FusedWeights,
        embedding: TemporalEmbedding,
        block_size: int,
    ) -> None:

        self.library = declare(library)
        self.latent_size, hidden = len(weights.from_latent), len(weights.from_embedding)
        lanes = int(library.wm_mpc_lanes())
        if hidden % lanes:
            raise ValueError(f"hidden is {hidden}; a multiple of {lanes} is needed")
        self.scene_size = embedding.linear.in_features
        self._packer = Packer(int(library.wm_mpc_panel()))
        self._memory = torch.zeros(0)
        self.struct = _Model(
            latent=self.latent_size, scene=self.scene_size,
            state=self.latent_size - self.scene_size, block=block_size, hidden=hidden,
            change=weights.from_head.shape[1], gated=weights.gated,
            embedding=embedding.linear.out_features,
        )  # fmt: skip
        self._matrix("from_input", torch.cat([weights.from_latent, weights.from_action]))
        self._bias("input_bias", weights.action_bias)
        for name in ("from_embedding", "from_hidden", "from_head"):
            self._matrix(name, getattr(weights, name))
        self._bias("embedding_bias", weights.embedding_bias)
        self._bias("hidden_bias", weights.hidden_bias)
        self._goal_space(embedding)

    @torch.no_grad()
    def _goal_space(self, embedding: TemporalEmbedding) -> None:
        scale = embedding.scale
        layers = [layer for layer in embedding.curved if isinstance(layer, nn.Linear)]
        first, second, last = layers
        self.struct.width = first.out_features
        self._matrix("goal_linear", scale * embedding.linear.weight.T)
        self._bias("goal_linear_bias", scale * (embedding.linear.bias + last.bias))
        self._matrix("goal_first", first.weight.T)
        self._bias("goal_first_bias", first.bias)
        self._matrix("goal_second", second.weight.T)
        self._bias("goal_second_bias", second.bias)
        self._matrix("goal_last", scale * last.weight.T)
        self._bias("goal_last_bias", 0.0 * last.bias)

    def _matrix(self, name: str, matrix: Tensor) -> None:
        """Pack a matrix (inputs, outputs), also transposed."""
        setattr(self.struct, name, self._packer.matrix(matrix))
        setattr(self.struct, f"{name}_back", self._packer.matrix(matrix.T))

    def _bias(self, name: str, bias: Tensor) -> None:
        setattr(self.struct, name, self._packer.columns(bias))

    def memory(self, rows: int, horizon: int, *, with_gradient: bool) -> int:
        """Return the address of working memory. It is kept, so planning allocates nothing.

        Args:
            rows: Number of plans.
            horizon: Number of model steps.
            with_gradient: Whether gradients are computed, too.
        """
        needed = self.library.wm_mpc_memory(
            ctypes.byref(self.struct), rows, horizon, int(with_gradient)
        )
        if len(self._memory) < needed + 16:
            self._memory = torch.zeros(needed + 16)
        return self._memory.data_ptr()


class NativeCost:
    """One planning problem: a `planning/objective.GoalCost` in machine code.

    Args:
        model: The world model.
        carry: Latent (1, latent size) and hidden state (1, hidden).
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
        latent, hidden = carry
        self._problem = _Problem(
            action=action_size, committed_count=0 if committed is None else len(committed),
            **weights,
        )  # fmt: skip
        self._kept: dict[str, Tensor] = {}
        parts = {
            "latent": latent, "hidden": hidden, "goal": goal, "goal_state": goal_state,
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
