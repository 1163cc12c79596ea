"""What results and checkpoints record of how they were made: the command and the code's version."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import wm_mpc


def recorded_command(program: str, arguments: list[str] | None) -> str:
    """A command line as results and checkpoints keep it: absolute paths are cut to their last part,
    since such files are passed on. arguments: those handed to its `main`; None: the command
    line's."""
    given = sys.argv[1:] if arguments is None else arguments
    return " ".join([program, *(_ABSOLUTE.sub(_last_part, text) for text in given)])


def program(command: str) -> str:
    """The name of the program in a recorded command line."""
    return command.partition(" ")[0]


_ABSOLUTE = re.compile(r"(?<![^=,])/[^,]*")


def _last_part(match: re.Match[str]) -> str:
    return Path(match[0]).name


def code_version() -> str:
    """The package version, with the git commit when run from a checkout ("+dirty" if changed)."""
    where = Path(__file__).resolve().parent
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--exclude=*", "--dirty=+dirty", "--abbrev=12"],
            cwd=where, capture_output=True, text=True, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return wm_mpc.__version__
    commit = result.stdout.strip() if result.returncode == 0 else ""
    return f"{wm_mpc.__version__} {commit}".strip()
