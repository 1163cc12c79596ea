"""The command-line option `--workers` of all programs that simulate."""

from __future__ import annotations

import argparse
import os

from wm_mpc.sim.workers import ACCEPTED, check_workers


def workers(text: str) -> str:
    """Read workers as an argparse type; see `make_workers`."""
    try:
        return check_workers(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_workers(parser: argparse._ActionsContainer) -> None:
    """Add the option `--workers` to a parser.

    Args:
        parser: The parser.
    """
    parser.add_argument(
        "--workers",
        type=workers,
        default=str(available_cores()),
        help=f"who runs the simulators: {ACCEPTED}; default: one process per core",
    )


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
