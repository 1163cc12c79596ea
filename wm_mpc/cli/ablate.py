"""`ros2 run wm_mpc ablate`: train the variants of a task for a fair comparison with `evaluate`.

Every variant makes the same number of updates on the same number of windows, from the same number
of control steps in the simulator: a variant whose synthesis executes steps gets fewer recorded
episodes. The variants of one seed share one encoder, or all variants do. Each training is a
separate `train` command.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from wm_mpc.arguments import Parser, seed, seeds
from wm_mpc.atomic import replacing
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.interrupts import one_interrupt
from wm_mpc.model.checkpoint import CheckpointError, read_metadata
from wm_mpc.sim.worker_arguments import add_workers
from wm_mpc.synthesis.registry import METHODS, rollout_methods
from wm_mpc.training import command
from wm_mpc.training.compute import PRECISIONS
from wm_mpc.training.config import SYNTHESIS, ConfigError, TrainConfig
from wm_mpc.training.donor import hash_of_checkpoint, is_run

VARIANTS: dict[str, tuple[str, ...]] = {
    "none": (),
    **{name: (name,) for name in METHODS},
    "all": SYNTHESIS,
}


@dataclasses.dataclass(frozen=True)
class Training:
    """One run of `train`.

    Attributes:
        variant: Its name; see `methods_of`.
        seed: Training seed.
        episodes: Number of recorded episodes that the run may use.
    """

    variant: str
    seed: int
    episodes: int


def methods_of(variant: str) -> tuple[str, ...]:
    """Return the synthesis methods of a variant.

    Args:
        variant: A key of `VARIANTS`, or several methods with + in between (online+adversarial).

    Raises:
        KeyError: There is no such variant.
    """
    if variant in VARIANTS:
        return VARIANTS[variant]
    names = variant.split("+")
    if len(set(names)) < len(names) or not set(names) <= METHODS.keys():
        raise KeyError(variant)
    return tuple(names)


def simulated_steps(config: TrainConfig, synthesis: tuple[str, ...], frame_skip: int) -> int:
    """Count the control steps in the simulator that a variant executes during a whole training.

    Args:
        config: Settings of the training.
        synthesis: Names of synthesis methods.
        frame_skip: Control steps per model step.

    Returns:
        Number of control steps.
    """
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
    """List the trainings in the order in which they run.

    Args:
        dataset: Recorded episodes.
        config: Settings of the training.
        variants: Names; see `methods_of`.
        seeds: Training seeds.

    Raises:
        ConfigError: The synthesis alone takes more simulator steps than the dataset has.
    """
    indices = dataset.indices()
    recorded = [len(dataset.read_without_images(index)) for index in indices]
    available = len(indices) - max(1, round(config.validation * len(indices)))
    mean = sum(recorded) / max(1, len(recorded))
    trainings = []
    for number in seeds:
        for variant in variants:
            steps = simulated_steps(config, methods_of(variant), dataset.spec.frame_skip)
            episodes = available - round(steps / mean)
            if episodes < 1:
                raise ConfigError(
                    f"the synthesis of variant {variant!r} takes {steps} simulator steps, but the "
                    f"dataset has only {round(available * mean)} for training; collect more "
                    "episodes or synthesise less"
                )
            trainings.append(Training(variant, number, episodes))
    return trainings


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="ablate",
        description="Train variants of a world model that differ only in their data "
        "synthesis. All make the same updates on the same number of windows, from the same number "
        "of simulator steps, with one encoder per seed or one for all. To compare them: evaluate "
        "--checkpoints OUT --variants ... After an interruption, the same command continues.",
    )
    parser.add_argument("--task", default="wall", help="task of the dataset; default: wall")
    parser.add_argument(
        "--dataset", type=Path, metavar="DIR", help="episodes to train on; default: ./data/<task>"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, as for train")
    parser.add_argument(
        "--variants", default=",".join(VARIANTS), metavar="LIST",
        help=f"variants to train, such as none,online+adversarial; default: {', '.join(VARIANTS)}",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=seeds, default=[0], metavar="LIST",
        help="training seeds, such as 0,1,2; default: 0",
    )  # fmt: skip
    parser.add_argument(
        "--representation-seed", type=seed, metavar="N",
        help="train one encoder with this seed and use it for all; default: one for each seed",
    )  # fmt: skip
    parser.add_argument(
        "--representation", type=Path, metavar="DIR|CHECKPOINT",
        help="a run that already has this encoder, or a checkpoint whose encoder to use",
    )  # fmt: skip
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


@one_interrupt()
def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code.
    """
    options = parser().parse_args(arguments)
    variants = options.variants.split(",")
    unknown = sorted(filter(_is_unknown, set(variants)))
    if unknown:
        print(
            f"ablate: unknown variants {unknown}; known: {', '.join(VARIANTS)}, and methods with + "
            "in between",
            file=sys.stderr,
        )
        return 2
    methods = [frozenset(methods_of(variant)) for variant in variants]
    if len(set(methods)) < len(methods):
        print(f"ablate: two of these variants are the same: {options.variants}", file=sys.stderr)
        return 2
    try:
        dataset = command.open_dataset(options)
        chosen = ["--task", options.task]
        if options.config:
            chosen += ["--config", str(options.config)]
        config = command.settings(command.parser().parse_args(chosen))
        trainings = plan_trainings(dataset, config, variants, options.seeds)
    except (ConfigError, DatasetError, ValueError, argparse.ArgumentTypeError) as error:
        print(f"ablate: {error}", file=sys.stderr)
        return 1
    given = options.representation
    of_run = given is not None and is_run(given)
    if of_run and options.representation_seed is None:
        print(
            "ablate: the --representation of a run also needs --representation-seed, its seed",
            file=sys.stderr,
        )
        return 2
    donors: dict[int, Path] = {}
    if of_run:
        donors[options.representation_seed] = given
    elif given:  # a checkpoint serves all seeds
        donors = {training.seed: given for training in trainings}
        if options.representation_seed is not None:
            print(f"ablate: {command.NO_REPRESENTATION_SEED}", file=sys.stderr)
            options.representation_seed = None
    try:
        shared = None if given is None or of_run else hash_of_checkpoint(given)
        for training in trainings:
            code = _train(training, options, chosen, dataset.path, donors, shared)
            if code:
                return code
    except CheckpointError as error:
        print(f"ablate: {error}", file=sys.stderr)
        return 1
    return 0


def run_to_end(command: Sequence[str]) -> int:
    """Run a command. After Ctrl-C, wait until it has ended; a second Ctrl-C ends it at once.

    Args:
        command: The command and its arguments.

    Returns:
        Its exit code; 130 after Ctrl-C.
    """
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # not every Ctrl-C reaches all processes
            try:
                process.wait()
            except KeyboardInterrupt:
                process.kill()
            return 130


def _encoder(donor: str | None) -> str:
    return "an encoder of its own" if donor is None else f"the encoder {donor} of a checkpoint"


def _is_unknown(variant: str) -> bool:
    try:
        methods_of(variant)
    except KeyError:
        return True
    return False


def _train(
    training: Training,
    options: argparse.Namespace,
    chosen: list[str],
    dataset: Path,
    donors: dict[int, Path],
    shared: str | None,
) -> int:
    """Run one training unless its checkpoint exists; copy the checkpoint when it is complete.

    Raises CheckpointError if it exists and has another encoder than the checkpoint that all shall
    have (its hash, or None).
    """
    name = "_".join(filter(None, [options.task, options.label, training.variant]))
    name = f"{name}_s{training.seed}"
    run = options.out / "runs" / name
    final = options.out / f"{name}.safetensors"
    own = options.representation_seed is None
    donor = donors.setdefault(training.seed if own else options.representation_seed, run)
    if final.exists():
        origin = read_metadata(final)["provenance"].get("representation", {})
        if (found := origin.get("hash")) != shared:
            raise CheckpointError(
                f"{final} already exists, with {_encoder(found)}; here, {_encoder(shared)} is "
                "wanted. Remove it or choose another --out"
            )
        print(f"{final} already exists")
        return 0
    command = [sys.executable, "-m", "wm_mpc.cli.train", *chosen, "--dataset", str(dataset)]
    command += ["--run", str(run), "--seed", str(training.seed), "--workers", options.workers]
    command += ["--synthesis", ",".join(methods_of(training.variant)) or "none"]
    command += ["--episodes", str(training.episodes), "--precision", options.precision]
    if not own:
        command += ["--representation-seed", str(options.representation_seed)]
    if donor != run:
        command += ["--representation", str(donor)]
    print(f"[ablate] {name}: {training.episodes} recorded episodes", flush=True)
    code = run_to_end(command)
    if code == 0:
        with replacing(final) as temporary:
            shutil.copyfile(run / f"{options.task}.safetensors", temporary)
    return code


if __name__ == "__main__":
    sys.exit(main())
