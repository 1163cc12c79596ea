"""`ros2 run wm_mpc faults`: inject faults around a running robot and check the reactions."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wm_mpc.arguments import Parser, seed
from wm_mpc.atomic import write
from wm_mpc.experiments.common.machine import describe_machine, today
from wm_mpc.experiments.success.through_ros import LaunchError, free_domain
from wm_mpc.interrupts import one_interrupt
from wm_mpc.model.checkpoint import CheckpointError
from wm_mpc.provenance import code_version, recorded_command
from wm_mpc.reports.page import Report, save_page
from wm_mpc.resources import resolve_checkpoint

DESCRIPTION = """\
Run the real nodes with a velocity-controlled robot and with a position-controlled arm, and inject
faults: in connections, clocks, processes, files, parameters, requests and on the disk. Check that
nothing crashes, no plan leaves the limits, a hold comes in time where one is needed, no commanded
position is far from the arm, and the nodes recover without a restart. Prints one line per fault,
and saves results.json, results.md and results.html in --out. Exits with code 1 if a line fails.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="faults", description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add(
        "--only",
        default="",
        metavar="TEXT",
        help="run only lines with this text in their name; | means or",
    )
    add(
        "--checkpoint",
        default="wall",
        metavar="FILE",
        help="world model of task wall; default: the shipped one",
    )
    add("--ros-domain", type=seed, metavar="N", help="ROS domain; default: a free one")
    add("--out", type=Path, default=Path("runs/faults"), metavar="DIR",
        help="where results go; default: %(default)s")  # fmt: skip
    return parser


@one_interrupt()
def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code: 0; 1 for an error or a failed line; 130 after an interruption.
    """
    from wm_mpc.experiments.faults.judging import names_of_lines, run_table
    from wm_mpc.experiments.faults.rig import RigError  # rclpy, which --help does not need

    options = parser().parse_args(arguments)
    names = [text.strip() for text in options.only.split("|")]
    lines = names_of_lines()
    if unknown := [name for name in names if not any(name in line for line in lines)]:
        print(f"faults: no fault has {unknown[0]!r} in its name; there are:", file=sys.stderr)
        print("".join(f"  {line}\n" for line in lines), end="", file=sys.stderr)
        return 1
    began = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with free_domain(options.ros_domain) as domain:
            outcomes = run_table(
                resolve_checkpoint(options.checkpoint), domain.number, options.out / "logs", _tell,
                lambda name: any(part in name for part in names),
            )  # fmt: skip
    except (CheckpointError, LaunchError, RigError) as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nfaults: interrupted", file=sys.stderr)
        return 130
    results = {
        "command": recorded_command("faults", arguments),
        "date": today(),
        "code": code_version(),
        "machine": describe_machine(),
        "seconds": round(time.monotonic() - began, 1),
        "holds": all(outcome.holds for outcome in outcomes),
        "faults": [outcome.to_dict() for outcome in outcomes],
    }
    write(options.out / "results.json", json.dumps(results, indent=2) + "\n")
    write(options.out / "results.md", markdown(results) + "\n")
    save_page(report(results), options.out / "results.html")
    broken = sum(not outcome.holds for outcome in outcomes)
    print(f"{len(outcomes)} faults, {broken} lines fail; saved in {options.out}")
    return 1 if broken else 0


def _tell(outcome: Any) -> None:
    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f} s"

    problems = "; ".join([*outcome.failures, *outcome.crashes, *outcome.bad_plans])
    print(
        f"{'ok  ' if outcome.holds else 'FAIL'} {outcome.name}: hold {seconds(outcome.hold)}, "
        f"recovery {seconds(outcome.recovery)}; {problems or outcome.happened}", flush=True,
    )  # fmt: skip


def report(results: Mapping[str, Any]) -> Report:
    """Return the results as the report of an HTML page."""
    holds = tuple(row["holds"] for row in results["faults"])
    return Report("Faults", markdown(results), results, holds=holds)


def markdown(results: Mapping[str, Any]) -> str:
    """Return the results as a Markdown report."""
    lines = [
        "# Faults",
        "",
        f"- `{results['command']}`, {results['date']}, code {results['code']}, "
        f"{results['seconds']:.0f} s.",
        "- " + ", ".join(f"{name} {value}" for name, value in results["machine"].items()),
        "- Hold: from the fault to the first empty plan, or until the robot stands still; at most "
        "`observation_timeout` (0.5 s) + one period, unless stated otherwise. Recovery: from "
        "the end of the fault to the next real plan. Hold latency: from the node's decision until "
        "the middleware has delivered the hold to another process; people ask for the holds at "
        "any moment. Rate limit: the largest change "
        "of a commanded position in a control period.",
        "",
        "| fault | must | hold s | recovery s | what happened | holds |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["faults"]:
        seen = "; ".join([*row["failures"], *row["crashes"], *row["bad_plans"]]) or row["happened"]
        cells = [
            row["name"], row["must"], *("-" if row[key] is None else f"{row[key]:.2f}"
                                        for key in ("hold", "recovery")),
            seen.replace("|", "/").replace("\n", " "), "yes" if row["holds"] else "**no**",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
