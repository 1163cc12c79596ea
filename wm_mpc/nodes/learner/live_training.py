"""A round of learning from the running robot, in a process of its own: see `learner_training.py`
for how it is told to stop and tells of itself. Announces a checkpoint only when the new model is no
worse than the present one on held-out episodes.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wm_mpc.arguments import Parser
from wm_mpc.nodes.learner.training import events_to, take_stdout, watch_stdin


def parser() -> argparse.ArgumentParser:
    parser = Parser(prog="live_training")
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="the present model")
    add("--first", type=Path, required=True, help="the model before the first round")
    add("--live", type=Path, required=True, help="dataset of what the robot did")
    add("--replay", type=Path, help="dataset the model was first trained on")
    add("--out", type=Path, required=True, help="the new checkpoint")
    add("--parts", required=True)
    add("--updates", type=int, required=True)
    add("--seed", type=int, required=True)
    return parser


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    send = events_to(take_stdout())
    stop = threading.Event()
    threading.Thread(target=watch_stdin, args=(stop,), daemon=True).start()
    try:
        return _learn(parser().parse_args(arguments), send, stop)
    except BaseException as error:
        traceback.print_exc()
        send("failed", reason=repr(error))
        return 1


def _learn(options: argparse.Namespace, send: Callable[..., None], stop: threading.Event) -> int:
    import torch

    from wm_mpc.data.episodes import Dataset, DatasetError, Recording
    from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
    from wm_mpc.nodes.learner.training import Progress
    from wm_mpc.training.calibration import renewed_familiarity
    from wm_mpc.training.finetune import FineTuneConfig, FineTuneError, fine_tune, split

    torch.set_num_threads(1)
    try:
        _refuse_present(options)
        model, metadata = load_checkpoint(options.checkpoint, exact=True)
        first, _ = load_checkpoint(options.first, exact=True)
        recording = Recording(Dataset(options.live))
        replay = None if options.replay is None else Recording(Dataset(options.replay))
        config = FineTuneConfig(parts=options.parts, updates=options.updates, seed=options.seed)
        send("started")
        tuned, comparison = fine_tune(
            model, recording, config, first=first, replay=replay, progress=Progress(send),
            stopped=stop.is_set,
        )  # fmt: skip
        found: dict[str, Any] = {
            "held-out error before": comparison.before,
            "held-out error after": comparison.after,
        }
        send("progress", stage="check", done=1, total=1, values=found)
        if stop.is_set():
            send("stopped")
            return 0
        if comparison.accepted:
            # Of the camera as it is now, where enough is held out to tell.
            tuned.familiarity = renewed_familiarity(tuned, model, recording, split(recording)[1])
            parent = hashlib.sha256(options.checkpoint.read_bytes()).hexdigest()
            provenance = {
                "live": {
                    "parent": parent, "data": recording.dataset.content_hash(),
                    "episodes": len(recording.indices), "config": vars(config), **found,
                },
                "before": metadata["provenance"],
            }  # fmt: skip
            save_checkpoint(tuned, options.out, provenance)
            send("checkpoint", path=str(options.out))
    except (CheckpointError, DatasetError, FineTuneError, ValueError, OSError) as error:
        send("failed", reason=str(error))
        return 1
    send("finished")
    return 0


def _refuse_present(options: argparse.Namespace) -> None:
    """Raises ValueError when the new checkpoint would take the place of one that is there."""
    inputs = {path.resolve() for path in (options.checkpoint, options.first)}
    if options.out.resolve() in inputs or options.out.exists():
        raise ValueError(f"{options.out} is there already; --out must be a new file")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
