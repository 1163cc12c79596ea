"""Section `repeat`: check that plans with the same seed are the same in every run.

Every planner makes its plans twice in this process and once in another one; all must be the same
to the last bit. The digests are kept, so that runs can also be compared.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from typing import Any

import torch

from wm_mpc.experiments.speed.workbench import Driver, Options, Workbench

_PLANS = 2


def measure(bench: Workbench) -> dict[str, Any]:
    """Measure one row for each task, planner and back end.

    Args:
        bench: The workbench.
    """
    first, second = digests(bench.options), digests(bench.options)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        third = pool.apply(digests, (bench.options,))
    rows = [
        {
            "task": task,
            "planner": planner,
            "backend": backend,
            "digest": digest,
            "same_again": digest == second[task, planner, backend],
            "same_in_another_process": digest == third[task, planner, backend],
        }
        for (task, planner, backend), digest in first.items()
    ]
    return {"rows": rows}


def digests(options: Options) -> dict[tuple[str, str, str], str]:
    """Return the SHA-256 of the actions of some plans.

    Args:
        options: Options of the benchmark.

    Returns:
        Digests by task, planner and back end.
    """
    torch.set_num_threads(options.threads)
    bench = Workbench(options)
    found = {}
    for task in bench.tasks:
        model, settings, cases = bench.model(task), bench.settings(task), bench.cases(task, 2)
        for name in options.planners:
            for backend in bench.backends(model):
                driver = Driver(
                    model, bench.planner(task, name, backend=backend), settings, cases,
                    seed=options.seed,
                )  # fmt: skip
                digest = hashlib.sha256()
                for number in range(_PLANS):
                    digest.update(driver.following(number).actions.tobytes())
                found[task, name, backend] = digest.hexdigest()
    return found
