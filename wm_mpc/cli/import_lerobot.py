"""`ros2 run wm_mpc import_lerobot`: make a training dataset from a LeRobot dataset."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from wm_mpc.arguments import Parser
from wm_mpc.cli.bars import advancing
from wm_mpc.cli.import_bag import Bar
from wm_mpc.cli.import_options import COMMON, Option, add_groups, names, numbers, settings_of
from wm_mpc.data.bag_config import ONLY_BAGS, RULES, BagConfig, BagConfigError
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.directories import data_directory
from wm_mpc.interrupts import one_interrupt
from wm_mpc.provenance import code_version, program, recorded_command
from wm_mpc.spec import ACTION_KINDS

_DESCRIPTION = """\
Make a dataset from a LeRobot dataset: a local folder of layout v2.0, v2.1 or v3.0. The command
infers every setting that you leave out. It prints what it inferred and what it could not use.

  import_lerobot my_dataset --list             its features, and nothing else
  import_lerobot my_dataset --task my_robot    everything inferred
  train --dataset data/my_robot --synthesis adversarial
"""
_EPILOG = """\
Frames become steps as the messages of a recording do: the latest image, the interpolated state, and
the action of the last frame at each control step. Options override the file.
"""
_INSTALL = "install it: pip install 'wm_mpc[lerobot]', or pip install pyarrow av"


_GROUPS: dict[str, tuple[Option, ...]] = {
    "features; needed only where several fit": (
        ("--image", "image.feature", None, "KEY", "the camera"),
        ("--state", "state.feature", None, "KEY",
         "the measured state; default: observation.state"),
        COMMON["--no-state"],
        ("--action", "action.feature", None, "KEY", "the actions; default: action"),
    ),
    "the robot": (
        ("--control-period", "control_period", float, "S",
         "length of a control step; default: that of a frame"),
        COMMON["--frame-skip"],
        COMMON["--history"],
        COMMON["--image-size"],
        ("--image-range", "image.value_range", numbers, "LOW,HIGH",
         "values that become black and white, for pictures with more than 8 bits"),
        ("--degrees", None, None, None, "the numbers of joints are degrees; they become rad"),
        ("--state-names", "state.names", names, "LIST",
         "entries of the state to use, or a name for each number"),
        COMMON["--state-source"],
        ("--angles", "state.angles", names, "LIST",
         "entries of the state that wrap at +-pi; default: a yaw"),
        ("--action-names", "action.names", names, "LIST",
         "entries of the action to use, or a name for each number"),
        ("--action-kind", "action.kind", ACTION_KINDS, None, "kind of the actions"),
        COMMON["--action-unit"],
        COMMON["--action-low"],
        COMMON["--action-high"],
        COMMON["--action-rate-limit"],
    ),
    "from frames to steps": (
        ("--action-rule", "action.rule", RULES, None,
         "use the action at the start of a step (hold), or the mean over it (integrate); "
         "default: hold"),
        ("--max-gap", None, float, "S",
         "longest time between two frames of an episode; default: 0.5"),
        COMMON["--min-steps"],
        COMMON["--max-steps"],
    ),
}  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="import_lerobot",
        usage="import_lerobot FOLDER [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="the folder that has meta/info.json")
    add("--list", action="store_true", help="only list the features and tasks")
    add("--config", type=Path, metavar="FILE",
        help="settings (YAML) as for import_bag; see config/bag_example.yaml")  # fmt: skip
    add("--dataset", type=Path, metavar="DIR",
        help="where the dataset goes; default: ./data/<task>")  # fmt: skip
    add("--append", action="store_true", help="add episodes to a dataset of the same robot")
    add("--accept-damaged", action="store_true",
        help="use what can be read, even if frames are missing")  # fmt: skip
    add("--task", metavar="NAME", help="name of dataset, run and checkpoint; default: my_robot")
    add("--instruction", metavar="TEXT", help="use only the episodes whose task has this text")
    add_groups(parser, _GROUPS)
    return parser


@one_interrupt()
def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code.
    """
    command = recorded_command("import_lerobot", arguments)
    return run(parser().parse_args(arguments), command, advancing)


def run(options: argparse.Namespace, command: str, bar: Bar) -> int:
    """Run the command with parsed options.

    Args:
        options: Parsed options of `parser`.
        command: Command line that the dataset records.
        bar: Makes the progress bars.

    Returns:
        Exit code.
    """
    name = program(command)  # import_lerobot, or learn
    try:
        from wm_mpc.data.lerobot.info import LeRobotError
        from wm_mpc.data.lerobot.layout import LeRobotFolder
    except ImportError as error:
        print(f"{name}: {error}; {_INSTALL}", file=sys.stderr)
        return 1
    from wm_mpc.data.dataset_lock import writing
    from wm_mpc.data.lerobot.report import found

    try:
        folder = LeRobotFolder(options.folder)
        print(found(folder))
        if options.list:
            return 0
        config = settings_of(options, {"folder", "instruction", "degrees"})
        if unused := config.unused(ONLY_BAGS):
            print(f"WARNING {unused}; only import_bag reads them")
        path = options.dataset or data_directory(config.task)
        with writing(path, name):
            _import(folder, options, config, path, command, bar)
    except (LeRobotError, BagConfigError, DatasetError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted", file=sys.stderr)
        return 130
    return 0


def _import(
    folder: Any, options: argparse.Namespace, config: BagConfig, path: Path, command: str, bar: Bar
) -> None:
    from wm_mpc.data import import_journal
    from wm_mpc.data.extending import check_extends
    from wm_mpc.data.import_journal import present
    from wm_mpc.data.lerobot.description import describe
    from wm_mpc.data.lerobot.importing import import_episodes
    from wm_mpc.data.lerobot.info import LeRobotError
    from wm_mpc.data.lerobot.report import remarks

    dataset = present(path, append=options.append)
    if dataset is not None:
        check_extends(config, dataset.spec)
    source = describe(folder, config, None if dataset is None else dataset.spec, options.degrees)
    print("\n".join(["inferred", *(f"  {note}" for note in source.notes)]))
    if folder.lost and not options.accept_damaged:
        raise LeRobotError(f"{'; '.join(folder.lost)}. --accept-damaged uses what there is")
    whole, known = {"content": folder.content()}, {"instruction": options.instruction}
    if dataset is not None:
        import_journal.refuse_repeated(dataset, {**whole, "instruction": None})
        import_journal.refuse_repeated(dataset, {**whole, **(known if options.instruction else {})})
    if dataset is None:
        provenance = {"command": command, "code": code_version(), "lerobot": folder.path.name,
                      "pose_names": ()}  # fmt: skip
        dataset = Dataset.create(path, source.spec, provenance)
    with contextlib.ExitStack() as stack:
        stack.enter_context(import_journal.whole_import(dataset))
        first = max(dataset.indices(), default=-1) + 1
        advance = stack.enter_context(bar(None, "import", "frame"))
        outcome = import_episodes(
            folder, source, dataset, config, options.instruction, advance,
            accept_damaged=options.accept_damaged,
        )  # fmt: skip
        if folder.lost and not options.accept_damaged:  # columns of pictures are first read here
            raise LeRobotError(f"{'; '.join(folder.lost)}. --accept-damaged uses what there is")
        entry = {"command": command, "lerobot": folder.path.name, **whole, **known,
                 "frames": outcome.frames, "used": outcome.used,
                 "left_out": dict(outcome.left_out)}  # fmt: skip
        import_journal.enter(dataset, first, entry)
    print(outcome.text(source.spec, damaged=bool(folder.lost)))
    for line in (*remarks(folder), *(f"accepted as it is: {reason}" for reason in folder.lost)):
        print(line)
    print(f"{dataset.path}  task {dataset.spec.task}  episodes {len(dataset)}")


if __name__ == "__main__":
    sys.exit(main())
