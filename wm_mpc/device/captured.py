"""A function of tensors at fixed addresses, replayed as one CUDA graph.

A planner makes thousands of tiny tensor operations per plan. Launched one by one from Python, they
take ten times as long as their arithmetic. A graph launches all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

Result = TypeVar("Result")

_WARM_UP = 3  # calls before the capture, in which libraries allocate what they need


class Captured(Generic[Result]):
    """Calls a function, or replays its graph.

    On a device other than CUDA, and without `capture`, every call runs the function itself.

    Args:
        function: Reads and writes tensors that stay where they are. It must neither read a value
            back to the host nor copy from it. It is called several times before the first replay.
        device: Where its tensors are.
        capture: Whether to capture a graph.
    """

    def __init__(
        self, function: Callable[[], Result], device: torch.device, *, capture: bool
    ) -> None:
        self._function, self._device = function, device
        self._captures = capture and device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Result | None = None

    def prepare(self) -> None:
        """Capture the graph, if that is not done yet. The function runs, so its tensors change."""
        if not self._captures or self._graph is not None:
            return
        # The first calls run beside the usual stream, as PyTorch asks for.
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self._function()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._result = self._function()
        self._graph = graph

    def __call__(self) -> Result:
        """Run once.

        Returns:
            What the function returns. The next call overwrites it.
        """
        self.prepare()
        if self._graph is None:
            return self._function()
        self._graph.replay()
        assert self._result is not None
        return self._result
