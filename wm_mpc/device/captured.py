"""A function of tensors at fixed addresses, replayed as one CUDA graph.

A planner makes thousands of tiny tensor operations per plan. Launched one by one from Python, they
take ten times as long as their arithmetic. A graph launches all of them at once.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_log = logging.getLogger(__name__)
_WARM_UP = 3  # calls before the capture, in which libraries allocate what they need


class Capturing:
    """How functions run on one device.

    Args:
        device: The device.
        wanted: Whether to capture graphs, where the device can.

    Attributes:
        device: The device.
        wanted: Whether to capture graphs: wanted, and the device can.
        failure: Why a function runs without a graph that was wanted; empty if none does.
    """

    def __init__(self, device: torch.device, *, wanted: bool) -> None:
        self.device, self.wanted = device, wanted and device.type == "cuda"
        self.failure = ""

    def __str__(self) -> str:
        if self.failure or not self.wanted:
            reason = self.failure or f"no graphs on {self.device}"
            return f"operations one by one, which is slow: {reason}"
        return "captured graphs"

    def fail(self, reason: str) -> None:
        """Note that a graph could not be captured, and log it.

        Args:
            reason: Why not.
        """
        self.failure = f"no graph can be captured: {reason}"
        _log.warning("planner.device: %s", self)


class Captured:
    """Calls a function, or replays its graph.

    Without a graph, every call runs the function itself. The function comes with each call, so
    that nothing here keeps its owner alive.

    Args:
        how: Whether to capture a graph, and where.
    """

    def __init__(self, how: Capturing) -> None:
        self._how, self._captures = how, how.wanted
        self._device = how.device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Tensor | None = None

    def prepare(self, function: Callable[[], Tensor]) -> None:
        """Capture the graph, if that is not done yet. The function runs, so its tensors change.

        If no graph can be captured, that is noted, and from then on the function runs itself.

        Args:
            function: Reads and writes tensors that stay where they are. It must neither read a
                value back to the host nor copy from it. It is called several times before the
                first replay, and is the same in all calls.
        """
        if not self._captures or self._graph is not None:
            return
        try:
            with _nothing_is_freed(), torch.cuda.stream(torch.cuda.current_stream(self._device)):
                self._capture(function)
        except Exception as error:
            self._captures, self._result = False, None
            self._how.fail(str(error.__context__ or error))

    def _capture(self, function: Callable[[], Tensor]) -> None:
        # The first calls run beside the usual stream, as PyTorch asks for.
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                function()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._result = function()
        self._graph = graph

    def __call__(self, function: Callable[[], Tensor]) -> Tensor:
        """Run once.

        Args:
            function: See `prepare`.

        Returns:
            What the function returns. The next call overwrites it.
        """
        self.prepare(function)
        if self._graph is None or self._result is None:
            return function()
        self._graph.replay()
        return self._result


@contextmanager
def _nothing_is_freed() -> Iterator[None]:
    """Keep the garbage collector from freeing other graphs during a capture, which would spoil
    it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
