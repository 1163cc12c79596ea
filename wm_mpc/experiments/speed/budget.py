"""Section `budget`: check that planners keep `time_budget` and still return valid plans.

Every planner gets more iterations than it can make, and its budget stops it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.experiments.speed.measuring import Pace, interleaved, milliseconds
from wm_mpc.experiments.speed.workbench import Case, Driver, Workbench

BUDGETS = (0.01, 0.02, 0.05)  # s
_ENDLESS = 100_000  # iterations


def measure(bench: Workbench) -> dict[str, Any]:
    """Measure one row for each task, planner, back end and budget.

    Args:
        bench: The workbench.
    """
    return {"rows": [row for task in bench.tasks for row in _rows(bench, task)]}


def _rows(bench: Workbench, task: str) -> Iterator[dict[str, Any]]:
    quick = bench.options.quick
    model, settings, cases = bench.model(task), bench.settings(task), bench.cases(task, 4)
    budgets = BUDGETS[:2] if quick else BUDGETS
    drivers = {}
    for budget in budgets:
        for name in bench.options.planners:
            for backend in bench.backends(model):
                config = bench.planner(task, name, backend=backend, iterations=_ENDLESS)
                drivers[name, backend, budget] = Driver(
                    model, config, settings, cases, seed=bench.options.seed, budget=budget
                ).first
    rounds = bench.quick_share(32) if quick else 200
    for (name, backend, budget), plans in interleaved(drivers, Pace(0.0, rounds, rounds)).items():
        faults = {
            fault
            for number, plan in enumerate(plans)
            for fault in _faults(bench, task, cases[number % len(cases)], plan)
        }
        # Of the search, to which the budget applies, and including the work before and after it.
        search = [plan.result.seconds - budget for plan in plans]
        whole = [plan.plan_seconds - budget for plan in plans]
        yield {
            "task": task,
            "planner": name,
            "backend": backend,
            "budget_ms": 1e3 * budget,
            "overrun_ms": milliseconds(search),
            "overrun_with_rest_ms": milliseconds(whole),
            "iterations_median": statistics.median(plan.result.iterations for plan in plans),
            "faults": sorted(faults),
        }


def _faults(bench: Workbench, task: str, case: Case, plan: ControlPlan) -> Iterator[str]:
    """Faults of a plan: not valid, outside the limits, or not as good as it claims."""
    limits = bench.model(task).spec.action
    if not np.isfinite(plan.actions).all():
        yield "not finite"
    if (plan.actions < np.array(limits.low)).any() or (plan.actions > np.array(limits.high)).any():
        yield "outside limits"
    cost = bench.problem(task, case, native=False)
    with torch.no_grad():
        value = float(cost(plan.result.actions[None])[0])
        resting = float(cost(torch.zeros_like(plan.result.actions)[None])[0])
    if abs(value - plan.result.cost) > 1e-3 * max(1.0, abs(value)):
        yield f"costs {value:.4f}, not {plan.result.cost:.4f} as it says"
    if value > resting + 1e-3:
        yield "worse than standing still, its first start"
