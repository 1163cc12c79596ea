"""`ros2 run wm_mpc benchmark`: how fast plans are, measured side by side in one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from wm_mpc.arguments import positive, seed
from wm_mpc.experiments.common.variants import Checkpoint, check_fits, open_checkpoint
from wm_mpc.experiments.speed.sections import SECTIONS, BenchmarkRun
from wm_mpc.experiments.speed.tables import markdown
from wm_mpc.experiments.speed.workbench import MEASURED_BACKENDS, Options
from wm_mpc.model.checkpoint import CheckpointError
from wm_mpc.planning.registry import PLANNERS
from wm_mpc.provenance import code_version, recorded_command
from wm_mpc.resources import checkpoint_folder, resolve_checkpoint
from wm_mpc.sim.tasks import TASKS, make_task

DESCRIPTION = """\
Measure how fast plans are, and against what: every planner and back end side by side, other
libraries' planners on our own model, the time from the camera to the published plan in the real
node, and what this machine could do at best. What must hold is judged line by line.

Prints the report, and saves it in --out: results.json, results.md and results.png. An interrupted
benchmark continues when the same command is repeated.
"""
EPILOGUE = """\
sections, in this order:
{sections}

Nothing else should run meanwhile: what is compared runs in turn, so ratios stay fair on a busy
machine, but a p99 does not. Section `peers` compares with libraries that wm_mpc does not need;
without them it says how to install them, and the run goes on.

examples:
  ros2 run wm_mpc benchmark --quick                    all sections, within ten minutes
  ros2 run wm_mpc benchmark                            all sections, for numbers to quote
  ros2 run wm_mpc benchmark --sections peers,limit     two of them
  ros2 run wm_mpc benchmark --tasks wall --backends torch
"""


def sections(text: str) -> list[str]:
    """An argparse type: sections separated by commas."""
    return _known(text, SECTIONS, "section")


def backends(text: str) -> list[str]:
    """An argparse type: back ends separated by commas."""
    return _known(text, MEASURED_BACKENDS, "back end")


def planners(text: str) -> list[str]:
    """An argparse type: planners separated by commas."""
    return _known(text, PLANNERS, "planner")


def tasks(text: str) -> list[str]:
    """An argparse type: tasks separated by commas."""
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
    told = "\n".join(f"  {name:9} {text}" for name, text in SECTIONS.items())
    parser = argparse.ArgumentParser(
        prog="benchmark",
        description=DESCRIPTION,
        epilog=EPILOGUE.format(sections=told),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="fewer and shorter measurements, in less than ten minutes",
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
        help="a world model that replaces the shipped one of its task; you may repeat the option",
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
    add("--fresh", action="store_true", help="measure everything again, whatever --out holds")
    return parser


def main(arguments: list[str] | None = None) -> int:
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
    print(f"\nSaved in {out}: results.json, results.md, results.png")
    return 1 if results["failures"] else 0


def _tell(text: str) -> None:
    """On the other stream than the report, which may go to a file."""
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


def _checkpoints(options: argparse.Namespace) -> dict[str, Checkpoint]:
    """By task; raises CheckpointError."""
    given = [open_checkpoint(resolve_checkpoint(name)) for name in options.checkpoint]
    own = {checkpoint.task: checkpoint for checkpoint in given}
    wanted = options.tasks or list(own) or _shipped()
    for task in own:
        if task not in wanted:
            raise CheckpointError(f"{own[task].path} is of task {task!r}, not of {wanted}")
    found = {task: own.get(task) or open_checkpoint(resolve_checkpoint(task)) for task in wanted}
    for task, checkpoint in found.items():
        if task not in TASKS:
            raise CheckpointError(f"{checkpoint.path} is of task {task!r}, which has no simulation")
        check_fits(checkpoint, make_task(task))
    return found


def _shipped() -> list[str]:
    """Tasks with a world model of their name."""
    folder = checkpoint_folder()
    tasks = [task for task in TASKS if (folder / f"{task}.safetensors").is_file()]
    if not tasks:
        raise CheckpointError(f"no task's world model is in {folder}")
    return tasks


if __name__ == "__main__":
    sys.exit(main())
