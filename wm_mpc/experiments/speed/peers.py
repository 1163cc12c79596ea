"""Section `peers`: our planners against those of other libraries, on our model and cost.

Every contender solves the same problems in turn: first observations and goals of held-out
episodes, without an earlier plan. Times are those of the search, without encoding. One cost
function judges all plans.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from wm_mpc.experiments.speed.measuring import Pace, interleaved, milliseconds
from wm_mpc.experiments.speed.peer_solvers import (
    BoundedCost,
    MissingPeerError,
    Solver,
    gradient_solver,
    gradient_solver_starts,
    peer_versions,
    pytorch_mppi,
    sampling_solver,
)
from wm_mpc.experiments.speed.workbench import DEFAULT_PLANNER, Case, Driver, Workbench
from wm_mpc.planning.planner import Planner
from wm_mpc.planning.registry import make_planner

THEIR_STARTS = f"{DEFAULT_PLANNER}, their starts"
LARGER = f"{DEFAULT_PLANNER}, larger"
COMPILED = ", on our compiled cost"  # after the name of another library's solver
# The largest size that fits into a tenth of `CEMSolver`'s time even on our compiled cost, for cases
# with the seeds 11 and 12, which are not the default.
_LARGER_SIZE = {"restarts": 4, "samples": 224, "iterations": 65, "wide_samples": 0}
# The shipped step size is tuned for learned first plans, which are close to the solution. From
# random starts, all use the paper's step size, which is also the best one for `GradientSolver`
# (compared with smaller ones, seed 11).
_FROM_FAR: dict[str, Any] = {"learning_rate": 0.3, "learning_rate_decay": 0.3}
_MPPI_ITERATIONS = 30  # MPPISolver's default
# Search time (s) and plan (horizon, block size) inside [-1, 1].
Solution = tuple[float, Tensor]


@dataclasses.dataclass(frozen=True)
class Contender:
    """A planner in the comparison.

    Attributes:
        name: Name, the same for all tasks.
        library: Its library.
        solve: Solves a case, given its number.
        lowest_seen: Lowest cost among all plans that it looked at for a case; None if only its
            result is known.
    """

    name: str
    library: str
    solve: Callable[[int], Solution]
    lowest_seen: Callable[[int], float] | None = None


def measure(bench: Workbench) -> dict[str, Any]:
    """Measure one row for each task and contender, and list missing libraries.

    Args:
        bench: The workbench.
    """
    rows, missing = [], []
    for task in bench.tasks:
        cases = bench.cases(task, bench.quick_share(12) if bench.options.quick else 24)
        contenders = list(_ours(bench, task, cases))
        for theirs in _THEIRS:
            try:
                contenders += theirs(bench, task, cases)
            except MissingPeerError as error:
                missing.append(str(error))
        rows += _rows(bench, task, cases, contenders)
    return {"versions": peer_versions(), "missing": sorted(set(missing)), "rows": rows}


def _rows(
    bench: Workbench, task: str, cases: Sequence[Case], contenders: Sequence[Contender]
) -> list[dict[str, Any]]:
    # Whole rounds over the cases, so that every contender solves each case.
    rounds = len(cases) * (1 if bench.options.quick else 3)
    solved = interleaved(
        {contender.name: contender.solve for contender in contenders}, Pace(0.0, rounds, rounds)
    )
    judges = [bench.problem(task, case, native=False) for case in cases]
    rows = []
    for contender in contenders:
        outcomes = solved[contender.name]
        with torch.no_grad():
            costs = [
                float(judge(plan[None])[0])
                for judge, (_, plan) in zip(judges, outcomes[: len(cases)], strict=True)
            ]
        row = {
            "task": task,
            "contender": contender.name,
            "library": contender.library,
            "search_ms": milliseconds([seconds for seconds, _ in outcomes]),
            "costs": [round(cost, 5) for cost in costs],
            "cost_mean": round(statistics.fmean(costs), 5),
        }
        if contender.lowest_seen is not None:
            seen = [contender.lowest_seen(number) for number in range(len(cases))]
            row["lowest_seen"] = [round(cost, 5) for cost in seen]
            row["lowest_seen_mean"] = round(statistics.fmean(seen), 5)
        rows.append(row)
    return rows


def _ours(bench: Workbench, task: str, cases: Sequence[Case]) -> Iterator[Contender]:
    """Our contenders: as shipped on every back end; Adam with the largest size in a tenth of
    CEM's time; CEM with the reference's 300 samples, 30 elites and 30 iterations; MPPI with the
    samples and iterations of the others; and Adam from the starts of `GradientSolver`."""
    model, settings = bench.model(task), bench.settings(task)
    for backend in bench.backends(model):
        planners = {
            DEFAULT_PLANNER: bench.planner(task, DEFAULT_PLANNER, backend=backend),
            LARGER: bench.planner(task, DEFAULT_PLANNER, backend=backend, **_LARGER_SIZE),
            "cem": bench.planner(task, "cem", backend=backend),
            "mppi": bench.planner(task, "mppi", backend=backend, iterations=_MPPI_ITERATIONS),
        }
        for name, planner in planners.items():
            driver = Driver(model, planner, settings, cases, seed=bench.options.seed)
            yield Contender(f"{name} ({backend})", "wm_mpc", _driven(driver))
        shipped = bench.planner(task, DEFAULT_PLANNER)
        descent = make_planner(
            dataclasses.replace(shipped, samples=shipped.restarts, elites=1, **_FROM_FAR)
        )
        starts = gradient_solver_starts(
            shipped.restarts, shipped.horizon, model.spec.block_size, bench.options.seed
        )
        yield Contender(
            f"{THEIR_STARTS} ({backend})",
            "wm_mpc",
            _from_starts(bench, task, cases, descent, starts, native=backend == "native"),
        )


def _driven(driver: Driver) -> Callable[[int], Solution]:
    def solve(number: int) -> Solution:
        plan = driver.first(number)
        return plan.plan_seconds, plan.result.actions

    return solve


def _from_starts(
    bench: Workbench,
    task: str,
    cases: Sequence[Case],
    planner: Planner,
    starts: Tensor,
    *,
    native: bool,
) -> Callable[[int], Solution]:
    costs = [bench.problem(task, case, native=native) for case in cases]
    generator = torch.Generator().manual_seed(bench.options.seed)

    def solve(number: int) -> Solution:
        cost = costs[number % len(costs)]
        result = planner.plan(cost, starts, budget=float("inf"), generator=generator)
        return result.seconds, result.actions

    return solve


def _gradient_solvers(bench: Workbench, task: str, cases: Sequence[Case]) -> Iterator[Contender]:
    """Solvers with the iterations, restarts and horizon of our default planner; limits by
    `clamp`, and limits that keep the slope."""
    ours = bench.planner(task, DEFAULT_PLANNER)
    for keeps_gradient in (False, True):

        def make(cost: BoundedCost, horizon: int, block: int) -> Solver:
            return gradient_solver(
                cost, horizon, block, iterations=ours.iterations, restarts=ours.restarts,
                rate=_FROM_FAR["learning_rate"], seed=bench.options.seed,
            )  # fmt: skip

        how = "slope kept at limits" if keeps_gradient else "clamp"
        yield _peer(
            f"GradientSolver, Adam, {how}", "stable-worldmodel", bench, task, cases, make,
            keeps_gradient=keeps_gradient,
        )  # fmt: skip


def _sampling_solvers(bench: Workbench, task: str, cases: Sequence[Case]) -> Iterator[Contender]:
    cem = bench.planner(task, "cem")
    for name in ("CEMSolver", "MPPISolver"):

        def make(cost: BoundedCost, horizon: int, block: int, name: str = name) -> Solver:
            return sampling_solver(
                name, cost, horizon, block, iterations=cem.iterations, samples=cem.samples,
                elites=cem.elites, seed=bench.options.seed,
            )  # fmt: skip

        yield from _by_costs_alone(name, "stable-worldmodel", bench, task, cases, make)


def _pytorch_mppi(bench: Workbench, task: str, cases: Sequence[Case]) -> Iterator[Contender]:
    samples = bench.planner(task, "mppi").samples

    def make(cost: BoundedCost, horizon: int, block: int) -> Solver:
        return pytorch_mppi(
            cost, horizon, block, iterations=_MPPI_ITERATIONS, samples=samples,
            seed=bench.options.seed,
        )  # fmt: skip

    yield from _by_costs_alone("MPPI", "pytorch-mppi", bench, task, cases, make)


def _by_costs_alone(
    name: str, library: str, bench: Workbench, task: str, cases: Sequence[Case], make: Any
) -> Iterator[Contender]:
    """A solver on a PyTorch cost, as its users have it, and on our compiled cost, which suits
    solvers that need no slope."""
    yield _peer(name, library, bench, task, cases, make)
    if "native" in bench.backends(bench.model(task)):
        yield _peer(f"{name}{COMPILED}", library, bench, task, cases, make, native=True)


_THEIRS = (_gradient_solvers, _sampling_solvers, _pytorch_mppi)


def _peer(
    name: str,
    library: str,
    bench: Workbench,
    task: str,
    cases: Sequence[Case],
    make: Callable[[BoundedCost, int, int], Solver],
    *,
    keeps_gradient: bool = False,
    native: bool = False,
) -> Contender:
    """One solver for each case; PyTorch with the fused rollout or machine code computes its
    cost."""
    horizon = bench.planner(task, DEFAULT_PLANNER).horizon
    block = bench.model(task).spec.block_size
    costs = [
        BoundedCost(bench.problem(task, case, native=native), keeps_gradient=keeps_gradient)
        for case in cases
    ]
    solvers = [make(cost, horizon, block) for cost in costs]

    def solve(number: int) -> Solution:
        solver = solvers[number % len(solvers)]
        started = time.perf_counter()
        plan = solver()
        return time.perf_counter() - started, plan

    def lowest_seen(number: int) -> float:
        """Solved once more: to watch takes time, which is not theirs."""
        cost = costs[number]
        cost.best, cost.watches = torch.inf, True
        solvers[number]()
        cost.watches = False
        return cost.best

    return Contender(f"{library} {name}", library, solve, lowest_seen)
