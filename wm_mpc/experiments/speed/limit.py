"""Section `limit`: compare a plan with the limit of this machine.

The limit is the time that the plan's matrix products alone take, at the rate at which the fastest
library multiplies matrices of these shapes here. PyTorch shows which products a plan makes;
everything else counts as free. Products with few rows mainly read weights. Code that keeps weights
in the cache can beat this limit, but not the limit at the highest rate of all.
"""

from __future__ import annotations

import collections
import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from wm_mpc.experiments.speed.measuring import Pace, interleaved, milliseconds
from wm_mpc.experiments.speed.workbench import DEFAULT_PLANNER, Case, Workbench
from wm_mpc.planning.registry import PlannerConfig, make_planner

PLANNERS = (DEFAULT_PLANNER, "cem")
# Rows, inner size and columns of a product of two matrices.
Shape = tuple[int, int, int]
_LARGE: Shape = (1024, 1024, 1024)  # shows the highest rate
_ENOUGH = 2e6  # operations that are timed together

_aten = torch.ops.aten
_TWO_MATRICES = {  # positions of the two matrices in the arguments of an operation
    _aten.mm.default: 0,
    _aten.addmm.default: 1,
    _aten.bmm.default: 0,
    _aten.baddbmm.default: 1,
}


class ProductCounter(TorchDispatchMode):
    """Counts matrix products by shape within its block; each product of a batch counts."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: collections.Counter[Shape] = collections.Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        place = _TWO_MATRICES.get(func)
        if place is not None:
            left, right = args[place], args[place + 1]
            batch = left.shape[0] if left.dim() == 3 else 1
            self.shapes[left.shape[-2], left.shape[-1], right.shape[-1]] += batch
        return func(*args, **(kwargs or {}))

    def operations(self) -> int:
        """Return the number of floating-point operations: a multiplication and an addition per
        term."""
        return sum(2 * math.prod(shape) * count for shape, count in self.shapes.items())


def measure(bench: Workbench) -> dict[str, Any]:
    """Measure one row for each task and planner: operations, the limit, and real times.

    Args:
        bench: The workbench.
    """
    pace = Pace(0.2, 5, 40) if bench.options.quick else Pace(3.0, 20, 300)
    rows = [_row(bench, task, name, pace) for task in bench.tasks for name in PLANNERS]
    return {"rows": rows}


def _row(bench: Workbench, task: str, name: str, pace: Pace) -> dict[str, Any]:
    case = bench.cases(task, 1)[0]
    config = bench.planner(task, name)
    searches = {
        backend: _search(bench, task, case, config, native=backend == "native")
        for backend in bench.backends(bench.model(task))
    }
    with ProductCounter() as counter:
        _search(bench, task, case, config, native=False)(0)
    products = {
        (shape, library): product
        for shape in (*counter.shapes, _LARGE)
        for library, product in _products(*shape).items()
    }
    # All run in turn, so a processor that slows down also slows the limit.
    contenders: dict[Any, Callable[[int], float]] = {**searches, **products}
    seconds = interleaved(contenders, pace)
    each: dict[Shape, tuple[float, str]] = {}
    for shape, library in products:
        found = min(seconds[shape, library]), library  # the best time, without disturbance
        each[shape] = min(each.get(shape, found), found)
    limit = sum(each[shape][0] * count for shape, count in counter.shapes.items())
    operations = counter.operations()
    highest = max(_rate(shape, found[0]) for shape, found in each.items())
    times = {backend: milliseconds(seconds[backend]) for backend in searches}
    return {
        "task": task,
        "planner": name,
        "operations": operations,
        "products": sum(counter.shapes.values()),
        "shapes": [
            {
                "shape": list(shape),
                "count": count,
                "gflops": round(_rate(shape, each[shape][0]), 2),
                "library": each[shape][1],
            }
            for shape, count in counter.shapes.most_common()
        ],
        "highest_gflops": round(highest, 1),
        "limit_ms": round(1e3 * limit, 4),
        "limit_at_highest_rate_ms": round(operations / highest / 1e6, 4),
        "search_ms": times,
        "times_limit": {
            backend: round(found["p50"] / (1e3 * limit), 2) for backend, found in times.items()
        },
        "times_limit_at_highest_rate": {
            backend: round(found["p50"] / (operations / highest / 1e6), 2)
            for backend, found in times.items()
        },
    }


def _search(
    bench: Workbench, task: str, case: Case, config: PlannerConfig, *, native: bool
) -> Callable[[int], float]:
    """A function that runs the same search each time and returns its duration, s."""
    cost, spec = bench.problem(task, case, native=native), bench.model(task).spec
    generator = torch.Generator().manual_seed(bench.options.seed)
    count = max(config.restarts, config.samples)
    proposals = torch.rand(count, config.horizon, spec.block_size, generator=generator) * 2 - 1
    planner = make_planner(config)

    def search(_: int) -> float:
        random = torch.Generator().manual_seed(bench.options.seed)
        return planner.plan(cost, proposals, budget=math.inf, generator=random).seconds

    return search


def _products(rows: int, inner: int, columns: int) -> dict[str, Callable[[int], float]]:
    """By library, a function that returns the time of one product, s; it runs enough products
    for the clock."""
    left, right = torch.randn(rows, inner), torch.randn(inner, columns)
    out = torch.empty(rows, columns)
    # Not numpy, whose library ignores the number of threads and uses all cores.
    ways: dict[str, Callable[[], object]] = {"torch": lambda: torch.mm(left, right, out=out)}
    # The weights are already in the library's own order.
    with contextlib.suppress(AttributeError, NotImplementedError, RuntimeError):
        operations = torch.ops.mkldnn
        packed = operations._reorder_linear_weight(right.T.contiguous(), rows)
        multiply = operations._linear_pointwise
        with torch.no_grad():
            multiply(left, packed, None, "none", [], "")
        ways["oneDNN"] = lambda: multiply(left, packed, None, "none", [], "")
    repeats = max(1, round(_ENOUGH / (2 * rows * inner * columns)))
    return {name: _timed(way, repeats) for name, way in ways.items()}


def _timed(way: Callable[[], object], repeats: int) -> Callable[[int], float]:
    def run(_: int) -> float:
        with torch.no_grad():
            started = time.perf_counter()
            for _ in range(repeats):
                way()
            return (time.perf_counter() - started) / repeats

    return run


def _rate(shape: Shape, seconds: float) -> float:
    """Rate of a product, 1e9 operations per second."""
    return 2 * math.prod(shape) / seconds / 1e9
