"""Section `latency`: plan time against everything that determines it.

It covers every planner on every back end, against horizon, number of restarts or samples, model
size and type of dynamics. One value varies at a time; the others are those of the reference task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.experiments.speed.measuring import Pace, growth, interleaved, milliseconds
from wm_mpc.experiments.speed.workbench import WITH_RESTARTS, Driver, Workbench
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.registry import PlannerConfig

SWEEPS: dict[str, tuple[int, ...]] = {
    "horizon": (1, 2, 3, 5, 7, 10, 14, 20),
    "count": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    "hidden": (64, 128, 256, 512),
}
_QUICK: dict[str, tuple[int, ...]] = {
    "horizon": (1, 5, 10, 20),
    "count": (1, 4, 8, 16, 32, 128, 1024),
    "hidden": (64, 256),
}
DYNAMICS = ("gru", "transformer")
_CASES = 4
# Values over which growth is judged. At shorter horizons, the constant part of the time would hide
# the growth.
_JUDGED = {"horizon": (5, 20), "count": (1, 32)}

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Cell:
    """One row of a sweep."""

    value: int
    dynamics: str
    backend: str
    config: PlannerConfig


def measure(bench: Workbench) -> dict[str, Any]:
    """Measure the rows of all sweeps, and the growth of the search time.

    Args:
        bench: The workbench.
    """
    sweeps = _QUICK if bench.options.quick else SWEEPS
    rows = [row for sweep, values in sweeps.items() for row in _swept(bench, sweep, values)]
    return {"task": bench.reference, "rows": rows, "growth": list(_growths(rows))}


def _swept(bench: Workbench, sweep: str, values: Sequence[int]) -> list[Row]:
    """All values, planners and back ends of a sweep, in turn."""
    quick = bench.options.quick
    drivers = _feasible(bench, _cells(bench, sweep, values), 2.0 if quick else 20.0)
    pace = Pace(0.2, 3, 60, warm_up=0) if quick else Pace(2.0, 6, 200, warm_up=0)
    return [
        {
            "sweep": sweep,
            "value": cell.value,
            "planner": cell.config.type,
            "backend": cell.backend,
            "dynamics": cell.dynamics,
            "horizon": cell.config.horizon,
            "iterations": cell.config.iterations,
            **_times(plans),
        }
        for cell, plans in interleaved(drivers, pace).items()
    ]


def _cells(
    bench: Workbench, sweep: str, values: Sequence[int]
) -> Iterator[tuple[WorldModel, _Cell]]:
    shipped = bench.model(bench.reference)
    for value in values:
        models = [shipped]
        if sweep == "hidden":
            models = [untrained(shipped, dynamics, value) for dynamics in DYNAMICS]
        for model in models:
            for name in bench.options.planners:
                for backend in bench.backends(model):
                    config = bench.planner(bench.reference, name, backend=backend)
                    if sweep == "horizon":
                        config = dataclasses.replace(config, horizon=value)
                    if sweep == "count":
                        config = with_count(config, value)
                    yield model, _Cell(value, model.architecture.dynamics, backend, config)


def _feasible(
    bench: Workbench, cells: Iterable[tuple[WorldModel, _Cell]], longest: float
) -> dict[_Cell, Callable[[int], ControlPlan]]:
    """Warmed-up cells, without those that would take longer than `longest` s if time grew in
    proportion to the value."""
    settings, cases = bench.settings(bench.reference), bench.cases(bench.reference, _CASES)
    before: dict[tuple[str, str, str], tuple[int, float]] = {}
    drivers: dict[_Cell, Callable[[int], ControlPlan]] = {}
    for model, cell in cells:
        kind = (cell.config.type, cell.backend, cell.dynamics)
        value, seconds = before.get(kind, (cell.value, 0.0))
        if seconds * cell.value / value > longest:
            continue
        driver = Driver(model, cell.config, settings, cases, seed=bench.options.seed)
        before[kind] = cell.value, driver.first(0).plan_seconds
        drivers[cell] = driver.following
    return drivers


def with_count(config: PlannerConfig, count: int) -> PlannerConfig:
    """Change the number of restarts, which are then picked from no more first plans, or of
    samples, a tenth of which are elites.

    Args:
        config: Settings of a planner.
        count: Number of restarts or samples.
    """
    config = dataclasses.replace(config, wide_samples=0)
    if config.type in WITH_RESTARTS:
        return dataclasses.replace(config, restarts=count, samples=count, elites=1)
    return dataclasses.replace(
        config, restarts=min(count, config.restarts), samples=count, elites=max(1, count // 10)
    )


def untrained(model: WorldModel, dynamics: str, hidden: int) -> WorldModel:
    """Make another, untrained model of the same robot.

    Args:
        model: The model.
        dynamics: Kind of its dynamics.
        hidden: Width of its dynamics.
    """
    architecture = dataclasses.replace(model.architecture, dynamics=dynamics, hidden=hidden)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return WorldModel(model.spec, architecture).eval().requires_grad_(False)


def _times(plans: Sequence[ControlPlan]) -> Row:
    """`plan`: from observation to actions; `search`: without encoding the observation."""
    return {
        "plan_ms": milliseconds([plan.encode_seconds + plan.plan_seconds for plan in plans]),
        "search_ms": milliseconds([plan.plan_seconds for plan in plans]),
    }


def _growths(rows: Iterable[Row]) -> Iterator[Row]:
    """Exponents of the growth of the search time in the horizon, and in restarts or samples."""
    groups: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
    for row in rows:
        low, high = _JUDGED.get(row["sweep"], (1, 0))
        if low <= row["value"] <= high:
            key = (row["sweep"], row["planner"], row["backend"])
            groups.setdefault(key, []).append((row["value"], row["search_ms"]["p50"]))
    for (sweep, planner, backend), points in groups.items():
        if len(points) < 2:  # the others were too slow to measure
            continue
        sizes, times = zip(*points, strict=True)
        yield {
            "sweep": sweep,
            "planner": planner,
            "backend": backend,
            "from": min(sizes),
            "to": max(sizes),
            "exponent": round(growth(sizes, times), 3),
        }
