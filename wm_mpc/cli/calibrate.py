"""`ros2 run wm_mpc calibrate`: measure the usual errors of a model and write them to its
checkpoint."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
from pathlib import Path

import numpy as np

from wm_mpc.arguments import Parser
from wm_mpc.data.episodes import Dataset, DatasetError, Recording
from wm_mpc.interrupts import one_interrupt
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from wm_mpc.model.familiarity import Familiarity, familiarity_notes
from wm_mpc.model.world_model import WorldModel
from wm_mpc.resources import checkpoint_folder, resolve_checkpoint
from wm_mpc.training.calibration import measure_familiarity, unexplained_of_cameras
from wm_mpc.training.strange_place import usual_strange_place

DESCRIPTION = """\
Measure how wrong a world model usually is, on recorded episodes it was NOT trained on, and write
the result to the checkpoint. The node mpc compares later errors with it and slows down or holds if
they are far larger (parameters surprise.*). It also measures the place weight (place_weight), which
counts where cost.state_weight is below 0. `train` measures all this itself; use this command for
older checkpoints, and for a robot that has changed.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="calibrate", description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add(
        "--checkpoint", required=True, metavar="FILE", help="a .safetensors file, or a shipped name"
    )
    add(
        "--dataset",
        required=True,
        type=Path,
        metavar="DIR",
        help="episodes that the model was not trained on",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="checkpoint to write; default: overwrite --checkpoint",
    )
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument(
        "--only-light",
        action="store_true",
        help="measure only what light does not explain in images, also in the worst place, and "
        "keep all other values of a checkpoint that has them",
    )
    parts.add_argument(
        "--only-missing",
        action="store_true",
        help="measure only what an older version did not measure yet of these, and keep all values "
        "that a checkpoint has",
    )
    return parser


@one_interrupt()
def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code.
    """
    options = parser().parse_args(arguments)
    try:
        path = resolve_checkpoint(options.checkpoint)
        if options.out is None and path.parent == checkpoint_folder():
            raise CheckpointError(
                f"{path} is a shipped checkpoint, which this command does not change; use --out"
            )
        model, metadata = load_checkpoint(path, exact=True)
        recording = Recording(Dataset(options.dataset))
        robot, recorded = model.spec, recording.spec
        if robot.state.measures_the_same(recorded.state):  # the model decides which are angles
            recorded = dataclasses.replace(recorded, state=robot.state)
        for part in ("action", "state", "image", "control_period", "frame_skip"):
            if getattr(robot, part) != getattr(recorded, part):
                raise CheckpointError(
                    f"{options.dataset} and {path} describe different robots: {part} of the "
                    f"dataset is {getattr(recorded, part)}; accepted: {getattr(robot, part)}"
                )
        model.familiarity = _measured(options, path, model, recording)
        out = options.out or path
        save_checkpoint(model, out, metadata["provenance"])
    except (CheckpointError, DatasetError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ncalibrate: interrupted; no checkpoint was written", file=sys.stderr)
        return 130
    print(f"checkpoint  {out}")
    for name, value in model.familiarity.to_dict().items():
        print(f"{name:14}{value}")
    for line in familiarity_notes(model.familiarity):
        print(f"calibrate: WARNING: {line}", file=sys.stderr)
    return 0


def _measured(
    options: argparse.Namespace, path: Path, model: WorldModel, recording: Recording
) -> Familiarity:
    """The new values. Raises CheckpointError and DatasetError."""
    if options.only_light or options.only_missing:
        known = model.familiarity
        if known is None:
            option = "--only-light" if options.only_light else "--only-missing"
            raise CheckpointError(
                f"{path} has no values to keep: measure all of them, without {option}"
            )
        frames = np.arange(len(recording.images))
        if options.only_light or not known.unexplained:
            left = unexplained_of_cameras(model, recording, frames)
            several = left if len(left) > 1 else ()
            known = dataclasses.replace(
                known, unexplained=max(left), camera_unexplained=several, strange_place=None
            )
        if known.strange_place is None:
            place = usual_strange_place(model, recording, frames)
            known = dataclasses.replace(known, strange_place=place)
        return known
    found = measure_familiarity(
        model, recording, np.arange(len(recording.indices)),
        checkpoint=hashlib.sha256(path.read_bytes()).hexdigest(),
    )  # fmt: skip
    if found is None:
        raise DatasetError(
            f"{options.dataset} is too small: no episode has {model.spec.history} model steps "
            f"({model.spec.history * model.spec.frame_skip} control steps)"
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
