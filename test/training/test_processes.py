"""Training in real processes: killed at any moment, and several of them together."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.trainer import Trainer

pytestmark = pytest.mark.live
SETTINGS = """
horizon: 2
representation_updates: 30
representation_batch: 2
embedding_updates: 20
proposals_updates: 3
dynamics_updates: 250
dynamics_batch: 16
checkpoint_interval: 0.2
ema: 0.9
threads: 1
random: {count: 20, steps: 2}
online: {every: 90, plans: 4, horizon: 2, restarts: 2, iterations: 2}
architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 32, proposals: 4}
"""
INTERVAL = 0.2
# `train`, which also fails if it has imported what only GPUs and several processes need: seconds of
# every start, for nothing.
TRAIN = """
import sys
from wm_mpc.cli import train

code = train.main(sys.argv[1:])
needless = {"lightning_fabric", "torch._dynamo", "sympy"} & set(sys.modules)
sys.exit(code or (f"imported: {needless}" if needless else 0))
"""


@pytest.fixture
def options(brief_recording, tmp_path):
    """Makes the options of `train` for a run on the recording."""
    (tmp_path / "train.yaml").write_text(SETTINGS)

    def options(run):
        data = ["--dataset", str(brief_recording.dataset.path), "--workers", "1"]
        return ["--config", str(tmp_path / "train.yaml"), "--run", str(tmp_path / run), *data]

    return options


@pytest.fixture
def start(options):
    """Starts `train` as a process; whatever still runs at the end is killed."""
    processes = []

    def start(run, *more):
        command = [sys.executable, "-c", TRAIN, *options(run), *more]
        processes.append(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        )  # fmt: skip
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


def updates_of(run):
    """Updates in the saved state of a run; 0 before the first."""
    path = run / "state.pt"
    return _updates_in(path, path.stat().st_mtime_ns) if path.exists() else 0


@functools.lru_cache(1)
def _updates_in(path, _):
    """Read once for each time at which the file was written."""
    return sum(torch.load(path, weights_only=True)["done"].values())


@pytest.mark.slow
def test_run_killed_at_random_moments_ends_like_an_uninterrupted_one(
    start, brief_recording, tmp_path
):
    config = TrainConfig.from_yaml(tmp_path / "train.yaml")
    whole = Trainer(brief_recording, config, tmp_path / "whole").run().state_dict()
    wait, kills = random.Random(0), 0
    run = tmp_path / "killed"
    while True:
        before = updates_of(run)
        process = start("killed")
        # Some kills hit the beginning, others what comes after some progress.
        wanted = before + wait.choice([0, 1, 20, 40])
        while process.poll() is None and kills < 3 and updates_of(run) < wanted:
            time.sleep(0.05)
        if process.poll() is not None or kills == 3:
            break
        time.sleep(wait.uniform(0.0, 0.2))
        process.kill()
        process.communicate()
        kills += 1
        assert updates_of(run) >= before
    finish(process)
    assert kills == 3
    killed = load_checkpoint(run / "wall.safetensors", exact=True)[0].state_dict()
    for name, tensor in whole.items():
        assert torch.equal(killed[name], tensor), name


@pytest.mark.slow
def test_kill_loses_at_most_a_checkpoint_interval(start, tmp_path):
    """While updates are made, the saved state is never older than the interval and an update."""
    process, path = start("run"), tmp_path / "run" / "state.pt"
    ages = []
    while process.poll() is None and len(ages) < 40:
        if 30 <= updates_of(tmp_path / "run") < 290:
            ages.append(time.time() - path.stat().st_mtime)
        time.sleep(0.02)
    assert len(ages) >= 10
    # an online round of 4 plans may lie between two updates, and the machine may be busy
    assert sorted(ages)[len(ages) // 2] < INTERVAL + 0.3
    assert max(ages) < INTERVAL + 3.0


# `train` with what its processes drew, and what they had in the end
WORKER = """
import hashlib, json, sys
from wm_mpc.cli import train
from wm_mpc.training.compute import Compute
from wm_mpc.training.phases.dynamics import DynamicsPhase
from wm_mpc.training.trainer import Trainer

drawn, trainers = [], []
original_batch, original_run = DynamicsPhase.batch, Trainer.run
def batch(self, rng):
    result = original_batch(self, rng)
    drawn.append(result[0][0][1].sum().item())
    return result
def run(self):
    trainers.append(self)
    return original_run(self)
DynamicsPhase.batch, Trainer.run = batch, run
folder, *options = sys.argv[1:]
code = train.main([*options, "--accelerator", "cpu", "--devices", "2"])
(trainer,) = trainers
weights = trainer.model.state_dict().values()
digest = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in weights)).hexdigest()
result = {"weights": digest, "drawn": drawn, "history": trainer.history}
with open(f"{folder}/rank{Compute('cpu', 2).launch().global_rank}.json", "w") as file:
    json.dump(result, file)
sys.exit(code)
"""


@pytest.mark.slow
def test_two_processes_train_one_model_and_one_writes(brief_recording, options, tmp_path):
    """Each draws other windows, and both have the same weights."""
    script, config = tmp_path / "worker.py", tmp_path / "train.yaml"
    script.write_text(WORKER)
    config.write_text(SETTINGS.replace("250", "30").replace("30", "10", 1))
    command = [sys.executable, str(script), str(tmp_path), *options("both")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("checkpoint  ") == 1
    assert json.loads((tmp_path / "both" / "run.json").read_text())["processes"] == 2
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["weights"] == second["weights"]
    assert len(first["drawn"]) == len(second["drawn"]) == 30
    assert not set(first["drawn"]) & set(second["drawn"])
    assert len(first["history"]) > 0 == len(second["history"])
    # the second process's windows count, so the weights are others than those of one process
    alone = Trainer(brief_recording, TrainConfig.from_yaml(config), tmp_path / "alone")
    alone.run()
    both = load_file(tmp_path / "both" / "wall.safetensors")
    assert not torch.equal(
        both["dynamics.linear.weight"], alone.model.state_dict()["dynamics.linear.weight"]
    )
    updates = [0, 9, 0, 19, 0, 2, 0, 20, 29]
    assert [row["update"] for row in first["history"]] == updates
    assert [row["update"] for row in alone.history] == updates
