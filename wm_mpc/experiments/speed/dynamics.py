"""What a transformer costs in place of a GRU of the same width, in compiled code and in PyTorch.

All take turns in one process, and processor time counts, so a busy machine does not change the
ratios. `python -m wm_mpc.experiments.speed.dynamics --help`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wm_mpc.arguments import Parser, positive
from wm_mpc.atomic import write
from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.experiments.common.machine import describe_machine, today
from wm_mpc.experiments.common.variants import open_checkpoint
from wm_mpc.experiments.speed.latency import untrained
from wm_mpc.experiments.speed.measuring import Pace, interleaved, milliseconds
from wm_mpc.experiments.speed.workbench import Driver, Options, Workbench
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import why_not_native
from wm_mpc.provenance import code_version
from wm_mpc.resources import resolve_checkpoint

# Dynamics and back end of each contender. The first is what the others are compared with.
CONTENDERS = (("gru", "native"), ("transformer", "native"), ("transformer", "torch"))
PLANNERS = ("adam", "cem")  # one by gradient, and one by costs alone
WANTED = 3.0  # largest time of a compiled transformer, in terms of the GRU
_HIDDEN = (128, 256)
_CASES = 4
_TURNS = 5  # least number of plans of each contender

Row = dict[str, Any]


def measure(task: str, hidden: Sequence[int], seconds: float) -> dict[str, Any]:
    """Measure plan times of untrained models, whose large weights are rounded as when loaded.

    Args:
        task: The task whose robot, planners and problems are used.
        hidden: Widths.
        seconds: Approximate time for each contender, s.

    Returns:
        Sizes, and a row for each width, planner and contender.

    Raises:
        RuntimeError: Plans are not compiled here, so there is nothing to compare.
    """
    bench = Workbench(Options({task: open_checkpoint(resolve_checkpoint(task))}))
    rows = [
        row
        for width in hidden
        for planner in PLANNERS
        for row in _rows(bench, task, width, planner, seconds)
    ]
    shipped = bench.model(task)
    sizes = {name: getattr(shipped.architecture, name) for name in ("layers", "heads", "context")}
    sizes |= {"latent": shipped.latent_size, "block": shipped.spec.block_size}
    return {"task": task, "sizes": {**sizes, "history": shipped.spec.history}, "rows": rows}


def _rows(bench: Workbench, task: str, hidden: int, planner: str, seconds: float) -> list[Row]:
    drivers, works = {}, {}
    for dynamics, backend in CONTENDERS:
        model = untrained(bench.model(task), dynamics, hidden)
        model.dynamics.round_weights()
        reason = why_not_native(model)
        if reason:
            raise RuntimeError(f"plans of {dynamics} with hidden {hidden} run on PyTorch: {reason}")
        config = bench.planner(task, planner, backend=backend)
        driver = Driver(model, config, bench.settings(task), bench.cases(task, _CASES))
        drivers[dynamics, backend] = _timed(driver.following)
        works[dynamics] = products(model)
    found = interleaved(drivers, Pace(seconds, _TURNS, 400))
    spent = {key: np.array([used for _, used in plans]) for key, plans in found.items()}
    first = spent[CONTENDERS[0]]
    rows = []
    for (dynamics, backend), plans in found.items():
        used = spent[dynamics, backend]
        shared = min(len(used), len(first))  # of the same turns
        rows.append(
            {
                "hidden": hidden,
                "planner": planner,
                "horizon": config.horizon,
                "iterations": config.iterations,
                "dynamics": dynamics,
                "backend": backend,
                "plan_ms": milliseconds([p.encode_seconds + p.plan_seconds for p, _ in plans]),
                "processor_ms": milliseconds(used.tolist()),
                "ratio": round(float(np.median(used[:shared] / first[:shared])), 3),
                "products": works[dynamics],
                "products_ratio": round(works[dynamics] / works[CONTENDERS[0][0]], 3),
            }
        )
    return rows


def _timed(plan: Callable[[int], ControlPlan]) -> Callable[[int], tuple[ControlPlan, float]]:
    """The plan, and the processor time of this thread, s."""

    def run(number: int) -> tuple[ControlPlan, float]:
        started = time.thread_time()
        return plan(number), time.thread_time() - started

    return run


def products(model: WorldModel) -> int:
    """Count the multiplications of one predicted model step, those of matrices and of attention.

    Args:
        model: The model; its window is full.
    """
    matrices = sum(
        weight.numel()
        for name, weight in model.named_parameters()
        if name.startswith("dynamics.")
        and weight.ndim == 2
        and not name.startswith("dynamics.initial")
        and "distance" not in name
    )
    sizes = model.architecture
    if sizes.dynamics != "transformer":
        return matrices
    return matrices + 2 * sizes.layers * sizes.context * sizes.hidden  # scores, and what is seen


def report(measured: Mapping[str, Any]) -> str:
    """Write the result as text.

    Args:
        measured: What `measure` returned.
    """
    sizes = ", ".join(f"{name} {value}" for name, value in measured["sizes"].items())
    lines = [f"{measured['task']} ({sizes}); times of the processor, ms"]
    for row in measured["rows"]:
        times = row["processor_ms"]
        line = (
            f"  hidden {row['hidden']}  {row['planner']:5} {row['dynamics']:12} "
            f"{row['backend']:7} p50 {times['p50']:9.2f}  x {row['ratio']:6.2f}  "
            f"products x {row['products_ratio']:.2f}  ({times['count']} plans)"
        )
        if (row["dynamics"], row["backend"]) == CONTENDERS[1]:
            verdict = "holds" if row["ratio"] <= WANTED else "does not hold"
            line += f"; at most x {WANTED:g} is wanted: {verdict}"
        lines.append(line)
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `python -m wm_mpc.experiments.speed.dynamics`; returns the exit code."""
    parser = Parser(
        prog="python -m wm_mpc.experiments.speed.dynamics",
        description="Compare the plan time of a transformer with that of a GRU of the same width, "
        "compiled and in PyTorch. All take turns, and processor time counts.",
    )
    add = parser.add_argument
    add("--task", default="push_t", help="task of the shipped robot; default: push_t")
    add(
        "--hidden",
        type=positive,
        nargs="+",
        default=list(_HIDDEN),
        metavar="N",
        help=f"widths; default: {' '.join(map(str, _HIDDEN))}",
    )
    add("--seconds", type=positive, default=10, help="time for each contender, s; default: 10")
    add("--out", type=Path, metavar="FILE", help="also save the result, as JSON")
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    measured = measure(options.task, options.hidden, options.seconds)
    print(report(measured))
    if options.out is not None:
        about = {"date": today(), "code": code_version(), "machine": describe_machine()}
        text = json.dumps({**about, "threads": 1, **measured}, indent=1)
        write(options.out, f"{text}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
