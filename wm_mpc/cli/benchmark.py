"""`ros2 run wm_mpc benchmark`: measure how fast planning is, with all comparisons in one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from wm_mpc.arguments import Parser, positive, seed
from wm_mpc.experiments.common.variants import Checkpoint, check_fits, open_checkpoint
from wm_mpc.experiments.speed.sections import SECTIONS, BenchmarkRun
from wm_mpc.experiments.speed.tables import markdown
from wm_mpc.experiments.speed.workbench import MEASURED_BACKENDS, Options
from wm_mpc.interrupts import one_interrupt
from wm_mpc.model.checkpoint import CheckpointError
from wm_mpc.planning.registry import PLANNERS
from wm_mpc.provenance import code_version, recorded_command
from wm_mpc.resources import checkpoint_folder, resolve_checkpoint
from wm_mpc.sim.tasks import TASKS, make_task

DESCRIPTION = """\
Measure how fast planning is: every planner and back end, planners of other libraries on our
model, the time from an image to the published plan in the real node, and the limit of this
machine. The report says for each claim whether it holds.

Prints the report, and saves results.json, .md, .html and .png in --out. After an
interruption, the same command continues.
"""
EPILOGUE = """\
sections, in this order:
{sections}

Run nothing else during a benchmark. Compared programs take turns, so ratios stay fair on a busy
machine, but p99 values do not. Section `peers` compares with libraries that wm_mpc does not need.
If they are missing, it prints how to install them, and the run continues.

examples:
  ros2 run wm_mpc benchmark --quick                    all sections, within ten minutes
  ros2 run wm_mpc benchmark                            all sections, for numbers to quote
  ros2 run wm_mpc benchmark --sections peers,limit     two of them
  ros2 run wm_mpc benchmark --tasks wall --backends torch
"""


def sections(text: str) -> list[str]:
    """Parse comma-separated sections (an argparse type)."""
    return _known(text, SECTIONS, "section")


def backends(text: str) -> list[str]:
    """Parse comma-separated back ends (an argparse type)."""
    return _known(text, MEASURED_BACKENDS, "back end")


def planners(text: str) -> list[str]:
    """Parse comma-separated planners (an argparse type)."""
    return _known(text, PLANNERS, "planner")


def tasks(text: str) -> list[str]:
    """Parse comma-separated tasks (an argparse type)."""
    return _known(text, sorted(TASKS), "task")


def _known(text: str, known: Iterable[str], what: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    accepted = list(known)
    for name in names:
        if name not in accepted:
            raise argparse.ArgumentTypeError(f"no {what} {name!r}; accepted: {', '.join(accepted)}")
    if not names:
        raise argparse.ArgumentTypeError(f"no {what}; accepted: {', '.join(accepted)}")
    return names


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    listed = "\n".join(f"  {name:9} {text}" for name, text in SECTIONS.items())
    parser = Parser(
        prog="benchmark",
        description=DESCRIPTION,
        epilog=EPILOGUE.format(sections=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="make fewer and shorter measurements, in less than ten minutes",
    )
    add("--sections", type=sections, default=list(SECTIONS), metavar="NAME,...",
        help="sections to measure (see below); default: all")  # fmt: skip
    add(
        "--tasks",
        type=tasks,
        metavar="NAME,...",
        help="tasks to measure; default: all with a shipped world model",
    )
    add(
        "--checkpoint",
        action="append",
        default=[],
        metavar="FILE",
        help="world model to use in place of the shipped one of its task; you may repeat this "
        "option",
    )
    add("--backends", type=backends, default=list(MEASURED_BACKENDS), metavar="NAME,...",
        help=f"back ends that compute plans; default: {','.join(MEASURED_BACKENDS)}")  # fmt: skip
    add(
        "--planners",
        type=planners,
        default=list(PLANNERS),
        metavar="NAME,...",
        help=f"planners in latency, budget, repeat and success; default: {','.join(PLANNERS)}",
    )
    add("--seed", type=seed, default=7, help="seed of problems and planners; default: 7")
    add("--threads", type=positive, default=1, help="threads of the planner; default: 1")
    add(
        "--ros-domain",
        type=seed,
        metavar="N",
        help="ROS domain of the section node; default: a free one",
    )
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="where results go; default: runs/benchmark, or runs/benchmark_quick with --quick",
    )
    add(
        "--fresh",
        action="store_true",
        help="measure everything again and ignore the results in --out",
    )
    return parser


@one_interrupt()
def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code: 0; 1 for an error or a failed claim; 130 after an interruption.
    """
    options = parser().parse_args(arguments)
    out = options.out or Path("runs") / ("benchmark_quick" if options.quick else "benchmark")
    try:
        run = BenchmarkRun(
            Options(
                checkpoints=_checkpoints(options),
                seed=options.seed,
                threads=options.threads,
                backends=tuple(options.backends),
                planners=tuple(options.planners),
                quick=options.quick,
            ),
            out,
            options.sections,
            fresh=options.fresh,
            domain=options.ros_domain,
            command=recorded_command("benchmark", arguments),
            code=code_version(),
            tell=_tell,
        )
        results = run.run()
    except (CheckpointError, ValueError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbenchmark: interrupted; the same command continues", file=sys.stderr)
        return 130
    print(markdown(results))
    print(f"\nSaved in {out}: results.json, results.md, results.html, results.png")
    return 1 if results["failures"] else 0


def _tell(text: str) -> None:
    """Print progress to stderr, because the report on stdout may go to a file."""
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


def _checkpoints(options: argparse.Namespace) -> dict[str, Checkpoint]:
    """The checkpoint of each measured task. Raises CheckpointError."""
    given = [open_checkpoint(resolve_checkpoint(name)) for name in options.checkpoint]
    own = {checkpoint.task: checkpoint for checkpoint in given}
    wanted = options.tasks or list(own) or _shipped()
    for task in own:
        if task not in wanted:
            raise CheckpointError(
                f"{own[task].path} is for task {task!r}; accepted here: {', '.join(wanted)}"
            )
    found = {task: own.get(task) or open_checkpoint(resolve_checkpoint(task)) for task in wanted}
    for task, checkpoint in found.items():
        if task not in TASKS:
            raise CheckpointError(
                f"{checkpoint.path} is for task {task!r}, which has no simulation; accepted: "
                f"{', '.join(sorted(TASKS))}"
            )
        check_fits(checkpoint, make_task(task))
    return found


def _shipped() -> list[str]:
    """Tasks for which a checkpoint of the same name exists."""
    folder = checkpoint_folder()
    tasks = [task for task in TASKS if (folder / f"{task}.safetensors").is_file()]
    if not tasks:
        raise CheckpointError(
            f"{folder} has no world model of a task; accepted: {', '.join(sorted(TASKS))}"
        )
    return tasks


if __name__ == "__main__":
    sys.exit(main())
