"""Threads of torch while something is simulated."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch compute with one thread, if it was imported; afterwards with as many as before.

    The result is that of a worker process: sums over several threads round differently. Small
    computations, such as a drawn picture, wait for a second thread far longer than they take as
    soon as another process needs a core.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
