"""`ros2 run wm_mpc train`: train a world model with data synthesis and write its checkpoint."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from wm_mpc.cli.bars import bar
from wm_mpc.data.dataset_lock import writing
from wm_mpc.data.episodes import DatasetError, Recording
from wm_mpc.directories import runs_directory
from wm_mpc.interrupts import one_interrupt
from wm_mpc.provenance import program, recorded_command
from wm_mpc.sim.workers import JobError, WorkersError, make_workers
from wm_mpc.training.command import (
    NO_REPRESENTATION_SEED,
    open_dataset,
    parser,
    settings,
    settle_task,
)
from wm_mpc.training.compute import Compute, ComputeError
from wm_mpc.training.config import ConfigError
from wm_mpc.training.directory import TrainingError
from wm_mpc.training.donor import is_run
from wm_mpc.training.finish import write_results
from wm_mpc.training.journal import Progress
from wm_mpc.training.phases.registry import PHASES
from wm_mpc.training.trainer import Trainer


class _Bars:
    """Progress bars, one per stage of the run, each with the remaining time."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if stage != self._stage:
            self.close()
            self._stage, self._bar = stage, bar(total, _title(stage), initial=done)
        self._bar.n = done
        if values:
            self._bar.set_postfix({name: f"{value:.4f}" for name, value in values.items()}, False)
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _title(stage: str) -> str:
    names = list(PHASES)
    if stage not in names:
        return stage
    return f"phase {names.index(stage) + 1} of {len(names)}: {stage}"


@one_interrupt()
def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code.
    """
    with contextlib.closing(_Bars()) as bars:
        return run(parser().parse_args(arguments), recorded_command("train", arguments), bars)


def run(options: argparse.Namespace, command: str, progress: Progress) -> int:
    """Run the command with parsed options.

    Args:
        options: Parsed options of `training.command.parser`.
        command: Command line that the checkpoint records.
        progress: Called with stage, done, total and loss terms.

    Returns:
        Exit code.
    """
    with contextlib.ExitStack() as held:
        return _train(options, command, progress, held)


def _train(
    options: argparse.Namespace, command: str, progress: Progress, held: contextlib.ExitStack
) -> int:
    """Train; `held` locks the directory of the run against other trainings until it closes."""
    name = program(command)  # train, or learn
    compute = Compute(options.accelerator, options.devices, options.nodes, options.precision)
    try:
        settle_task(options)
        config = settings(options)
        dataset = open_dataset(options)
        fabric = compute.launch()
        with fabric.rank_zero_first():  # rank 0 prepares the images for the others
            recording = Recording(dataset)
        run = options.run or runs_directory(options.task)
        if fabric.is_global_zero:
            _warn_of_seed(options, name)
            held.enter_context(writing(run, name, "run"))
        with make_workers(options.workers) as workers:
            _check_donor(options.representation, run, recording.spec.task)
            trainer = Trainer(
                recording, config, run, workers=workers, progress=progress, compute=compute,
                representation=options.representation,
            )  # fmt: skip
            trainer.run()
    except (
        ComputeError, ConfigError, DatasetError, TrainingError, WorkersError, JobError
    ) as error:  # fmt: skip
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        return _disk_fault(name, error)
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; the same command continues", file=sys.stderr)
        return 130
    if fabric.is_global_zero:
        try:
            write_results(trainer, run, command)
        except (OSError, SafetensorError) as error:
            return _disk_fault(name, error)
    return 0


def _check_donor(donor: Path | None, run: Path, task: str) -> None:
    """Raise TrainingError if the donor is the checkpoint that this run will write."""
    own = run / f"{task}.safetensors"
    if donor is not None and donor.is_file() and own.exists() and donor.samefile(own):
        raise TrainingError(
            f"--representation {donor} is the file that this run writes; choose another --run"
        )


def _warn_of_seed(options: argparse.Namespace, name: str) -> None:
    donor = options.representation
    if donor is not None and not is_run(donor) and options.representation_seed is not None:
        print(f"{name}: {NO_REPRESENTATION_SEED}", file=sys.stderr)


def _disk_fault(name: str, error: Exception) -> int:
    """Report a full or missing disk; files saved before the fault are complete."""
    print(
        f"{name}: cannot read or write a file: {error}; "
        "once this is fixed, the same command continues",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
