"""Weights in the form of the compiled library; see `linear.h`."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

Struct = TypeVar("Struct", bound=ctypes.Structure)


class Matrix(ctypes.Structure):
    """The struct `Matrix` of `linear.h`."""

    _fields_ = (
        ("inputs", ctypes.c_int32), ("outputs", ctypes.c_int32), ("is_half", ctypes.c_int32),
        ("panels", ctypes.c_void_p),
    )  # fmt: skip


class Packer:
    """Packs weights, and keeps them in memory as long as it lives.

    Args:
        panel: Columns of a panel.
    """

    def __init__(self, panel: int) -> None:

        self._panel = panel
        self._kept: list[Tensor | ctypes.Array[Any]] = []

    def matrix(self, matrix: Tensor) -> Matrix:
        """Pack a matrix. If bfloat16 holds it exactly, it takes half as many bytes.

        Args:
            matrix: (inputs, outputs).
        """
        inputs, outputs = matrix.shape
        wide = torch.zeros(inputs, self._padded(outputs))
        wide[:, :outputs] = matrix.detach()
        panels = torch.stack(wide.split(self._panel, 1))
        bits = panels.view(torch.int32)
        is_half = inputs > 0 and not (bits & 0xFFFF).any()  # bfloat16 drops these bits
        if is_half:
            first, second = bits.chunk(2, -1)
            panels = second | (first >> 16 & 0xFFFF)
        self._kept.append(panels)
        return Matrix(inputs, outputs, is_half, panels.data_ptr())

    def matrices(self, matrices: list[Tensor]) -> int:
        """Pack matrices, and return the address of their array.

        Args:
            matrices: (inputs, outputs) each.
        """
        return self.structs(Matrix, [self.matrix(matrix) for matrix in matrices])

    def structs(self, kind: type[Struct], structs: Sequence[Struct]) -> int:
        """Keep structs, and return the address of their array.

        Args:
            kind: Type of the structs.
            structs: The structs.
        """
        array = (kind * len(structs))(*structs)
        self._kept.append(array)
        return ctypes.addressof(array)

    def columns(self, values: Tensor) -> int:
        """Pack one value for each column of a matrix, and return their address.

        Args:
            values: (columns,).
        """
        return self.floats(functional.pad(values, (0, self._padded(len(values)) - len(values))))

    def floats(self, values: Tensor) -> int:
        """Keep a copy of numbers in float32, and return its address.

        Args:
            values: Any shape.
        """
        ready = values.detach().to(torch.float32, copy=True).contiguous()
        self._kept.append(ready)
        return ready.data_ptr()

    def _padded(self, columns: int) -> int:
        return math.ceil(columns / self._panel) * self._panel
