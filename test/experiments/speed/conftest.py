"""A workbench small enough for tests: the shipped world model of the wall task."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from wm_mpc.experiments.common.variants import open_checkpoint
from wm_mpc.experiments.speed import workbench
from wm_mpc.experiments.speed.workbench import Options, Workbench
from wm_mpc.resources import resolve_checkpoint

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def options() -> Options:
    checkpoint = open_checkpoint(resolve_checkpoint("wall"))
    return Options({"wall": checkpoint}, planners=("adam", "cem"), quick=True)


class SmallBench(Workbench):
    """Planners of few iterations and samples."""

    def planner(self, task, name=workbench.DEFAULT_PLANNER, **changes):
        small = {"iterations": 2, "restarts": 2, "samples": 8, "elites": 2, "horizon": 3}
        config = dataclasses.replace(self.settings(task).planners[name], **small)
        return dataclasses.replace(config, **changes)


@pytest.fixture(scope="session")
def bench(options) -> Workbench:
    return SmallBench(options)
