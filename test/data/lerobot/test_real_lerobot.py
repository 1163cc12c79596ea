"""What `export_lerobot` writes, read by the real `lerobot` in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from wm_mpc.cli import export_lerobot
from wm_mpc.data.episodes import Dataset, Episode
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

PYTHON = os.environ.get("LEROBOT_PYTHON", "")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="LEROBOT_PYTHON does not name a Python with lerobot 0.4 or later"
)
READ = """
import sys
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
dataset = LeRobotDataset("a/b", root=sys.argv[1])
rows = [dataset[k] for k in range(len(dataset))]
np.savez(sys.argv[2],
    states=np.stack([r["observation.state"].numpy() for r in rows]),
    actions=np.stack([r["action"].numpy() for r in rows]),
    images=np.stack([r["observation.images.camera"].numpy() for r in rows]),
    episodes=np.array([int(r["episode_index"]) for r in rows]),
    task=np.array(rows[0]["task"]))
"""


def test_the_real_lerobot_reads_equal_arrays(tmp_path: Path):
    spec = RobotSpec(
        "arm",
        ActionSpec(("a", "b"), "position", "rad", (-1.0, -1.0), (1.0, 1.0)),
        StateSpec(("a", "b"), ("rad", "rad"), "joint_states"),
        ImageSpec(20, 24),
        0.1,
        2,
    )
    dataset = Dataset.create(tmp_path / "arm", spec)
    rng = np.random.default_rng(0)
    for number, steps in enumerate((7, 9)):
        images = rng.integers(0, 256, (steps + 1, 20, 24, 3), dtype=np.uint8)
        states = rng.uniform(-1, 1, (steps + 1, 2)).astype(np.float32)
        actions = rng.uniform(-1, 1, (steps, 2)).astype(np.float32)
        dataset.append(number, Episode(images, states, actions))
    written = [str(tmp_path / "arm"), str(tmp_path / "out"), "--instruction", "turn"]
    assert export_lerobot.main(written) == 0
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(
        [PYTHON, "-c", READ, str(tmp_path / "out"), str(tmp_path / "read.npz")],
        check=True, env=environment | {"HF_HUB_OFFLINE": "1"}, timeout=170,
    )  # fmt: skip
    read = np.load(tmp_path / "read.npz")
    episodes = list(dataset)
    assert str(read["task"]) == "turn"
    np.testing.assert_array_equal(read["states"], np.concatenate([e.states for e in episodes]))
    actions = [np.concatenate([e.actions, e.actions[-1:]]) for e in episodes]
    np.testing.assert_array_equal(read["actions"], np.concatenate(actions))
    shown = np.round(read["images"] * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(shown, np.concatenate([e.images for e in episodes]))
    assert np.bincount(read["episodes"]).tolist() == [8, 10]
