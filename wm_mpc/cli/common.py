"""What the command-line programs share: paths, seeds, versions, argument types."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import wm_mpc


def positive(text: str) -> int:
    """An argparse type: an integer above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not above zero")
    return value


def seed(text: str) -> int:
    """An argparse type: an integer, zero or above."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def workers(text: str) -> str:
    """An argparse type: workers as `make_workers` takes them."""
    from wm_mpc.sim.workers import check_workers  # the simulator, which not all programs need

    try:
        return check_workers(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_workers(parser: argparse.ArgumentParser) -> None:
    from wm_mpc.sim.workers import ACCEPTED

    parser.add_argument(
        "--workers",
        type=workers,
        default=str(available_cores()),
        help=f"who runs the simulators: {ACCEPTED}; default: one process per core",
    )


def recorded_command(program: str, arguments: list[str] | None) -> str:
    """A command line as results and checkpoints keep it: absolute paths are cut to their last part,
    since such files are passed on. arguments: those handed to its `main`; None: the command
    line's."""
    given = sys.argv[1:] if arguments is None else arguments
    return " ".join([program, *(_ABSOLUTE.sub(_last_part, text) for text in given)])


_ABSOLUTE = re.compile(r"(?<![^=,])/[^,]*")


def _last_part(match: re.Match[str]) -> str:
    return Path(match[0]).name


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def data_directory(task: str) -> Path:
    return Path("data") / task


def runs_directory(task: str) -> Path:
    return Path("runs") / task


def code_version() -> str:
    """The package version, with the git commit when run from a checkout ("+dirty" if changed)."""
    where = Path(__file__).resolve().parent
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty=+dirty", "--abbrev=12"],
            cwd=where, capture_output=True, text=True, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return wm_mpc.__version__
    commit = result.stdout.strip() if result.returncode == 0 else ""
    return f"{wm_mpc.__version__} {commit}".strip()
