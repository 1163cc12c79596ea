"""`ros2 run wm_mpc soak`: check that nothing grows or gets lost while a robot works for a long
time."""

from __future__ import annotations

import argparse
import json
import sys
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
from wm_mpc.sim.tasks import TASKS

DESCRIPTION = """\
Run simulation and controller in real time. The goal changes when it is reached and every 20 s. A
random planner parameter changes every 3 s, so that a plan still fits into a period. The run counts
memory, descriptors, threads and missed periods. It passes if, after a sixth of the time, resident
memory grows by less than 1 % and less than 0.1 % of the periods are missed. Saves results.json,
results.md, results.html and results.png in --out.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="soak", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--task", default="push_t", choices=sorted(TASKS), help="default: %(default)s")
    add("--minutes", type=float, default=30.0, help="how long to run; default: %(default)s")
    add("--seed", type=seed, default=0, help="seed of goals and parameters; default: 0")
    add("--ros-domain", type=seed, metavar="N", help="ROS domain; default: a free one")
    add("--out", type=Path, default=Path("runs/soak"), metavar="DIR",
        help="where results go; default: %(default)s")  # fmt: skip
    return parser


@one_interrupt()
def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; None: that of the process.

    Returns:
        Exit code.
    """
    from wm_mpc.experiments.faults.rig import RigError  # rclpy, which --help does not need
    from wm_mpc.experiments.faults.soak import soak

    options = parser().parse_args(arguments)
    if not options.minutes > 0.0:
        print(f"soak: --minutes is {options.minutes}; it must be above 0", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with free_domain(options.ros_domain) as domain:
            found = soak(
                options.task, options.minutes, domain.number, options.out / "logs",
                seed=options.seed, tell=lambda text: print(text, flush=True),
            )  # fmt: skip
    except (CheckpointError, LaunchError, RigError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsoak: interrupted", file=sys.stderr)
        return 130
    results = {
        "command": recorded_command("soak", arguments),
        "date": today(),
        "code": code_version(),
        "machine": describe_machine(),
        **found,
    }
    write(options.out / "results.json", json.dumps(results, indent=2) + "\n")
    write(options.out / "results.md", markdown(results) + "\n")
    draw(results, options.out / "results.png")
    save_page(report(results), options.out / "results.html", options.out / "results.png")
    print(markdown(results))
    return 0 if results["holds"] else 1


def report(results: Mapping[str, Any]) -> Report:
    """Return the results as the report of an HTML page."""
    caption = "Resident memory of the nodes and missed periods over time"
    holds = (bool(results["holds"]),)
    return Report("Soak", markdown(results), results, holds=holds, caption=caption)


def markdown(results: Mapping[str, Any]) -> str:
    """Return the results as a Markdown report."""
    grown = ", ".join(f"{n} {100 * g:+.2f} %" for n, g in results["memory_growth"].items())
    added = ", ".join(f"{name} {count:+d}" for name, count in results["added"].items())
    return "\n".join(
        [
            "# Soak",
            "",
            f"- `{results['command']}`, {results['date']}, code {results['code']}",
            f"- {results['minutes']:g} minutes of {results['task']} in real time, "
            f"{results['settings']} settings, {results['goals']} new goals in addition to those "
            "reached",
            "",
            "| after a sixth of the time | wanted | measured |",
            "|---|---|---|",
            f"| growth of resident memory | below 1 % | {grown} |",
            f"| missed periods | below 0.1 % | {results['missed_periods']} of "
            f"{results['plans'] + results['missed_periods']} "
            f"({100 * results['missed_share']:.3f} %) |",
            f"| more descriptors and threads | at most 2 | {added} |",
            "",
            "Passed." if results["holds"] else "**Not passed.**",
        ]
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw memory and missed periods over time.

    Args:
        results: Results of the run.
        path: PNG file to write.
    """
    import matplotlib.pyplot as plt

    figure, (memory, missed) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    minutes = [entry["seconds"] / 60.0 for entry in results["samples"]]
    for name in results["memory_growth"]:
        used = [entry["memory"][name] / 2**20 for entry in results["samples"]]
        memory.plot(minutes, used, label=name)
    memory.set(xlabel="minutes", ylabel="resident memory, MiB", ylim=(0, None))
    memory.legend()
    missed.plot(minutes, [entry["overruns"] for entry in results["samples"]])
    missed.set(xlabel="minutes", ylabel="missed periods")
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
