"""`ros2 run wm_mpc ablate`: train the variants of a task that `evaluate` compares, fairly.

Every variant makes the same number of updates on the same number of windows, and has had the same
number of low-level simulator steps: what its synthesis executes, it gets fewer recorded episodes.
Variants of one seed, or of all, share one encoder. Each training is a `train` command of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

from wm_mpc.arguments import seed
from wm_mpc.atomic import replacing
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.directories import data_directory
from wm_mpc.sim.worker_arguments import add_workers
from wm_mpc.synthesis.registry import METHODS, rollout_methods
from wm_mpc.training import command
from wm_mpc.training.compute import PRECISIONS
from wm_mpc.training.config import SYNTHESIS, ConfigError, TrainConfig

VARIANTS: dict[str, tuple[str, ...]] = {
    "none": (),
    **{name: (name,) for name in METHODS},
    "all": SYNTHESIS,
}


@dataclasses.dataclass(frozen=True)
class Training:
    """One run of `train`: its variant and seed, and how many recorded episodes it gets."""

    variant: str
    seed: int
    episodes: int


def simulated_steps(config: TrainConfig, synthesis: tuple[str, ...], frame_skip: int) -> int:
    """Low-level simulator steps that a variant's synthesis executes in a whole training."""
    steps = 0
    for name, method in rollout_methods().items():
        if name in synthesis:
            own = config.method(name)
            every = method.every(own)
            rounds = (config.dynamics_updates - 1) // every if every else 1
            steps += rounds * method.count(own) * method.steps(own)
    return steps * frame_skip


def plan_trainings(
    dataset: Dataset, config: TrainConfig, variants: list[str], seeds: list[int]
) -> list[Training]:
    """What to train, in order. Raises ConfigError when synthesis alone takes more simulator steps
    than the dataset has."""
    indices = dataset.indices()
    recorded = [len(dataset.read_without_images(index)) for index in indices]
    available = len(indices) - max(1, round(config.validation * len(indices)))
    mean = sum(recorded) / max(1, len(recorded))
    trainings = []
    for number in seeds:
        for variant in variants:
            steps = simulated_steps(config, VARIANTS[variant], dataset.spec.frame_skip)
            episodes = available - round(steps / mean)
            if episodes < 1:
                raise ConfigError(
                    f"the synthesis of variant {variant!r} takes {steps} simulator steps, the "
                    f"dataset has {round(available * mean)} to train on; collect more episodes or "
                    "synthesise less"
                )
            trainings.append(Training(variant, number, episodes))
    return trainings


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ablate",
        description="Train variants of a world model that differ only in their data "
        "synthesis: the same updates on the same number of windows, the same number of simulator "
        "steps in all, one encoder per seed or for all. Then: evaluate --checkpoints OUT "
        "--variants ... The same command continues where it was stopped.",
    )
    parser.add_argument("--task", default="wall", help="task of the dataset; default: wall")
    parser.add_argument(
        "--dataset", type=Path, metavar="DIR", help="episodes to train on; default: ./data/<task>"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, as for train")
    parser.add_argument(
        "--variants", default=",".join(VARIANTS), metavar="LIST",
        help=f"variants to train; default: {', '.join(VARIANTS)}",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", default="0", metavar="LIST", help="training seeds, such as 0,1,2; default: 0"
    )
    parser.add_argument(
        "--representation-seed", type=seed, metavar="N",
        help="use one encoder for all seeds, trained with this one; default: one for each seed",
    )  # fmt: skip
    parser.add_argument(
        "--representation", type=Path, metavar="DIR", help="a run that already has this encoder"
    )
    parser.add_argument("--label", default="", help="text between task and variant in file names")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/ablation"), metavar="DIR",
        help="where checkpoints and runs go; default: runs/ablation",
    )  # fmt: skip
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="as for train"
    )
    add_workers(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    variants = options.variants.split(",")
    unknown = sorted(set(variants) - set(VARIANTS))
    if unknown:
        print(f"ablate: unknown variants {unknown}; known: {', '.join(VARIANTS)}", file=sys.stderr)
        return 2
    try:
        seeds = [seed(text) for text in options.seeds.split(",")]
        dataset = Dataset(options.dataset or data_directory(options.task))
        chosen = ["--task", options.task]
        if options.config:
            chosen += ["--config", str(options.config)]
        config = command.settings(command.parser().parse_args(chosen))
        trainings = plan_trainings(dataset, config, variants, seeds)
    except (ConfigError, DatasetError, ValueError, argparse.ArgumentTypeError) as error:
        print(f"ablate: {error}", file=sys.stderr)
        return 1
    if options.representation and options.representation_seed is None:
        print("ablate: --representation needs its seed: --representation-seed", file=sys.stderr)
        return 2
    donors: dict[int, Path] = {}
    if options.representation:
        donors[options.representation_seed] = options.representation
    for training in trainings:
        code = _train(training, options, chosen, dataset.path, donors)
        if code:
            return code
    return 0


def _train(
    training: Training,
    options: argparse.Namespace,
    chosen: list[str],
    dataset: Path,
    donors: dict[int, Path],
) -> int:
    """Run one training unless it is finished; its checkpoint is copied when it is complete."""
    name = "_".join(filter(None, [options.task, options.label, training.variant]))
    name = f"{name}_s{training.seed}"
    run = options.out / "runs" / name
    final = options.out / f"{name}.safetensors"
    own = options.representation_seed is None
    donor = donors.setdefault(training.seed if own else options.representation_seed, run)
    if final.exists():
        print(f"{final} is there already")
        return 0
    command = [sys.executable, "-m", "wm_mpc.cli.train", *chosen, "--dataset", str(dataset)]
    command += ["--run", str(run), "--seed", str(training.seed), "--workers", options.workers]
    command += ["--synthesis", ",".join(VARIANTS[training.variant]) or "none"]
    command += ["--episodes", str(training.episodes), "--precision", options.precision]
    if not own:
        command += ["--representation-seed", str(options.representation_seed)]
    if donor != run:
        command += ["--representation", str(donor)]
    print(f"[ablate] {name}: {training.episodes} recorded episodes", flush=True)
    try:
        code = subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 130
    if code == 0:
        with replacing(final) as temporary:
            shutil.copyfile(run / f"{options.task}.safetensors", temporary)
    return code


if __name__ == "__main__":
    sys.exit(main())
