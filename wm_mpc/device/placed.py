"""Copies of world models on a device, and which model uses one at present."""

from __future__ import annotations

import copy
import functools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from wm_mpc.device.captured import Captured, Capturing
from wm_mpc.model.weights import version_of
from wm_mpc.model.world_model import WorldModel

_MOST = 16  # kinds of problems whose graphs are kept
# A GPU is one device, and no other thread may use it while a graph is captured.
LOCK = threading.RLock()


class Placed:
    """A copy of a world model on a device.

    Args:
        model: The world model; it stays as it is.
        device: Where the copy goes.
        capture: Whether to capture graphs.

    Attributes:
        model: The copy, with frozen weights.
        device: Where it is.
        arithmetic: Whether graphs are captured, and why not, in words.
    """

    def __init__(self, model: WorldModel, device: torch.device, *, capture: bool) -> None:
        self.model = copy.deepcopy(model).to(device).eval().requires_grad_(False)
        self.device = device
        self.arithmetic = Capturing(device, wanted=capture)
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def kept(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what was made for a key; the least recently used is forgotten.

        Args:
            key: What it is made for.
            make: Makes it.
        """
        if key not in self._kept:
            self._kept[key] = make()
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def captured(self) -> Captured:
        """Return room for a graph of this device."""
        return Captured(self.arithmetic)

    @torch.no_grad()
    def encode_scene(self, pixels: Tensor) -> Tensor:
        """Encode an image.

        Args:
            pixels: uint8 (height, width, 3) rgb, on the CPU.

        Returns:
            Scene part of its latent, (scene size,), on the CPU.
        """
        with LOCK:
            sizes = tuple(pixels.shape)
            image, graph = self.kept(sizes, lambda: (self._room(sizes), self.captured()))
            # Convolutions as exact as on the CPU: the guard compares with what was measured there.
            image.copy_(pixels)
            found: Tensor = graph(functools.partial(_exact, self.model, image))
            return found.to("cpu", copy=True)

    def _room(self, sizes: tuple[int, ...]) -> Tensor:
        return torch.zeros(sizes, dtype=torch.uint8, device=self.device)


def _exact(model: WorldModel, image: Tensor) -> Tensor:
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return model.encode_scene(image[None])[0]


_placed: weakref.WeakKeyDictionary[WorldModel, tuple[object, Placed]] = weakref.WeakKeyDictionary()


def place(model: WorldModel, device: str, *, capture: bool = True) -> Placed | None:
    """Let a world model plan and encode on a device from now on.

    It gets a new copy if one of its weights has changed, or what it knows of the robot.

    Args:
        model: The world model, on the CPU.
        device: `cpu`: no copy is needed.
        capture: Whether to capture graphs.

    Returns:
        The copy; None on the CPU.
    """
    with LOCK:
        if device == "cpu":
            _placed.pop(model, None)
            return None
        weights = version_of((*model.parameters(), *model.buffers()))
        version = device, capture, model.spec, model.familiarity, weights
        if model not in _placed or _placed[model][0] != version:
            _placed[model] = version, Placed(model, torch.device(device), capture=capture)
        return _placed[model][1]


def placed(model: WorldModel) -> Placed | None:
    """Return the copy that a world model uses at present; None if it is on the CPU alone.

    Args:
        model: The world model.
    """
    with LOCK:
        return _placed[model][1] if model in _placed else None
