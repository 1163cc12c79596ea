"""`ros2 run wm_mpc adapt`: measure how well a model recovers by learning on a changed robot."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wm_mpc.arguments import Parser, positive, seed
from wm_mpc.atomic import write
from wm_mpc.experiments.adaptation.adaptation import adapt
from wm_mpc.experiments.common.machine import describe_machine, today
from wm_mpc.interrupts import one_interrupt
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from wm_mpc.provenance import code_version, recorded_command
from wm_mpc.reports.page import Report, save_page
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.sim.disturbance import Disturbance
from wm_mpc.training.finetune import PARTS, FineTuneConfig, FineTuneError

DESCRIPTION = """\
Disturb a simulated robot, control it with its model, and learn from the recorded episodes as the
node learner does with mode:=live. The same episodes measure success before and after. It runs in
one process, without ROS, and saves results.json, .md, .html and the model in --out.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="adapt", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--checkpoint",
        default="wall",
        metavar="FILE",
        help="world model; default: the shipped one of wall",
    )
    add(
        "--friction",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="factor on the friction in task maze; default: 1.0",
    )
    add(
        "--camera",
        type=float,
        default=0.0,
        metavar="M",
        help="distance by which to move the camera; default: 0.0",
    )
    add(
        "--parts",
        choices=PARTS,
        default="dynamics",
        help="parts of the model that learn; default: %(default)s",
    )
    add("--rounds", type=positive, default=2, help="rounds of learning; default: %(default)s")
    add(
        "--drives",
        type=positive,
        default=20,
        help="episodes from which each round learns; default: %(default)s",
    )
    add(
        "--episodes",
        type=positive,
        default=100,
        help="episodes that measure success; default: %(default)s",
    )
    add("--seed", type=seed, default=31, help="seed of the episodes; default: %(default)s")
    add("--out", type=Path, required=True, metavar="DIR", help="where results go")
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
    folder = options.out / "recorded"
    try:
        path = resolve_checkpoint(options.checkpoint)
        model, metadata = load_checkpoint(path, exact=True)
        out = options.out / f"{model.spec.task}.safetensors"
        if out.resolve() == path.resolve():
            raise ValueError(
                f"--out would overwrite {out}, the checkpoint to learn from; choose another --out"
            )
        shutil.rmtree(folder, ignore_errors=True)
        model, found = adapt(
            model, Disturbance(options.friction, options.camera), folder,
            FineTuneConfig(parts=options.parts), rounds=options.rounds, drives=options.drives,
            episodes=options.episodes, seed=options.seed,
            tell=lambda text: print(text, file=sys.stderr, flush=True),
        )  # fmt: skip
    except (CheckpointError, FineTuneError, ValueError) as error:
        print(f"adapt: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nadapt: interrupted; no checkpoint was written", file=sys.stderr)
        return 130
    results = {
        "command": recorded_command("adapt", arguments),
        "date": today(),
        "code": code_version(),
        "machine": describe_machine(),
        **found,
    }
    save_checkpoint(model, out, {**metadata["provenance"], "adapted": results})
    write(options.out / "results.json", json.dumps(results, indent=2) + "\n")
    write(options.out / "results.md", markdown(results) + "\n")
    save_page(report(results), options.out / "results.html")
    print(markdown(results))
    return 0


def report(results: Mapping[str, Any]) -> Report:
    """Return the results as the report of an HTML page."""
    title = f"Learning while running: {results['task']}"
    return Report(title, markdown(results), results)


def markdown(results: Mapping[str, Any]) -> str:
    """Return the results as a Markdown report."""

    def row(name: str, score: dict[str, Any], *rest: str) -> str:
        low, high = (round(100 * bound) for bound in score["ci95"])
        cells = [name, f"{100 * score['rate']:.0f} % of {score['episodes']}", f"{low}-{high} %",
                 f"{score['steps']:.1f}", *(rest or ("-", "-", "-"))]  # fmt: skip
        return f"| {' | '.join(cells)} |"

    usual = dataclasses.asdict(Disturbance())
    changes = {k: v for k, v in results["disturbance"].items() if v != usual.get(k)}
    changed = ", ".join(f"{name} {value:g}" for name, value in changes.items())
    lines = [
        f"# Learning while running: {results['task']}, {changed}",
        "",
        f"- `{results['command']}`, {results['date']}, code {results['code']}",
        "- Held-out error: open loop, relative to predicting no change, before and after",
        "",
        "| model | success | 95 % interval | mean steps | data, s | duration, s | held-out error |",
        "|---|---|---|---|---|---|---|",
        row("shipped, unchanged robot", results["nominal"]),
        row("shipped, disturbed robot", results["disturbed"]),
    ]
    for entry in results["rounds"]:
        taken = "" if entry["accepted"] else " (kept the old model)"
        lines.append(
            row(
                f"after round {entry['round']}{taken}",
                entry,
                f"{0.1 * entry['low_level_steps']:.0f}",
                f"{entry['seconds']:.0f}",
                f"{entry['before']:.3f} to {entry['after']:.3f}",
            )
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
