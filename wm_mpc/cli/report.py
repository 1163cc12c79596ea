"""`ros2 run wm_mpc report`: write the Markdown and HTML reports of results again."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wm_mpc.arguments import Parser
from wm_mpc.atomic import write
from wm_mpc.cli import adapt, faults, soak
from wm_mpc.experiments.speed import tables as speed
from wm_mpc.experiments.success import tables as success
from wm_mpc.reports.page import Report, save_page
from wm_mpc.training import summary

DESCRIPTION = """\
Write the reports of finished experiments and trainings again, from their results: results.md and
results.html beside results.json, report.md and report.html beside metrics.json. Each HTML page is
one file with all its pictures, for mail and for the browser. The experiments themselves write the
same files.
"""


class Kind(NamedTuple):
    """A kind of results.

    Attributes:
        key: An entry that only these results have.
        report: Makes the report.
    """

    key: str
    report: Callable[[Mapping[str, Any]], Report]


KINDS = {
    "evaluation": Kind("cells", success.report),
    "benchmark": Kind("sections", speed.report),
    "faults": Kind("faults", faults.report),
    "soak": Kind("memory_growth", soak.report),
    "adaptation": Kind("disturbance", adapt.report),
    "training": Kind("metrics", summary.report),
}
# File of the results, then what its reports are called.
_FILES = {"results.json": "results", "metrics.json": "report"}


class ReportError(ValueError):
    """There is no report of a folder; the text says why."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="report", description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="folder with results.json or metrics.json; folders below it count, too",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code: 0; 1 if a report cannot be written.
    """
    options = parser().parse_args(arguments)
    code = 0
    for folder in options.folders:
        found = sorted(path for name in _FILES for path in folder.rglob(name))
        if not found:
            print(f"report: {folder} has no {' or '.join(_FILES)}", file=sys.stderr)
            code = 1
        for path in found:
            try:
                print(f"{path}: {write_reports(path)}")
            except (ReportError, OSError) as error:
                print(f"report: {error}", file=sys.stderr)
                code = 1
    return code


def write_reports(path: Path) -> Path:
    """Write the reports of results beside them.

    Args:
        path: results.json or metrics.json.

    Returns:
        The HTML page.

    Raises:
        ReportError: They cannot be read, or are of no known kind.
        OSError: A file cannot be written.
    """
    report, name = read_report(path), _FILES[path.name]
    write(path.with_name(f"{name}.md"), report.text + "\n")
    save_page(report, path.with_name(f"{name}.html"), path.with_name(f"{name}.png"))
    return path.with_name(f"{name}.html")


def read_report(path: Path) -> Report:
    """Read results.

    Args:
        path: results.json or metrics.json.

    Raises:
        ReportError: They cannot be read, or are of no known kind.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"cannot read {path}: {error}") from None
    if not isinstance(results, dict):
        raise ReportError(f"{path} has no results: it is {type(results).__name__}")
    kind = next((kind for kind in KINDS.values() if kind.key in results), None)
    if kind is None:
        raise ReportError(f"{path} is of no known kind; accepted: {', '.join(KINDS)}")
    try:
        return kind.report(results)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ReportError(f"{path} is from another version, or incomplete ({problem})") from None


if __name__ == "__main__":
    sys.exit(main())
