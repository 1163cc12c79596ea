"""`ros2 run wm_mpc evaluate`: measure success and plan time on held-out episodes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wm_mpc.arguments import Parser, positive, seed, seeds
from wm_mpc.cli.bars import bar
from wm_mpc.cli.evaluate_checks import mistake, warnings
from wm_mpc.data.disturbances import DisturbanceError, describe_kinds, parse_disturbances
from wm_mpc.experiments.common.journal import JournalError
from wm_mpc.experiments.common.policies import EXPERT
from wm_mpc.experiments.common.protocol import LOOPS, WITHOUT_MODEL, Benchmark
from wm_mpc.experiments.common.settings import planner_names, task_settings
from wm_mpc.experiments.common.swm import BUDGET, NAME, OFFSET, SEED
from wm_mpc.experiments.common.variants import (
    Checkpoint,
    check_fits,
    find_checkpoints,
    open_checkpoint,
)
from wm_mpc.experiments.success.evaluation import Evaluation
from wm_mpc.experiments.success.tables import markdown
from wm_mpc.experiments.success.through_ros import LaunchError
from wm_mpc.interrupts import one_interrupt
from wm_mpc.model.checkpoint import CheckpointError
from wm_mpc.provenance import code_version, recorded_command
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.settings.fields import SettingError
from wm_mpc.sim.tasks import TASKS, make_task

DESCRIPTION = """\
Run the same held-out episodes for every variant, planner and loop, in one process and in
lockstep, and report success (with 95 % Wilson intervals) and plan time. No planner sees the true
state or the success test. With --out, the same command continues after an interruption.
"""
EPILOGUE = """\
loops:
  closed  a new plan every --replan control steps, until the goal is reached
  open    one plan from the start, executed to its end
  ros     the real nodes over topics, in lockstep, started by `ros2 launch` (--through-ros runs
          only this loop), with a new plan every control step. The episodes are the same: the
          node sim draws them from the stream "evaluate" (its default is "node").

true_simulator is a ceiling, not a planner: it searches in the simulator itself, by the true state.
So are expert (the environment's own policy, where it has one) and replay (what was done in the
recording, with --protocol swm). random, any action, is the floor.

protocols:
  own   start and goal as the task draws them; no start is at its goal
  swm   as stable-worldmodel evaluates: rows of held-out episodes, drawn by its rule with seed 42;
        the goal is the state --offset control steps later; twice as many steps; success at any.
        A second line leaves out the starts that are at their goals already, if there are some.

disturbances of --disturb, such as none,light:0.8,light:0.9+blur:1 (+: both at once):
  none             pictures as they are, with the guard's image errors
{KINDS}
"""


def names(text: str) -> list[str]:
    """Parse comma-separated names, each once (an argparse type)."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def disturbances(text: str) -> list[str]:
    """Parse comma-separated disturbances (an argparse type)."""
    wanted = names(text)
    try:
        for one in wanted or [text]:
            parse_disturbances(one)
    except DisturbanceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return wanted


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="evaluate",
        description=DESCRIPTION,
        epilog=EPILOGUE.replace("{KINDS}", "\n".join(f"  {line}" for line in describe_kinds())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--task", choices=sorted(TASKS), help="default: the task of the checkpoint, or wall")
    add("--variants", type=names, default=[], metavar="NAME[=FILE],...",
        help="world models to compare: TASK_NAME.safetensors in --checkpoints or among the shipped "
        "ones, or FILE; default: the shipped one of the task")  # fmt: skip
    add("--checkpoint", help="a single world model: a path or the name of a shipped one")
    add(
        "--checkpoints",
        type=Path,
        metavar="DIR",
        help="first folder to search for variants",
    )
    add("--train-seeds", type=seeds, default=[], metavar="0,1,2",
        help="training seeds to pool (TASK_NAME_sSEED.safetensors); default: the file without a "
        "seed in its name, or the lowest seed")  # fmt: skip
    add(
        "--planners",
        type=names,
        default=["adam", "cem"],
        help=f"planners to compare, out of {', '.join(planner_names())}; default: adam,cem",
    )
    add(
        "--loops",
        type=names,
        default=["closed"],
        help=f"loops, out of {', '.join(LOOPS)} (see below); default: closed",
    )
    add("--through-ros", action="store_true", help="the same as --loops ros")
    add("--episodes", type=positive, default=50, help="episodes of each cell; default: 50")
    add("--goals", help="kind of goals; default: the first that the task has")
    add("--protocol", choices=("own", NAME), default="own",
        help="how start states and goals are drawn (see below); default: own")  # fmt: skip
    add("--offset", type=positive, metavar="N",
        help=f"with --protocol {NAME}: control steps from start to goal in the recorded episode; "
        f"default: {OFFSET}")  # fmt: skip
    add(
        "--steps",
        type=positive,
        help=f"control steps after which an episode ends; default: 100, or with --protocol {NAME} "
        f"{BUDGET} times the offset",
    )
    add("--replan", type=positive, default=1, help="control steps between two plans; default: 1")
    add(
        "--open-horizon",
        type=positive,
        metavar="N",
        help="horizon of the plan in the open loop, in model steps; default: that of the planner",
    )
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="planner.NAME or cost.NAME for all planners; overrides config/<task>.yaml",
    )
    add("--disturb", type=disturbances, action="extend", default=[], metavar="NAME:STRENGTH,...",
        help="disturb the live pictures, each of these (see below) in a cell of its own, and "
        "report how far the guard of the node is from holding")  # fmt: skip
    add(
        "--guard",
        action="store_true",
        help="with --disturb: the robot stands still where the node would hold; default: it drives "
        "on, which shows if the hold was needed",
    )
    add("--seed", type=seed,
        help=f"seed of the episodes; default: 7, or {SEED} with --protocol {NAME}")  # fmt: skip
    add("--threads", type=positive, default=1, help="threads of the planner; default: 1")
    add(
        "--workers",
        type=positive,
        default=1,
        help="number of processes; with more than one, plan times are not comparable; default: 1",
    )
    add(
        "--ros-domain",
        type=seed,
        metavar="N",
        help="ROS domain of the loop ros; default: a free one",
    )
    add("--films", type=seed, default=0, metavar="N",
        help="film the first N successes and failures of each cell; default: 0")  # fmt: skip
    add("--out", type=Path, help="folder for the results, films and journal")
    add("--fresh", action="store_true", help="start again and ignore the results in --out")
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
    wrong = mistake(options)
    if wrong:
        print(f"evaluate: {wrong}", file=sys.stderr)
        return 2
    try:
        benchmark = _benchmark(options)
        evaluation = Evaluation(
            benchmark,
            options.episodes,
            out=options.out,
            fresh=options.fresh,
            workers=options.workers,
            ros_domain=options.ros_domain,
            command=recorded_command("evaluate", arguments),
            code=code_version(),
        )
        for line in warnings(options, benchmark, evaluation):
            print(f"evaluate: warning: {line}", file=sys.stderr)
        done = evaluation.done()
        with bar(evaluation.total(), "evaluate", "episode", initial=done) as shown:
            results = evaluation.run(shown.update)
    except (CheckpointError, SettingError, JournalError, LaunchError, ValueError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        again = "the same command continues" if options.out else "use --out to continue later"
        print(f"\nevaluate: interrupted; {again}", file=sys.stderr)
        return 130
    print(markdown(results))
    return 0


def _benchmark(options: argparse.Namespace) -> Benchmark:
    checkpoints = _checkpoints(options)
    task_name = options.task
    task = make_task(task_name)
    for checkpoint in checkpoints:
        check_fits(checkpoint, task)
    goals = options.goals or task.goal_kinds[0]
    if goals not in task.goal_kinds:
        raise ValueError(
            f"task {task_name} draws no goals of kind {goals!r}; accepted: "
            f"{', '.join(task.goal_kinds)}"
        )
    if EXPERT in options.planners and not hasattr(task, "expert"):
        raise ValueError(f"task {task_name} has no {EXPERT}; leave it out of --planners")
    is_swm = options.protocol == NAME
    offset = (options.offset or OFFSET) if is_swm else None
    return Benchmark(
        task=task_name,
        goals=goals,
        checkpoints=tuple(checkpoints),
        settings=task_settings(task_name, options.settings),
        planners=tuple(options.planners),
        loops=tuple(options.loops),
        seed=options.seed if options.seed is not None else SEED if is_swm else 7,
        steps=options.steps or (100 if offset is None else BUDGET * offset),
        replan=options.replan,
        open_horizon=options.open_horizon,
        threads=options.threads,
        films=options.films,
        disturbances=tuple(dict.fromkeys(options.disturb)) or ("",),
        guard=options.guard,
        offset=offset,
        pairs=options.episodes if is_swm else 0,
    )


def _checkpoints(options: argparse.Namespace) -> list[Checkpoint]:
    """The requested checkpoints; sets `options.task` if the user left it out."""
    if options.checkpoint:
        checkpoint = open_checkpoint(resolve_checkpoint(options.checkpoint))
        options.task = options.task or checkpoint.task
        return [checkpoint]
    options.task = options.task or "wall"
    if set(options.planners) <= set(WITHOUT_MODEL) and not options.variants:
        return []
    return find_checkpoints(
        options.task, options.variants, options.train_seeds, options.checkpoints
    )


if __name__ == "__main__":
    sys.exit(main())
