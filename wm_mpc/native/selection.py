"""Which world models can plan in machine code, and their packed weights."""

from __future__ import annotations

import dataclasses
import weakref
from typing import Generic, TypeVar

import torch
from torch import Tensor

from wm_mpc.model.encoder import KeypointEncoder
from wm_mpc.model.weights import version_of
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.dynamics import COMPILED, weights_of
from wm_mpc.native.library import library, why_not
from wm_mpc.native.model import NativeModel
from wm_mpc.native.vision import NativeVision

Packed = TypeVar("Packed")


@dataclasses.dataclass
class _Known(Generic[Packed]):
    """Some weights of a world model, their version, and the packed form of that version."""

    weights: tuple[Tensor, ...]
    version: object = None
    packed: Packed | None = None

    def is_present(self) -> bool:
        """Whether the packed form has the present weights, whose version is noted."""
        before = self.version
        self.version = version_of(self.weights)
        return self.packed is not None and self.version == before


_known: weakref.WeakKeyDictionary[WorldModel, _Known[NativeModel]] = weakref.WeakKeyDictionary()
_known_vision: weakref.WeakKeyDictionary[WorldModel, _Known[NativeVision]] = (
    weakref.WeakKeyDictionary()
)


def native_model(model: WorldModel) -> NativeModel | None:
    """Return a model's dynamics for the compiled library.

    They are packed again after each change of a weight.

    Args:
        model: The world model.

    Returns:
        The packed dynamics; None if that is impossible (see `why_not_native`).
    """
    found = library()
    if found is None or why_not_native(model):
        return None
    known = _of(model)
    if not known.is_present():
        known.packed = NativeModel(found, weights_of(model), model.embedding, model.spec.block_size)
    return known.packed


def native_vision(model: WorldModel) -> NativeVision | None:
    """Return a model's encoder and decoder for the compiled library.

    They are packed again after each change of a weight.

    Args:
        model: The world model.

    Returns:
        The packed parts; None without a library, for several cameras, for an encoder map or vit,
        and for weights that are being trained or are not float32 on the CPU.
    """
    found = library()
    if found is None or not isinstance(model.encoder, KeypointEncoder):
        return None
    if model not in _known_vision:
        parts = (*model.encoder.parameters(), *model.decoder.parameters())
        buffers = (model.scene_mean, model.scene_map, model.scene_unmap)
        _known_vision[model] = _Known((*parts, *buffers))
    known = _known_vision[model]
    if _why_not_weights(known.weights):
        return None
    if not known.is_present():
        known.packed = NativeVision(found, model)
    return known.packed


def _of(model: WorldModel) -> _Known[NativeModel]:
    if model not in _known:
        parts = (*model.dynamics.parameters(), *model.embedding.parameters())
        _known[model] = _Known((*parts, model.embedding.scale))
    return _known[model]


def _why_not_weights(weights: tuple[Tensor, ...]) -> str:
    if any(weight.requires_grad for weight in weights):
        return "its weights are being trained"
    first = weights[0]
    if first.device.type != "cpu" or first.dtype != torch.float32:
        return f"its weights are {first.dtype} on {first.device}; float32 on the cpu is needed"
    return ""


def why_not_native(model: WorldModel) -> str:
    """Say why PyTorch computes plans with this model, for people; empty if machine code does.

    Args:
        model: The world model.
    """
    if not isinstance(model.dynamics, COMPILED):
        kinds = " and ".join(kind.__name__ for kind in COMPILED)
        return f"its dynamics are {type(model.dynamics).__name__}; only {kinds} are compiled"
    found = library()
    if found is None:
        return why_not()
    lanes = int(found.wm_mpc_lanes())
    if model.architecture.hidden % lanes:
        return f"hidden is {model.architecture.hidden}; a multiple of {lanes} is needed"
    return _why_not_weights(_of(model).weights)
