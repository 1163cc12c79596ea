"""What the learner's training process runs: `train`, told to stop and telling of itself by pipes.

A line on stdin asks it to stop. The end of stdin means that the node is gone, however abruptly:
then the process, and the simulators it may have started, end too. Events leave on stdout, one JSON
object per line; what libraries print goes to stderr instead.

    {"event": "started"}                           settings and data are good
    {"event": "progress", "stage", "done", "total", "values"}
    {"event": "checkpoint", "path"}                a checkpoint is ready for use
    {"event": "stopped"} | {"event": "finished"} | {"event": "failed", "reason"}
"""

from __future__ import annotations

import argparse
import atexit
import gc
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

GRACE = 2.0  # s after the end of the node, to save the state
_INTERVAL = 0.1  # s between events of progress in the same stage


def main(arguments: list[str]) -> int:
    """arguments: those of `train`. Returns the exit code."""
    events = take_stdout()
    stop = threading.Event()
    # Before the imports: they take seconds, in which the node may end.
    threading.Thread(target=watch_stdin, args=(stop,), daemon=True).start()

    send = events_to(events)
    try:
        return _train(arguments, send, stop)
    except BaseException as error:
        traceback.print_exc()
        send("failed", reason=repr(error))
        return 1


def _train(arguments: list[str], send: Callable[..., None], stop: threading.Event) -> int:
    from wm_mpc.data.dataset_lock import writing
    from wm_mpc.data.episodes import DatasetError, Recording
    from wm_mpc.directories import runs_directory
    from wm_mpc.provenance import recorded_command
    from wm_mpc.sim.workers import JobError, WorkersError, make_workers
    from wm_mpc.training import command
    from wm_mpc.training.config import ConfigError
    from wm_mpc.training.directory import TrainingError
    from wm_mpc.training.finish import write_results
    from wm_mpc.training.trainer import Trainer

    mistakes = (
        *(argparse.ArgumentError, ConfigError, DatasetError, TrainingError),
        *(WorkersError, JobError, OSError),
    )

    def announce(path: Path) -> None:
        send("checkpoint", path=str(path))

    try:
        parser = command.parser()
        parser.exit_on_error = False
        options = parser.parse_args(arguments)
        command.settle_task(options)
        run = options.run or runs_directory(options.task)
        config = command.settings(options)
        recording = Recording(command.open_dataset(options))
        with writing(run, "learner", "run"), make_workers(options.workers) as workers:
            trainer = Trainer(
                recording,
                config,
                run,
                workers=workers,
                progress=Progress(send),
                on_checkpoint=announce,
            )
            send("started")
            trainer.run(stop.is_set)
        if not trainer.finished:
            send("stopped")
            return 0
        send("progress", stage="report", done=0, total=1, values={})
        announce(write_results(trainer, run, recorded_command("train", arguments)))
    except mistakes as error:
        send("failed", reason=str(error))  # which says what is wrong and what would be right
        return 1
    send("finished")
    return 0


class Progress:
    """Passes the trainer's progress on, unless it comes faster than anyone reads."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._stage, self._sent = "", 0.0

    def __call__(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        now = time.monotonic()
        if stage == self._stage and done < total and now - self._sent < _INTERVAL:
            return
        self._stage, self._sent = stage, now
        self._send("progress", stage=stage, done=done, total=total, values=values)


def events_to(pipe: TextIO) -> Callable[..., None]:
    """What sends an event: its name, and its fields by name."""

    def send(event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), file=pipe, flush=True)

    return send


def take_stdout() -> TextIO:
    """The pipe to the node, for events alone; prints go to stderr from now on."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def watch_stdin(stop: threading.Event) -> None:
    # Not sys.stdin: a thread that waits inside it cannot be ended with the interpreter.
    while os.read(0, 1):
        stop.set()
    stop.set()
    time.sleep(GRACE)
    if os.getpgrp() == os.getpid():  # as the node starts it
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    atexit.register(gc.freeze)  # what goes with the process need not be searched for garbage
    sys.exit(main(sys.argv[1:]))
