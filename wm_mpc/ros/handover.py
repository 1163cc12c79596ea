"""A callback wakes the thread that works on what came, and lets it go first."""

from __future__ import annotations

import threading

_LONGEST = 0.006  # s, for which a callback stays behind


class Handover:
    """Between the thread of the callbacks and one that works on what they received.

    Both need Python's interpreter: were the callbacks to go on at once, to the next message, each
    thread would wait for the other several times over. `wake` is the event the worker sleeps on;
    others may set it, too.
    """

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake
        self._sleeps = False
        self._over = threading.Event()

    def offer(self) -> None:
        """In a callback: wake the worker and, if it slept, stay behind until its `over`, but not
        for long."""
        stays = self._sleeps
        self._over.clear()
        self._wake.set()
        if stays:
            self._over.wait(_LONGEST)

    def sleep(self, seconds: float) -> None:
        """In the worker: until something is offered, but no longer than so many seconds."""
        self.over()
        self._sleeps = True
        self._wake.wait(seconds)
        self._sleeps = False
        self._wake.clear()

    def over(self) -> None:
        """In the worker: callbacks may go on. It does not need the interpreter for a while, or
        waits for what they are to bring."""
        self._over.set()
