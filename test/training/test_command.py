"""`train`: the options that pick data, history, a finished representation, and the processor."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from wm_mpc.cli import train
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.training import compute
from wm_mpc.training.compute import Compute
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.one_process import OneProcess
from wm_mpc.training.trainer import Trainer

TINY = """
horizon: 2
representation_updates: 3
representation_batch: 2
embedding_updates: 3
proposals_updates: 3
dynamics_updates: 3
dynamics_batch: 4
threads: 1
synthesis: []
architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 16}
"""


@pytest.fixture
def run(recording, tmp_path, monkeypatch, capsys):
    """Runs `train` with options on the recording; returns the exit code and what it said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.yaml").write_text(TINY)

    def run(*options):
        data = ["--dataset", str(recording.dataset.path), "--workers", "1"]
        code = train.main(["--config", "train.yaml", *data, *options])
        output = capsys.readouterr()
        return code, output.out, output.err.strip().split("\n")[-1]

    return run


@pytest.fixture(scope="module")
def first(recording, tmp_path_factory):
    """The folder of a finished run, for all tests that only read it, and what `train` said."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.yaml").write_text(TINY)
    options = ["--config", str(folder / "train.yaml"), "--dataset", str(recording.dataset.path)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert train.main([*options, "--workers", "1", "--run", str(folder / "first")]) == 0
    return folder / "first", said.getvalue()


def test_metrics_have_the_quality_of_the_gradient(first):
    folder, said = first
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    assert {"open_loop_error", "robot_explained", "gradient_cosine"} <= set(metrics)
    assert "open_loop_error" in said


def test_picture_is_in_tensorboard(first):
    events = EventAccumulator(str(first[0] / "tensorboard")).Reload()
    assert events.Tags()["images"] == ["report"]
    assert events.Tags()["scalars"]


@pytest.mark.slow
def test_history_and_episodes_are_overridden(run):
    assert run("--run", "first", "--history", "2", "--episodes", "2")[0] == 0
    model, metadata = load_checkpoint("first/wall.safetensors")
    assert model.spec.history == 2
    assert metadata["provenance"]["config"]["episodes"] == 2
    assert metadata["provenance"]["data"]["episodes"] == 3


def test_a_dataset_of_another_task_is_refused(run):
    code, _, error = run("--task", "push_t")
    assert code == 1
    assert "is of task wall, and --task is push_t; leave --task out" in error
    assert not Path("runs").exists()


@pytest.mark.slow
def test_representation_is_shared_or_refused_in_one_line(run, first):
    donor = ("--representation", str(first[0]))
    assert run("--run", "second", "--synthesis", "adversarial", *donor)[0] == 0
    model, other = (
        load_checkpoint(folder / "wall.safetensors")[0] for folder in (first[0], Path("second"))
    )
    assert torch.equal(model.encoder.features[-1].weight, other.encoder.features[-1].weight)  # type: ignore[index, union-attr]
    assert not torch.equal(model.dynamics.linear.weight, other.dynamics.linear.weight)  # type: ignore[attr-defined]
    code, _, error = run("--run", "third", "--seed", "4", *donor)
    assert code == 1
    assert error == (
        f"train: the representation of {first[0]} differs from the one this run would train: "
        "settings.seed is 0 there and 4 here; to use it anyway, name the checkpoint of that run"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_processor_that_is_not_there_is_named(run):
    code, _, error = run("--accelerator", "gpu")
    assert code == 1
    assert error.startswith("train: accelerator gpu with devices 1 is not available here")


def test_one_process_learns_what_it_learns_through_lightning_fabric(
    recording, tmp_path, monkeypatch
):
    """Through which it would train on a GPU, or as one of several."""
    assert isinstance(Compute(accelerator="cpu").launch(), OneProcess)
    fabric = compute._through_fabric(Compute(accelerator="cpu"))
    assert not isinstance(fabric, OneProcess)
    monkeypatch.setattr(Compute, "launch", lambda self: OneProcess())
    (tmp_path / "train.yaml").write_text(TINY.replace("[]", "[adversarial]"))
    config = TrainConfig.from_yaml(tmp_path / "train.yaml")
    alone = Trainer(recording, config, tmp_path / "alone")
    alone.run()
    monkeypatch.setattr(Compute, "launch", lambda self: fabric)
    through = Trainer(recording, config, tmp_path / "fabric")
    through.run()
    assert alone.history == through.history
    for name, weight in alone.model.state_dict().items():
        assert torch.equal(weight, through.model.state_dict()[name]), name


def test_help_imports_nothing_slow():
    script = (
        "import sys\nfrom wm_mpc.cli import train\n"
        "try:\n    train.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "slow = {'lightning_fabric', 'matplotlib', 'tensorboard'} & set(sys.modules)\n"
        "sys.exit(str(slow) if slow else 0)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for option in ("--devices", "--accelerator", "--precision", "--nodes", "--representation"):
        assert option in result.stdout
