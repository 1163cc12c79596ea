"""A small recording of the real simulator."""

from __future__ import annotations

import pytest
import torch

from wm_mpc.data.collection import collect
from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.sim.tasks import make_task

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    task = make_task("wall")
    dataset = Dataset.create(
        tmp_path_factory.mktemp("recording"), task.spec, {"pose_names": task.pose_names}
    )
    collect(dataset, episodes=4, steps=30, seed=0, workers=1)
    return Recording(dataset)
