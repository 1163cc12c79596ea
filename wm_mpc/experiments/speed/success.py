"""Section `success`: success against plan time, so that planners can be compared at equal time.

Every planner runs in several sizes on the same held-out episodes in closed loop, with the code and
the journal of `evaluate`. An interrupted section continues at the next episode.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from wm_mpc.experiments.common.journal import Journal, JournalError
from wm_mpc.experiments.common.protocol import Benchmark, Cell, Record, run_jobs
from wm_mpc.experiments.common.settings import Settings
from wm_mpc.experiments.common.statistics import wilson_interval
from wm_mpc.experiments.speed.measuring import milliseconds
from wm_mpc.experiments.speed.workbench import BY_GRADIENT, WITH_RESTARTS, Workbench
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.tasks import make_task

WANTED = ("push_t", "maze")  # tasks to measure, if their models exist
# Changes of a task's planner, from small to large; no change: as shipped, or as the reference.
# Planners that are not listed run as shipped.
SIZES: dict[str, tuple[dict[str, int], ...]] = {
    "adam": (
        {"restarts": 1, "samples": 8, "elites": 1, "iterations": 5},
        {"restarts": 4, "samples": 32, "iterations": 8, "wide_samples": 0},
        {},
        {"restarts": 16, "samples": 512, "iterations": 30, "wide_samples": 0},
        {"restarts": 32, "samples": 1024, "iterations": 60, "wide_samples": 0},
    ),
    "cem": (
        {"samples": 32, "elites": 4, "iterations": 3},
        {"samples": 64, "elites": 8, "iterations": 10},
        {"samples": 150, "elites": 15, "iterations": 15},
        {},
    ),
    "mppi": (
        {"samples": 32, "iterations": 3, "elites": 30},
        {},
        {"iterations": 30},
    ),
}
_QUICK = {"adam": (0, 2, 3), "cem": (0, 1, 3), "mppi": (1,)}  # numbers of sizes


def tasks_of(bench: Workbench) -> list[str]:
    """Return those of `WANTED` that are measured; all measured tasks if there are none.

    Args:
        bench: The workbench.
    """
    return [task for task in WANTED if task in bench.tasks] or bench.tasks


def sizes_of(bench: Workbench, task: str) -> dict[str, PlannerConfig]:
    """Return the sizes of all planners.

    Args:
        bench: The workbench.
        task: Name of the task.

    Returns:
        Settings by name, such as "adam 8 of 128 x 15" (starts of first plans x iterations) and
        "cem 300 x 30" (samples x iterations).
    """
    named = {}
    for kind in bench.options.planners:
        sizes = SIZES.get(kind, ({},))
        numbers = _QUICK.get(kind, ()) if bench.options.quick else range(len(sizes))
        for number in numbers:
            config = bench.planner(task, kind, **sizes[number])
            config = dataclasses.replace(config, backend=bench.fastest(bench.model(task)))
            width = str(config.samples)
            if kind in WITH_RESTARTS:
                width = f"{config.restarts} of {config.samples}"
            named[f"{kind} {width} x {config.iterations}"] = config
    return named


def measure(bench: Workbench, folder: Path | None, progress: Callable[[str], object]) -> Any:
    """Measure one row for each task and size.

    Args:
        bench: The workbench.
        folder: Folder of the journals; None: keep them in memory.
        progress: Receives progress as text.
    """
    tasks = tasks_of(bench)
    rows = [row for task in tasks for row in _rows(bench, task, folder, progress)]
    return {
        "tasks": tasks,
        "not_shipped": [task for task in WANTED if task not in bench.tasks],
        "replan": "every model step",
        "rows": rows,
        "at_equal_time": at_equal_time(rows),
    }


def _rows(
    bench: Workbench, task: str, folder: Path | None, progress: Callable[[str], object]
) -> list[dict[str, Any]]:
    episodes = bench.quick_share(10) if bench.options.quick else 50
    benchmark = _benchmark(bench, task)
    path = None if folder is None else folder / f"{task}.jsonl"
    journal = _journal(path, benchmark)
    cells = benchmark.cells()
    jobs = [
        (number, [cell for cell in cells if (cell, number) not in journal.records])
        for number in range(episodes)
    ]
    for record in run_jobs(benchmark, [job for job in jobs if job[1]]):
        journal.add(record)
        if record.cell == cells[-1]:
            progress(f"success: {task}, episode {record.episode + 1} of {episodes}")
    return [
        _row(task, cell, benchmark.settings.planners[cell.planner], journal.of(cell, episodes))
        for cell in cells
    ]


def _benchmark(bench: Workbench, task: str) -> Benchmark:
    planners = sizes_of(bench, task)
    simulated = make_task(task)
    return Benchmark(
        task=task,
        goals=simulated.goal_kinds[0],
        checkpoints=(bench.options.checkpoints[task],),
        settings=Settings(planners, bench.settings(task).objective),
        planners=tuple(planners),
        loops=("closed",),
        seed=bench.options.seed,
        replan=simulated.spec.frame_skip,
        threads=bench.options.threads,
    )


def _journal(path: Path | None, benchmark: Benchmark) -> Journal:
    """The journal of the same episodes; one of other episodes is deleted."""
    identity = benchmark.identity()
    with contextlib.suppress(JournalError):
        return Journal(path, identity, {})
    assert path is not None
    path.unlink()
    return Journal(path, identity, {})


def _row(task: str, cell: Cell, config: PlannerConfig, records: Sequence[Record]) -> dict[str, Any]:
    successes = sum(record.success for record in records)
    low, high = wilson_interval(successes, len(records))
    times = [time / 1e3 for record in records for time in record.plan_ms]
    return {
        "task": task,
        "planner": cell.planner,
        "type": config.type,
        "episodes": len(records),
        "success_rate": round(successes / len(records), 4),
        "ci95": [round(low, 4), round(high, 4)],
        "plan_ms": milliseconds(times),
    }


def at_equal_time(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare sampling planners with gradient planners at equal time.

    For each size of a sampling planner, the slowest gradient planner that takes no more time is
    chosen, or None. The choice uses only the time, because the best of many would win by chance.
    Planners that both sample and descend are left out.

    Args:
        rows: Rows of `measure`.
    """
    rows = [row for row in rows if row["type"] not in BY_GRADIENT or row["type"] in WITH_RESTARTS]
    found = []
    for row in rows:
        if row["type"] in WITH_RESTARTS:
            continue
        rivals = [
            other
            for other in rows
            if other["task"] == row["task"]
            and other["type"] in WITH_RESTARTS
            and other["plan_ms"]["p50"] <= row["plan_ms"]["p50"]
        ]
        rival = max(rivals, key=lambda other: other["plan_ms"]["p50"], default=None)
        found.append(
            {
                "task": row["task"],
                "plan_ms": row["plan_ms"]["p50"],
                "sampling": row["planner"],
                "sampling_success_rate": row["success_rate"],
                "gradient": None if rival is None else rival["planner"],
                "gradient_plan_ms": None if rival is None else rival["plan_ms"]["p50"],
                "gradient_success_rate": None if rival is None else rival["success_rate"],
            }
        )
    return found
