"""`ros2 run wm_mpc train`: train a world model with data synthesis; writes a checkpoint."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from tqdm import tqdm

from wm_mpc.atomic import write
from wm_mpc.cli.common import (
    add_workers,
    code_version,
    data_directory,
    positive,
    recorded_command,
    runs_directory,
    seed,
)
from wm_mpc.data.dataset_lock import writing
from wm_mpc.data.episodes import Dataset, DatasetError, Recording
from wm_mpc.model.checkpoint import save_checkpoint
from wm_mpc.model.familiarity import familiarity_notes
from wm_mpc.resources import share_directory
from wm_mpc.sim.workers import JobError, WorkersError, make_workers
from wm_mpc.training.calibration import measure_familiarity
from wm_mpc.training.compute import ACCELERATORS, PRECISIONS, Compute, ComputeError
from wm_mpc.training.config import SYNTHESIS, ConfigError, TrainConfig
from wm_mpc.training.diagnostics import diagnostics, rounded
from wm_mpc.training.directory import TrainingError
from wm_mpc.training.gradient_quality import gradient_quality
from wm_mpc.training.preparation import data_notes, posture_notes
from wm_mpc.training.trainer import Trainer

_TASK = "wall"  # where neither --task nor --dataset is given


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train",
        description="Train a world model on recorded episodes, closing the train-test gap of "
        "gradient planning by data synthesis. A run that was stopped, however abruptly, continues "
        "when the same command is given again.",
        epilog="example: train --task wall --synthesis random,adversarial --seed 1",
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--task", help=f"names the default directories; default: that of --dataset, else {_TASK}"
    )
    files.add_argument(
        "--dataset", type=Path, metavar="DIR", help="recorded episodes; default: ./data/<task>"
    )
    files.add_argument(
        "--run", type=Path, metavar="DIR", help="where results go; default: ./runs/<task>"
    )
    files.add_argument(
        "--representation", type=Path, metavar="DIR",
        help="another run, of the same data, seed and first phases: its finished encoder is taken "
        "instead of training the same one again",
    )  # fmt: skip
    files.add_argument(
        "--config", type=Path, metavar="FILE",
        help="settings (YAML); default: the installed train_<task>.yaml, else train.yaml",
    )  # fmt: skip
    overrides = parser.add_argument_group("settings that override those of the file")
    overrides.add_argument("--seed", type=seed, metavar="N", help="of everything that is random")
    overrides.add_argument(
        "--representation-seed", type=seed, metavar="N",
        help="another seed for the phases before the dynamics; default: the same",
    )  # fmt: skip
    overrides.add_argument(
        "--synthesis",
        metavar="LIST",
        help=f"comma-separated out of {', '.join(SYNTHESIS)}; or none",
    )
    overrides.add_argument(
        "--episodes", type=positive, metavar="N", help="train on the first N episodes only"
    )
    overrides.add_argument(
        "--history", type=positive, metavar="N",
        help="model steps of the past that the dynamics sees, the present one included",
    )  # fmt: skip
    compute = parser.add_argument_group("where it runs")
    compute.add_argument(
        "--accelerator", choices=ACCELERATORS, default="auto", help="default: auto, a GPU if any"
    )
    compute.add_argument(
        "--devices", type=positive, default=1, metavar="N",
        help="processes on this machine, each with a GPU of its own or a share of the cores; "
        "an update then sees N batches; default: 1",
    )  # fmt: skip
    compute.add_argument(
        "--nodes", type=positive, default=1, metavar="N",
        help="machines with a shared file system; start the same command on each, with "
        "MASTER_ADDR, MASTER_PORT and NODE_RANK in its environment; default: 1",
    )  # fmt: skip
    compute.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0],
        help="of the dynamics; default: 32-true; bf16-mixed is for hardware that has it, and there "
        "more than twice as fast",
    )  # fmt: skip
    add_workers(compute)
    return parser


def settle_task(options: argparse.Namespace) -> None:
    """Where parsed options name no task, it is that of their dataset, if there is one."""
    if options.task is None:
        options.task = _TASK
        if options.dataset is not None:
            with contextlib.suppress(DatasetError):  # told when it is opened
                options.task = Dataset(options.dataset).spec.task


def settings(options: argparse.Namespace) -> TrainConfig:
    """The settings of parsed options, after `settle_task`. Raises ConfigError."""
    overrides: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("seed", "representation_seed", "episodes", "history")
        if getattr(options, name) is not None
    }
    if options.synthesis is not None:
        names = [] if options.synthesis == "none" else options.synthesis.split(",")
        overrides["synthesis"] = tuple(names)
    return TrainConfig.from_yaml(options.config or _shipped_settings(options.task), **overrides)


def _shipped_settings(task: str) -> Path:
    """The settings made for a task, else those for all."""
    folder = share_directory() / "config"
    own = folder / f"train_{task}.yaml"
    return own if own.is_file() else folder / "train.yaml"


class _Bars:
    """One progress bar with time left per stage of the run."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if stage != self._stage:
            self.close()
            self._stage, self._bar = stage, tqdm(total=total, desc=stage, initial=done)
        self._bar.n = done
        if values:
            self._bar.set_postfix({name: f"{value:.4f}" for name, value in values.items()}, False)
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def main(arguments: list[str] | None = None) -> int:
    with contextlib.ExitStack() as held:
        return _train(parser().parse_args(arguments), recorded_command("train", arguments), held)


def _train(options: argparse.Namespace, command: str, held: contextlib.ExitStack) -> int:
    """held: keeps the run's directory from other trainings, until it is closed."""
    compute = Compute(options.accelerator, options.devices, options.nodes, options.precision)
    bars = _Bars()
    try:
        settle_task(options)
        config = settings(options)
        dataset = Dataset(options.dataset or data_directory(options.task))
        fabric = compute.launch()
        with fabric.rank_zero_first():  # it prepares the images, the others find them prepared
            recording = Recording(dataset)
        run = options.run or runs_directory(options.task)
        if fabric.is_global_zero:
            held.enter_context(writing(run, "train", "run"))
        with make_workers(options.workers) as workers:
            trainer = Trainer(
                recording, config, run, workers=workers, progress=bars, compute=compute,
                representation=options.representation,
            )  # fmt: skip
            trainer.run()
    except (
        ComputeError, ConfigError, DatasetError, TrainingError, WorkersError, JobError
    ) as error:  # fmt: skip
        print(f"train: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        return _disk_fault(error)
    except KeyboardInterrupt:
        print("\ntrain: interrupted; the same command continues", file=sys.stderr)
        return 130
    finally:
        bars.close()
    if fabric.is_global_zero:
        try:
            write_results(trainer, run, command)
        except (OSError, SafetensorError) as error:
            return _disk_fault(error)
    return 0


def _disk_fault(error: Exception) -> int:
    """A disk that is full, or gone: what was saved before it was is whole."""
    print(
        f"train: a file cannot be read or written: {error}; "
        "when it can, the same command continues",
        file=sys.stderr,
    )
    return 1


def write_results(trainer: Trainer, run: Path, command: str) -> Path:
    """Measure a finished model and write checkpoint, metrics.json, report.png and TensorBoard
    pictures into the run's directory; returns the path of the checkpoint."""
    from wm_mpc.training import report  # matplotlib is slow to import, and --help needs none of it

    recording, model, config = trainer.recording, trainer.model, trainer.config
    episodes = trainer.validation_episodes
    metrics = diagnostics(model, recording, episodes, horizon=10)
    quality = gradient_quality(model, recording, episodes)
    if quality is not None and len(quality.cosines):
        metrics["gradient_cosine"] = rounded(quality.quartiles)
    provenance = {
        "command": command,
        "code": code_version(),
        **trainer.provenance(),
        "metrics": metrics,
    }
    model.familiarity = measure_familiarity(model, recording, episodes)
    checkpoint = run / f"{recording.spec.task}.safetensors"
    save_checkpoint(model, checkpoint, provenance)
    write(run / "metrics.json", json.dumps(provenance, indent=2, default=_plain) + "\n")
    picture = run / "report.png"
    report.draw_report(
        model, recording, episodes, trainer.history, metrics, picture, config.horizon, quality
    )
    trainer.add_picture("report", picture)
    print(f"checkpoint  {checkpoint}\nreport      {picture}")
    for name, value in metrics.items():
        print(f"{name:18}{value}")
    notes = [*data_notes(recording), *posture_notes(model), *familiarity_notes(model.familiarity)]
    for line in notes:
        print(f"train: WARNING: {line}", file=sys.stderr)
    return checkpoint


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)


if __name__ == "__main__":
    sys.exit(main())
