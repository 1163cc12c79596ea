"""The weights of a dynamics in the form of the compiled library; see `model.h`."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from wm_mpc.model.dynamics import GruDynamics
from wm_mpc.model.gru_rollout import FusedWeights
from wm_mpc.model.transformer import Block, TransformerDynamics
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.packing import Matrix, Packer

_int, _float, _pointer = ctypes.c_int32, ctypes.c_float, ctypes.c_void_p

COMPILED = (GruDynamics, TransformerDynamics)  # the kinds of dynamics that the library knows


def _fields(matrices: Sequence[str], pointers: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """Matrices, each followed by its transposed form, and pointers."""
    both = [(f"{name}{end}", Matrix) for name in matrices for end in ("", "_back")]
    return (*both, *((name, _pointer) for name in pointers))


class GruWeights(ctypes.Structure):
    """The struct `GruWeights` of `model.h`."""

    _fields_ = _fields(("from_embedding", "from_hidden"), ("embedding_bias", "hidden_bias"))


class _Block(ctypes.Structure):
    _fields_ = _fields(
        ("project", "merge", "widen", "narrow"),
        (
            "attention_scale", "attention_shift", "network_scale", "network_shift",
            "project_bias", "merge_bias", "widen_bias", "narrow_bias", "distance_bias",
        ),
    )  # fmt: skip


class TransformerWeights(ctypes.Structure):
    """The struct `TransformerWeights` of `model.h`."""

    _fields_ = (
        ("blocks", _int), ("heads", _int), ("head_width", _int), ("context", _int),
        ("score_scale", _float), ("epsilon", _float),
        ("block", _pointer), ("head_scale", _pointer), ("head_shift", _pointer),
    )  # fmt: skip


class Weights(Protocol):
    """The weights of a dynamics, ready to be packed.

    Attributes:
        from_input: (latent + block, hidden + change), embedding and linear path. "change" is the
            latent size, plus one for the gate of the scene if there is one.
        input_bias: (hidden + change,).
        from_head: (hidden, change), last layer of the head.
        gated: Number of coordinates behind the gate; 0 without a gate.
    """

    from_input: Tensor
    input_bias: Tensor
    from_head: Tensor
    gated: int

    def pack(self, packer: Packer, lanes: int) -> GruWeights | TransformerWeights:
        """Pack what only this kind of dynamics has.

        Args:
            packer: The packer.
            lanes: Length of a vector.
        """

    def remembered(self, rest: Sequence[Tensor], lanes: int) -> tuple[Tensor, int]:
        """Arrange what a carry holds besides the latent.

        Args:
            rest: That part of the carry, batch 1.
            lanes: Length of a vector.

        Returns:
            What the library reads (see `begin` in the header of this kind), and the number of
            tokens in it.
        """


def weights_of(model: WorldModel) -> Weights:
    """Return the weights of a model's dynamics.

    Args:
        model: The world model. Its dynamics is one of `COMPILED`.
    """
    if isinstance(model.dynamics, GruDynamics):
        return Gru(model.fused_weights(model.dynamics))
    assert isinstance(model.dynamics, TransformerDynamics)
    return Transformer(model.dynamics)


class Gru:
    """The weights of a `GruDynamics`; see `Weights`.

    Args:
        fused: They, merged by input.
    """

    def __init__(self, fused: FusedWeights) -> None:
        self._fused = fused
        self.from_input = torch.cat([fused.from_latent, fused.from_action])
        self.input_bias, self.from_head = fused.action_bias, fused.from_head
        self.gated = fused.gated

    def pack(self, packer: Packer, lanes: int) -> GruWeights:
        """See `Weights.pack`."""
        struct = GruWeights()
        for name in ("from_embedding", "from_hidden"):
            set_matrix(packer, struct, name, getattr(self._fused, name))
        struct.embedding_bias = packer.columns(self._fused.embedding_bias)
        struct.hidden_bias = packer.columns(self._fused.hidden_bias)
        return struct

    def remembered(self, rest: Sequence[Tensor], lanes: int) -> tuple[Tensor, int]:
        """The hidden state; see `Weights.remembered`."""
        return rest[0], 0


class Transformer:
    """The weights of a `TransformerDynamics`; see `Weights`.

    Args:
        dynamics: The dynamics.
    """

    @torch.no_grad()
    def __init__(self, dynamics: TransformerDynamics) -> None:
        self._dynamics = dynamics
        self._norm, last = dynamics.head
        assert isinstance(last, nn.Linear)
        inputs = [dynamics.embed.weight, dynamics.linear.weight]
        if dynamics.gated:  # the linear path adds nothing to the gate
            inputs.append(torch.zeros_like(inputs[0][:1]))
        self.from_input = torch.cat(inputs).T
        self.input_bias = torch.cat([dynamics.embed.bias, last.bias])
        self.from_head, self.gated = last.weight.T, dynamics.gated

    @torch.no_grad()
    def pack(self, packer: Packer, lanes: int) -> TransformerWeights:
        """See `Weights.pack`."""
        blocks = [block for block in self._dynamics.blocks if isinstance(block, Block)]
        norm, first = self._norm, blocks[0]
        assert isinstance(norm, nn.LayerNorm)
        return TransformerWeights(
            blocks=len(blocks), heads=first.heads,
            head_width=math.ceil(first.head_size / lanes) * lanes, context=first.context,
            score_scale=first.head_size**-0.5, epsilon=norm.eps,
            block=packer.structs(_Block, [_packed(packer, block, lanes) for block in blocks]),
            head_scale=packer.floats(norm.weight), head_shift=packer.floats(norm.bias),
        )  # fmt: skip

    def remembered(self, rest: Sequence[Tensor], lanes: int) -> tuple[Tensor, int]:
        """Keys and values of the history, (blocks, tokens, 2, width); see `Weights.remembered`."""
        _, heads, tokens, size = rest[0].shape
        parts = torch.stack(list(rest)).view(len(rest) // 2, 2, heads, tokens, size)
        return _wide(parts, lanes).permute(0, 3, 1, 2, 4), tokens


def _wide(parts: Tensor, lanes: int) -> Tensor:
    """Parts (..., head size) of heads, filled up with zeros to whole vectors."""
    return functional.pad(parts, (0, -parts.shape[-1] % lanes))


def _packed(packer: Packer, block: Block, lanes: int) -> _Block:
    """A block of a transformer, whose heads take whole vectors."""
    before_network, widen, _, narrow = block.network
    assert isinstance(before_network, nn.LayerNorm)
    assert isinstance(widen, nn.Linear)
    assert isinstance(narrow, nn.Linear)
    heads, size = block.heads, block.head_size
    rows = block.project.weight.T.unflatten(1, (3, heads, size))
    columns = block.merge.weight.unflatten(1, (heads, size))
    struct = _Block(
        attention_scale=packer.floats(block.before_attention.weight),
        attention_shift=packer.floats(block.before_attention.bias),
        network_scale=packer.floats(before_network.weight),
        network_shift=packer.floats(before_network.bias),
        project_bias=packer.columns(
            _wide(block.project.bias.unflatten(0, (3, heads, size)), lanes).flatten()
        ),
        merge_bias=packer.columns(block.merge.bias),
        widen_bias=packer.columns(widen.bias),
        narrow_bias=packer.columns(narrow.bias),
        distance_bias=packer.floats(block.distance_bias),
    )
    set_matrix(packer, struct, "project", _wide(rows, lanes).flatten(1))
    set_matrix(packer, struct, "merge", _wide(columns, lanes).flatten(1).T)
    set_matrix(packer, struct, "widen", widen.weight.T)
    set_matrix(packer, struct, "narrow", narrow.weight.T)
    return struct


def set_matrix(packer: Packer, struct: ctypes.Structure, name: str, matrix: Tensor) -> None:
    """Pack a matrix into a struct, also transposed.

    Args:
        packer: The packer.
        struct: The struct. It has the fields `name` and `name`_back.
        name: Name of the field.
        matrix: (inputs, outputs).
    """
    setattr(struct, name, packer.matrix(matrix))
    setattr(struct, f"{name}_back", packer.matrix(matrix.T))
