"""Hours of ordinary work: real nodes in real time, goals that change, parameters that are tuned;
does anything grow, or get lost?
"""

from __future__ import annotations

import dataclasses
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wm_mpc.experiments.common.settings import task_parameter_file
from wm_mpc.experiments.faults.rig import Rig, RigError
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.resources import resolve_checkpoint

MEMORY = 0.01  # growth of resident memory after warm-up that passes
MISSED = 0.001  # share of periods without a plan that passes
_WARM_UP = 1.0 / 6.0  # of the time
_SAMPLE = 10.0  # s
_TUNE, _GOAL = 3.0, 20.0  # s between two settings, and two goals wanted before their time
# Settings that fit into a period, whatever the task: tuned at random, one at a time.
_TUNED: dict[str, tuple[Any, ...]] = {
    "planner.type": ("adam", "gd", "cem_gd"),
    "planner.horizon": (3, 4, 5),
    "planner.iterations": (3, 5, 8, 15),
    "planner.restarts": (4, 6, 8),
    "planner.samples": (48, 64, 96),
    "planner.learning_rate": (0.2, 0.3),
    "cost.discount": (0.7, 0.8, 0.9),
    "cost.action_weight": (0.0, 0.01, 0.02),
    "cost.mode": ("all", "last"),
    "planner.init": ("warm", "zero", "randn", "learned"),
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """Of both nodes at a time (s since the start). memory: resident, bytes; by node, as descriptors
    and threads."""

    seconds: float
    memory: dict[str, int]
    descriptors: dict[str, int]
    threads: dict[str, int]
    plans: int
    overruns: int
    holds: int


def sample(pids: dict[str, int], seconds: float, status: MpcStatus) -> Sample:
    """status: of the node mpc."""
    memory, descriptors, threads = {}, {}, {}
    for name, pid in pids.items():
        folder = Path(f"/proc/{pid}")
        pages = int((folder / "statm").read_text().split()[1])
        memory[name] = pages * os.sysconf("SC_PAGE_SIZE")
        descriptors[name] = len(list((folder / "fd").iterdir()))
        threads[name] = len(list((folder / "task").iterdir()))
    counts = status.plans, status.overruns, status.holds
    return Sample(seconds, memory, descriptors, threads, *counts)


def soak(
    task: str, minutes: float, domain: int, log: Path, *, seed: int = 0,
    tell: Callable[[str], object] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Samples and verdicts. Raises RigError when the nodes do not work, or end."""
    rng, samples = random.Random(seed), list[Sample]()
    settings = goals = 0
    parameters = task_parameter_file(task)
    with Rig(resolve_checkpoint(task), domain, log, task=task, parameters=parameters) as rig:
        if rig.wait_until_steady() is None:
            raise RigError(f"the nodes do not begin to plan ({rig.status.sentence}); see {log}")
        began = time.monotonic()
        tuned = wanted = shown = began
        while (passed := time.monotonic() - began) < 60.0 * minutes:
            if died := rig.crashed():
                raise RigError(f"{'; '.join(died)}; see {log}")
            now = time.monotonic()
            if now - tuned > _TUNE:
                tuned, name = now, rng.choice(list(_TUNED))
                settings += rig.asker.set_parameters({name: rng.choice(_TUNED[name])})
            if now - wanted > _GOAL:
                wanted = now
                goals += rig.asker.trigger("sim/new_goal") is not None
            if passed >= _SAMPLE * len(samples):
                samples.append(sample(rig.pids(), passed, rig.status))
            if now - shown > 60.0:
                shown = now
                last = samples[-1]
                used = ", ".join(f"{n} {m / 2**20:.1f} MiB" for n, m in last.memory.items())
                tell(f"{passed / 60:.0f} min: {used}, {last.plans} plans, {last.overruns} missed")
            time.sleep(0.05)
        rig.wait_for(lambda: False, 1.5)  # the last diagnostics
        samples.append(sample(rig.pids(), time.monotonic() - began, rig.status))
    verdict = judge(samples)
    return {
        "task": task,
        "minutes": minutes,
        "seed": seed,
        "settings": settings,
        "goals": goals,
        **verdict,
        "samples": [dataclasses.asdict(entry) for entry in samples],
    }


def judge(samples: list[Sample]) -> dict[str, Any]:
    """memory_growth: by node, of a straight line through all samples after the warm-up, over the
    first of them; missed: share of periods without a plan of their own, after the warm-up, too.
    holds: whether both pass, and neither descriptors nor threads grew."""
    begin = _WARM_UP * samples[-1].seconds
    later = [entry for entry in samples if entry.seconds >= begin]
    times = np.array([entry.seconds for entry in later])
    growth = {}
    for name in later[0].memory:
        used = np.array([entry.memory[name] for entry in later], float)
        slope = np.polyfit(times, used, 1)[0] if len(later) > 1 else 0.0
        growth[name] = float(slope * (times[-1] - times[0]) / used[0])
    plans, missed = (
        getattr(later[-1], key) - getattr(later[0], key) for key in ("plans", "overruns")
    )
    share = missed / max(1, plans + missed)
    added = {
        f"{name} {what}": getattr(later[-1], what)[name] - getattr(later[0], what)[name]
        for name in later[0].memory
        for what in ("descriptors", "threads")
    }
    passes = max(growth.values()) < MEMORY and share < MISSED and plans > 0
    return {
        "memory_growth": growth,
        "plans": plans,
        "missed_periods": missed,
        "missed_share": share,
        "added": added,
        "holds": passes and max(added.values()) <= 2,
    }
