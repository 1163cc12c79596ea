"""`ros2 run wm_mpc collect`: record exploration data of a simulated task."""

from __future__ import annotations

import argparse
import functools
import sys

from wm_mpc.arguments import Parser, positive, seed
from wm_mpc.cli.bars import bar
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.directories import data_directory
from wm_mpc.interrupts import one_interrupt
from wm_mpc.provenance import code_version, recorded_command
from wm_mpc.sim.collection import collect, moving_share
from wm_mpc.sim.engines import engine_of
from wm_mpc.sim.rate import bare_frame_rate
from wm_mpc.sim.task import check_explorer
from wm_mpc.sim.tasks import TASKS, make_task
from wm_mpc.sim.worker_arguments import add_workers
from wm_mpc.sim.workers import JobError, Workers, WorkersError, make_workers

_MEASURED_SECONDS = 0.7  # of the bare engine, before and after collection, for comparison


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="collect",
        description="Record exploration episodes of a simulated task. After an interruption, the "
        "same command continues.",
    )
    parser.add_argument("--task", default="wall", choices=sorted(TASKS), help="default: wall")
    parser.add_argument(
        "--episodes", type=positive, default=1000, help="number of episodes; default: 1000"
    )
    parser.add_argument(
        "--steps", type=positive, default=80, help="control steps of an episode; default: 80"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of the episodes; default: 0")
    parser.add_argument(
        "--explorer", default="", metavar="NAME",
        help="another exploration policy of the task, such as weak for pusht; default: the usual "
        "one",
    )  # fmt: skip
    parser.add_argument("--dataset", help="where the episodes go; default: ./data/<task>")
    add_workers(parser)
    parser.add_argument(
        "--measure-rate", action="store_true",
        help="also measure how fast the bare physics engine is, and compare",
    )  # fmt: skip
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
    path = options.dataset or data_directory(options.task)
    task = make_task(options.task)
    provenance = {
        "command": recorded_command("collect", arguments),
        "seed": options.seed,
        "steps": options.steps,
        "code": code_version(),
        "pose_names": task.pose_names,
        **({"explorer": options.explorer} if options.explorer else {}),
    }
    try:
        check_explorer(task, options.explorer)
    except ValueError as error:
        print(f"collect: {error}", file=sys.stderr)
        return 2
    try:
        dataset = Dataset.create(path, task.spec, provenance)
        recorded_with, wanted = (
            {key: given.get(key) for key in ("seed", "steps", "explorer") if key in given}
            for given in (dataset.provenance, provenance)
        )
        if recorded_with != wanted:
            raise DatasetError(
                f"dataset {path} was recorded with {recorded_with}, which differs from {wanted}; "
                "choose another --dataset"
            )
        result = _collect(dataset, options)
        print(f"{dataset.path}  episodes {len(dataset)}  {result}")
        if task.scene_pose_names:
            print(_motion(dataset, task.scene_pose_names))
    except (DatasetError, WorkersError, JobError) as error:
        print(f"collect: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ncollect: interrupted; the same command continues", file=sys.stderr)
        return 130
    return 0


def _collect(dataset: Dataset, options: argparse.Namespace) -> str:
    """Collect the missing episodes and return what that took, as text."""
    present = len(set(dataset.indices()) & set(range(options.episodes)))
    missing = options.episodes - present
    if not missing:
        return "already complete"
    with (
        make_workers(options.workers) as workers,
        bar(options.episodes, "collect", "episode", initial=present) as shown,
    ):
        at_once = min(missing, workers.count)
        before = _bare_rate(workers, options.task, at_once) if options.measure_rate else 0.0
        seconds = collect(
            dataset,
            episodes=options.episodes,
            steps=options.steps,
            seed=options.seed,
            workers=workers,
            explorer=options.explorer,
            progress=shown.update,
        )
        if not options.measure_rate:
            minutes, rest = divmod(round(seconds), 60)
            return f"{missing} recorded in {minutes}:{rest:02d} minutes"
        # Measured before and after, because the load of the machine changes.
        bare = (before + _bare_rate(workers, options.task, at_once)) / 2
    rate = missing * (options.steps + 1) / seconds
    engine = engine_of(make_task(options.task)).title
    return (
        f"{rate:.0f} frames/s  {rate / at_once:.0f} per core  "
        f"{rate / bare:.2f} of bare {engine} ({bare:.0f} frames/s)"
    )


def _bare_rate(workers: Workers, task: str, at_once: int) -> float:
    """Frames per second of the engine alone, with `at_once` processes."""
    measure = functools.partial(bare_frame_rate, task)
    return sum(workers.map(measure, at_once * [_MEASURED_SECONDS]))


def _motion(dataset: Dataset, names: tuple[str, ...]) -> str:
    """How often the scene moves, because a model learns little from windows without motion."""
    skip = dataset.spec.frame_skip
    shares = {steps: moving_share(dataset, names, steps * skip) for steps in (1, 5)}
    parts = (f"{share:.0%} of windows of {steps} model steps" for steps, share in shares.items())
    return f"the scene moves in {', '.join(parts)}".replace("1 model steps", "1 model step")


if __name__ == "__main__":
    sys.exit(main())
