"""Python's interpreter, which one thread of a process has at a time.

A thread that waits for it takes it from the one that has it after the switch interval. On a busy
computer, each such change may cost as much as the processor gives another process: milliseconds.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

# Seconds. The thread that plans gets the interpreter soon after an image's callback, and while
# another world model is loaded. Python's own interval is 5 ms.
SWITCH = 2e-4
# Seconds. It takes less to send a plan or a hold on all outputs. If a thread that began to wait
# before takes the interpreter all the same, it gives it back after this time at the latest.
_UNDISTURBED = 1e-3

_lock = threading.Lock()
_inside = 0
_before = SWITCH


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block, no other thread takes the interpreter for the first millisecond.

    For what is short and urgent. It never makes the interval shorter than it is.
    """
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(max(_before, _UNDISTURBED))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                sys.setswitchinterval(_before)
