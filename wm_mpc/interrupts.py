"""Ctrl-C for programs that clean up when it comes."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

_SAME = 5.0  # s within which further interrupts mean the same


@contextlib.contextmanager
def one_interrupt() -> Iterator[None]:
    """Within the block, interrupts (SIGINT) that follow the first one do not disturb the clean-up.

    A terminal interrupts all its processes, `ros2 run` passes that on, and people press Ctrl-C
    twice. The first interrupt raises KeyboardInterrupt. Those of the next seconds do nothing, and
    neither do those after the block: the program is about to end.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    last: float | None = None

    def interrupted(_: int, __: FrameType | None) -> None:
        nonlocal last
        if last is None or time.monotonic() - last > _SAME:
            last = time.monotonic()
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        after = signal.default_int_handler if last is None else lambda *_: None
        signal.signal(signal.SIGINT, after)
