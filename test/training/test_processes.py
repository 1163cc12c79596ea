"""Training in real processes: killed at any moment, and several of them together."""

from __future__ import annotations

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

from wm_mpc.cli import train

SETTINGS = """
horizon: 2
representation_updates: 30
representation_batch: 4
embedding_updates: 20
proposals_updates: 3
dynamics_updates: 300
dynamics_batch: 16
checkpoint_interval: 0.2
ema: 0.9
threads: 1
random: {count: 20, steps: 2}
online: {every: 90, plans: 4, horizon: 2, restarts: 2, iterations: 2}
architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 32}
"""
INTERVAL = 0.2


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
        command = [sys.executable, "-m", "wm_mpc.cli.train", *options(run), *more]
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
    return sum(torch.load(path, weights_only=True)["done"].values()) if path.exists() else 0


@pytest.mark.slow
def test_run_killed_at_random_moments_ends_like_an_uninterrupted_one(start, options, tmp_path):
    assert train.main(options("whole")) == 0
    wait, kills = random.Random(0), 0
    run = tmp_path / "killed"
    while True:
        before = updates_of(run)
        process = start("killed")
        # Some kills hit the beginning, others what comes after some progress.
        wanted = before + wait.choice([0, 1, 20, 60])
        while process.poll() is None and kills < 3 and updates_of(run) < wanted:
            time.sleep(0.05)
        if process.poll() is not None or kills == 3:
            break
        time.sleep(wait.uniform(0.0, 0.3))
        process.kill()
        process.communicate()
        kills += 1
        assert updates_of(run) >= before
    finish(process)
    assert kills == 3
    whole, killed = (
        load_file(tmp_path / name / "wall.safetensors") for name in ("whole", "killed")
    )
    for name, tensor in whole.items():
        assert torch.equal(killed[name], tensor), name


@pytest.mark.slow
def test_kill_loses_at_most_a_checkpoint_interval(start, tmp_path):
    """While updates are made, the saved state is never older than the interval and an update."""
    process, path = start("run"), tmp_path / "run" / "state.pt"
    ages = []
    while process.poll() is None and len(ages) < 40:
        if 30 <= updates_of(tmp_path / "run") < 340:
            ages.append(time.time() - path.stat().st_mtime)
        time.sleep(0.02)
    assert len(ages) >= 10
    # an online round of 4 plans may lie between two updates, and the machine may be busy
    assert sorted(ages)[len(ages) // 2] < INTERVAL + 0.3
    assert max(ages) < INTERVAL + 3.0


@pytest.mark.slow
def test_two_processes_train_one_model_and_one_writes(start, options, tmp_path):
    (tmp_path / "train.yaml").write_text(SETTINGS.replace("300", "50"))
    out, _ = finish(start("both", "--devices", "2", "--accelerator", "cpu"))
    assert train.main(options("alone")) == 0
    assert out.count("checkpoint  ") == 1
    assert json.loads((tmp_path / "both" / "run.json").read_text())["processes"] == 2
    both, alone = (load_file(tmp_path / name / "wall.safetensors") for name in ("both", "alone"))
    assert both.keys() == alone.keys()
    # the second process's windows count, so the weights are others
    assert not torch.equal(both["dynamics.linear.weight"], alone["dynamics.linear.weight"])
    for name in ("both", "alone"):
        history = torch.load(tmp_path / name / "state.pt", weights_only=True)["history"]
        assert [row["update"] for row in history] == [
            *range(0, 30, 20), 29, 0, 19, 0, 2, *range(0, 50, 20), 49
        ]  # fmt: skip


WORKER = """
import sys, json, hashlib
import numpy as np, torch
from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.training.compute import Compute
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.phases.dynamics import DynamicsPhase
from wm_mpc.training.trainer import Trainer

data, run, config = sys.argv[1:]
drawn = []
original = DynamicsPhase.batch
def batch(self, rng):
    result = original(self, rng)
    drawn.append(result[0][0][1].sum().item())
    return result
DynamicsPhase.batch = batch
compute = Compute("cpu", 2)
fabric = compute.launch()
trainer = Trainer(Recording(Dataset(data)), TrainConfig.from_yaml(config), run, compute=compute)
model = trainer.run()
digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in model.state_dict().values()))
with open(f"{run}/rank{fabric.global_rank}.json", "w") as file:
    json.dump({"weights": digest.hexdigest(), "drawn": drawn, "history": trainer.history}, file)
fabric.barrier()
"""


@pytest.mark.slow
def test_processes_draw_other_windows_and_keep_the_same_weights(brief_recording, tmp_path):
    script, config, run = tmp_path / "worker.py", tmp_path / "train.yaml", tmp_path / "run"
    script.write_text(WORKER)
    config.write_text(SETTINGS.replace("300", "30").replace("30", "10", 1))
    command = [
        sys.executable,
        str(script),
        str(brief_recording.dataset.path),
        str(run),
        str(config),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=150)
    first, second = (json.loads((run / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["weights"] == second["weights"]
    assert len(first["drawn"]) == len(second["drawn"]) == 30
    assert not set(first["drawn"]) & set(second["drawn"])
    assert len(first["history"]) > 0 == len(second["history"])
