"""A world model in the form of the compiled library; see `model.h`."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn

from wm_mpc.model.dynamics import Carry
from wm_mpc.model.embedding import TemporalEmbedding
from wm_mpc.native.dynamics import GruWeights, TransformerWeights, Weights, set_matrix
from wm_mpc.native.packing import Matrix, Packer

_int, _float, _pointer = ctypes.c_int32, ctypes.c_float, ctypes.c_void_p

_SIZES = (
    "latent", "scene", "state", "block", "hidden", "change", "gated", "embedding", "width",
)  # fmt: skip
_MATRICES = (
    "from_input", "from_input_back", "from_head", "from_head_back", "goal_linear", "goal_first",
    "goal_second", "goal_last", "goal_linear_back", "goal_first_back", "goal_second_back",
    "goal_last_back",
)  # fmt: skip
_BIASES = (
    "input_bias", "goal_linear_bias", "goal_first_bias", "goal_second_bias", "goal_last_bias",
)  # fmt: skip


class _Model(ctypes.Structure):
    _fields_ = (
        *((name, _int) for name in _SIZES),
        *((name, Matrix) for name in _MATRICES),
        *((name, _pointer) for name in _BIASES),
        ("gru", GruWeights),
        ("transformer", TransformerWeights),
    )


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
        weights: Weights,
        embedding: TemporalEmbedding,
        block_size: int,
    ) -> None:

        self.library = declare(library)
        self.latent_size, hidden = len(weights.from_input) - block_size, len(weights.from_head)
        self._weights, self._lanes = weights, int(library.wm_mpc_lanes())
        if hidden % self._lanes:
            raise ValueError(f"hidden is {hidden}; a multiple of {self._lanes} is needed")
        self.scene_size = embedding.linear.in_features
        self._packer = Packer(int(library.wm_mpc_panel()))
        self._memory = torch.zeros(0)
        self.struct = _Model(
            latent=self.latent_size, scene=self.scene_size,
            state=self.latent_size - self.scene_size, block=block_size, hidden=hidden,
            change=weights.from_head.shape[1], gated=weights.gated,
            embedding=embedding.linear.out_features,
        )  # fmt: skip
        kind = weights.pack(self._packer, self._lanes)
        setattr(self.struct, "gru" if isinstance(kind, GruWeights) else "transformer", kind)
        self._matrix("from_input", weights.from_input)
        self._bias("input_bias", weights.input_bias)
        self._matrix("from_head", weights.from_head)
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
        set_matrix(self._packer, self.struct, name, matrix)

    def _bias(self, name: str, bias: Tensor) -> None:
        setattr(self.struct, name, self._packer.columns(bias))

    def remembered(self, carry: Carry) -> tuple[Tensor, int]:
        """Arrange what a carry holds besides the latent; see `Weights.remembered`.

        Args:
            carry: From `WorldModel.start`, batch 1.
        """
        return self._weights.remembered(carry[1:], self._lanes)

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
