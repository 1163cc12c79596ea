"""Which world models can be planned with in machine code, and their packed weights."""

from __future__ import annotations

import dataclasses
import weakref

import torch
from torch import Tensor

from wm_mpc.model.dynamics import GruDynamics
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.kernel import NativeModel
from wm_mpc.native.library import library, why_not


@dataclasses.dataclass
class _Known:
    """Of one world model: its weights, and what was packed of which version of them."""

    weights: tuple[Tensor, ...]
    version: object = None
    packed: NativeModel | None = None


_known: weakref.WeakKeyDictionary[WorldModel, _Known] = weakref.WeakKeyDictionary()


def native_model(model: WorldModel) -> NativeModel | None:
    """The model's weights for the compiled library, packed anew when one has changed; None when
    that cannot be (see `why_not_native`)."""
    found = library()
    if found is None or why_not_native(model):
        return None
    assert isinstance(model.dynamics, GruDynamics)
    known = _of(model)
    version = tuple((weight.data_ptr(), weight._version) for weight in known.weights)
    if known.packed is None or known.version != version:
        weights = model.fused_weights(model.dynamics)
        known.packed = NativeModel(found, weights, model.embedding, model.spec.block_size)
        known.version = version
    return known.packed


def _of(model: WorldModel) -> _Known:
    if model not in _known:
        parts = (*model.dynamics.parameters(), *model.embedding.parameters())
        _known[model] = _Known((*parts, model.embedding.scale))
    return _known[model]


def why_not_native(model: WorldModel) -> str:
    """Why plans with this model are computed by PyTorch, for a person; empty when they are not."""
    if not isinstance(model.dynamics, GruDynamics):
        return f"its dynamics are {model.architecture.dynamics}; compiled is the gru"
    found = library()
    if found is None:
        return why_not()
    lanes = int(found.wm_mpc_lanes())
    if model.architecture.hidden % lanes:
        return f"hidden is {model.architecture.hidden}; a multiple of {lanes} is needed"
    weights = _of(model).weights
    if any(weight.requires_grad for weight in weights):
        return "its weights are being trained"
    first = weights[0]
    if first.device.type != "cpu" or first.dtype != torch.float32:
        return f"its weights are {first.dtype} on {first.device}; float32 on the cpu is needed"
    return ""
