"""Benchmarks small enough for tests, with the shipped world model of the wall task."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from wm_mpc.experiments.common.protocol import Benchmark, Cell, Record
from wm_mpc.experiments.common.settings import Settings, task_settings
from wm_mpc.experiments.common.variants import Checkpoint, open_checkpoint
from wm_mpc.resources import resolve_checkpoint

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return open_checkpoint(resolve_checkpoint("wall"))


@pytest.fixture(scope="session")
def benchmark(checkpoint) -> Benchmark:
    """Two planners in both loops, fast rather than good."""
    settings = task_settings(
        "wall", ["planner.iterations=2", "planner.samples=20", "planner.elites=5"]
    )
    return Benchmark(
        task="wall", goals="random", checkpoints=(checkpoint,), settings=settings,
        planners=("adam", "cem"), loops=("open", "closed"), seed=7, steps=20,
    )  # fmt: skip


@pytest.fixture(scope="session")
def described() -> Benchmark:
    """Variants `none` and `all` with two training seeds each, that exist on paper only."""
    checkpoints = tuple(
        Checkpoint("wall", variant, seed, Path(f"wall_{variant}_s{seed}"), f"{variant}{seed}", {})
        for variant in ("none", "all")
        for seed in (0, 1)
    )
    settings: Settings = task_settings("wall")
    return Benchmark(
        task="wall", goals="random", checkpoints=checkpoints, settings=settings,
        planners=("adam", "cem"), loops=("open", "closed"), seed=7,
    )  # fmt: skip


def record(cell: Cell, episode: int, success: bool = True, **changes: object) -> Record:
    """A made-up episode: 20 steps, and a plan of 10 ms (CEM: 40 ms) at each."""
    milliseconds = 40.0 if cell.planner == "cem" else 10.0
    made = Record(cell, episode, success, 20, success, {"distance": 0.05}, [milliseconds] * 20)
    return dataclasses.replace(made, **changes)
