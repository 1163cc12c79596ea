"""The options of the training command, and the settings that they select.

`ros2 run wm_mpc train` and the training process of the node `learner` both use them.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any

from wm_mpc.arguments import Parser, positive, seed
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.directories import data_directory
from wm_mpc.nearest import did_you_mean
from wm_mpc.resources import share_directory
from wm_mpc.sim.tasks import TASKS
from wm_mpc.sim.worker_arguments import add_workers
from wm_mpc.synthesis.registry import METHODS
from wm_mpc.training.compute import ACCELERATORS, PRECISIONS
from wm_mpc.training.config import ConfigError, TrainConfig

_TASK = "wall"  # where neither --task nor --dataset is given


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="train",
        description="Train a world model on recorded episodes, and close the gap between "
        "training and planning by data synthesis. After an interruption, the same command "
        "continues.",
        epilog="example: train --task wall --synthesis random,adversarial --seed 1",
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--task",
        help="names the default directories and the default settings; default: the task of "
        f"--dataset, or {_TASK}",
    )
    files.add_argument(
        "--dataset", type=Path, metavar="DIR", help="episodes to train on; default: ./data/<task>"
    )
    files.add_argument(
        "--run", type=Path, metavar="DIR", help="where results go; default: ./runs/<task>"
    )
    files.add_argument(
        "--representation", type=Path, metavar="DIR|CHECKPOINT",
        help="use this finished encoder, distance and first plans, and train the dynamics only: of "
        "a run with the same data, seed and first phases, or of a checkpoint (name or file) of the "
        "same robot and sizes",
    )  # fmt: skip
    files.add_argument(
        "--config", type=Path, metavar="FILE",
        help="settings (YAML); default: the installed train_<task>.yaml, or train.yaml",
    )  # fmt: skip
    overrides = parser.add_argument_group("settings; they override the file")
    overrides.add_argument("--seed", type=seed, metavar="N", help="seed of all random numbers")
    overrides.add_argument(
        "--representation-seed", type=seed, metavar="N",
        help="separate seed for the phases before the last; default: --seed",
    )  # fmt: skip
    overrides.add_argument(
        "--synthesis",
        metavar="LIST",
        help=f"comma-separated methods of data synthesis, out of {', '.join(METHODS)}; or none",
    )
    overrides.add_argument(
        "--episodes", type=positive, metavar="N", help="train on the first N episodes only"
    )
    overrides.add_argument(
        "--history", type=positive, metavar="N",
        help="model steps that the dynamics sees, up to the present one",
    )  # fmt: skip
    compute = parser.add_argument_group("where it runs")
    compute.add_argument(
        "--accelerator",
        choices=ACCELERATORS,
        default="auto",
        help="device that computes; auto: a GPU, if there is one; default: auto",
    )
    compute.add_argument(
        "--devices", type=positive, default=1, metavar="N",
        help="processes on this machine, each with its own GPU or its share of the cores; an "
        "update then sees N batches; default: 1",
    )  # fmt: skip
    compute.add_argument(
        "--nodes", type=positive, default=1, metavar="N",
        help="machines with a shared file system; start the same command on each, with "
        "MASTER_ADDR, MASTER_PORT and NODE_RANK in its environment; default: 1",
    )  # fmt: skip
    compute.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0],
        help="precision of the dynamics; bf16-mixed is faster on hardware that has it; default: "
        "32-true",
    )  # fmt: skip
    add_workers(compute)
    return parser


def settle_task(options: argparse.Namespace) -> None:
    """Set `options.task`, if it is missing, to the task of the dataset, or to the default.

    Args:
        options: Parsed options of `parser`; changed in place.

    Raises:
        ConfigError: The dataset is of another task.
    """
    if options.dataset is not None:
        with contextlib.suppress(DatasetError):  # reported when it is opened
            recorded = Dataset(options.dataset).spec.task
            options.task = options.task or recorded
            if options.task != recorded:
                raise ConfigError(
                    f"{options.dataset} is of task {recorded}, and --task is {options.task}; leave "
                    "--task out. To train with the settings of another task, give its file to "
                    "--config"
                )
    options.task = options.task or _TASK


def open_dataset(options: argparse.Namespace) -> Dataset:
    """Open the dataset that parsed options select.

    Args:
        options: Parsed options, after `settle_task`.

    Raises:
        DatasetError: There is no dataset, or it cannot be used.
    """
    if options.dataset is not None:
        return Dataset(options.dataset)
    task, path = options.task, data_directory(options.task)
    try:
        return Dataset(path)
    except DatasetError:
        if (path / "dataset.json").exists():
            raise
        if task in TASKS:
            hint = f"; to record one: ros2 run wm_mpc collect --task {task}"
        else:
            hint = did_you_mean(task, {*TASKS, *(entry.name for entry in path.parent.glob("*"))})
        if not hint:
            raise
        raise DatasetError(f"no dataset at {path}{hint}") from None


# Said where a checkpoint gives the encoder
NO_REPRESENTATION_SEED = (
    "--representation-seed has no effect, as the encoder is that of a checkpoint"
)


def settings(options: argparse.Namespace) -> TrainConfig:
    """Return the settings that parsed options select.

    Args:
        options: Parsed options, after `settle_task`.

    Raises:
        ConfigError: A setting is unknown or not accepted.
    """
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
    """The installed settings of a task, or the general ones."""
    folder = share_directory() / "config"
    own = folder / f"train_{task}.yaml"
    return own if own.is_file() else folder / "train.yaml"
