"""`ros2 run wm_mpc export_lerobot`: write a dataset as a LeRobot dataset."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from wm_mpc.arguments import Parser
from wm_mpc.cli.bars import advancing
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.interrupts import one_interrupt

_INSTALL = "install it: pip install 'wm_mpc[lerobot]', or pip install pyarrow av"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="export_lerobot",
        usage="export_lerobot DATASET FOLDER [options]",
        description="Write a dataset as a LeRobot dataset of layout v3.0, with lossless images. "
        "The last row of an episode repeats the action before it; next.done marks it.",
    )
    parser.add_argument(
        "dataset", type=Path, metavar="DATASET", help="a dataset, such as data/wall"
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="the folder to write; it must not exist"
    )
    parser.add_argument(
        "--instruction", metavar="TEXT", help="text of the task; default: the name of the task"
    )
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
    try:
        from wm_mpc.data.lerobot.exporting import LEFT_OUT, export
        from wm_mpc.data.lerobot.info import LeRobotError
    except ImportError as error:
        print(f"export_lerobot: {error}; {_INSTALL}", file=sys.stderr)
        return 1
    left_out: Counter[str] = Counter()
    try:
        dataset = Dataset(options.dataset)
        text = options.instruction or dataset.spec.task
        with advancing(len(dataset), "export", "episode") as advance:
            rows = export(dataset, options.folder, text, advance, left_out)
    except (LeRobotError, DatasetError) as error:
        print(f"export_lerobot: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nexport_lerobot: interrupted; nothing is written", file=sys.stderr)
        return 130
    if left_out:
        parts = ", ".join(f"{text} ({count} episodes)" for text, count in left_out.items())
        needs = "; random and online synthesis need the dataset itself"
        print(f"not exported: {parts}{needs if LEFT_OUT['simulator_states'] in left_out else ''}")
    print(f"{options.folder}  layout v3.0  episodes {len(dataset)}  frames {rows}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
