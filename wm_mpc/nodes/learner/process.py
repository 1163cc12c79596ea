"""The training process of the node `learner`, seen from the node.

Training has a process of its own: neither Python's lock nor torch's threads then disturb the node's
callbacks, and whatever goes wrong in there, even a segmentation fault, is an event here. It cannot
outlive the node: it ends when the pipe to it closes (`learner_training.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Event = Mapping[str, Any]
FINAL_EVENTS = ("stopped", "finished", "failed")


class TrainingProcess:
    """One training from start to end. `on_event` is called in another thread, with exactly one of
    FINAL_EVENTS as the last, after which no process is left."""

    def __init__(
        self,
        arguments: Sequence[str],
        on_event: Callable[[Event], None],
        *,
        nice: int = 0,
        module: str = "wm_mpc.nodes.learner.training",
    ) -> None:
        """arguments: those of `train`. nice: added to this process's niceness. Raises OSError when
        the system starts no process."""
        self._on_event = on_event
        self._stop_asked = False
        self._group_ended = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # It imports from where this process does, and never from the working directory.
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "PYTHONSAFEPATH": "1",
            },
            # A group of its own: the terminal's Ctrl-C goes to the node only, which passes it on,
            # and the simulators it starts can be ended with it.
            start_new_session=True,
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, min(19, os.nice(0) + nice))
        threading.Thread(target=self._end_group, name="training end", daemon=True).start()
        self._thread = threading.Thread(target=self._read, name="training", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Until the final event has been handled."""
        return self._thread.is_alive()

    def ask_to_stop(self) -> None:
        """Have it save its state and end; returns at once."""
        self._stop_asked = True
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it at once, with the simulators it started. What it saved before counts."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self, seconds: float) -> None:
        """Stop it, by force after so many seconds; returns when it has ended."""
        self.ask_to_stop()
        self._thread.join(seconds)
        if self.is_alive:
            self.kill()
            self._thread.join(1.0)

    def _end_group(self) -> None:
        """End what the process leaves behind, which may also hold its stdout open."""
        # Not reaped yet: its number is still its own.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.kill()
        self._group_ended.set()

    def _read(self) -> None:
        final: Event | None = None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                event = json.loads(line)
                is_final = event["event"] in FINAL_EVENTS
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a process that was killed while writing it
            if is_final:
                final = event
            else:
                self._on_event(event)
        self._group_ended.wait()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._on_event(final or self._unexplained(code))

    def _unexplained(self, code: int) -> Event:
        if self._stop_asked:
            return {"event": "stopped"}
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return {
            "event": "failed",
            "reason": f"the training process died ({how}); starting again continues its run",
        }
