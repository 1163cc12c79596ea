"""`ablate`: variants that differ in their synthesis and in nothing else."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys

import pytest

from wm_mpc.cli import ablate, train
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.synthesis.online import OnlineConfig
from wm_mpc.synthesis.random_rollouts import RandomRolloutConfig
from wm_mpc.training.config import ConfigError, TrainConfig

from ..conftest import wait_until

TINY = """
horizon: 2
representation_updates: 3
representation_batch: 2
embedding_updates: 3
proposals_updates: 3
dynamics_updates: 3
dynamics_batch: 4
threads: 1
architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 16}
"""
CONFIG = TrainConfig(
    dynamics_updates=10,
    random=RandomRolloutConfig(count=3, steps=2),
    online=OnlineConfig(every=4, plans=2, horizon=3),
)


def test_simulator_steps_of_each_method_are_counted():
    assert ablate.simulated_steps(CONFIG, (), 5) == 0
    assert ablate.simulated_steps(CONFIG, ("adversarial",), 5) == 0
    assert ablate.simulated_steps(CONFIG, ("random",), 5) == 3 * 2 * 5
    # rounds at updates 4 and 8, of 2 plans over 3 model steps each
    assert ablate.simulated_steps(CONFIG, ("online",), 5) == 2 * 2 * 3 * 5


def test_what_is_synthesised_is_taken_from_the_recorded_episodes(recording):
    dataset = recording.dataset
    steps = len(dataset.read(dataset.indices()[0]))
    count = steps // dataset.spec.frame_skip  # of one step each: one episode's worth
    config = dataclasses.replace(CONFIG, random=RandomRolloutConfig(count=count, steps=1))
    trainings = ablate.plan_trainings(dataset, config, ["none", "random"], [4, 5])
    available = len(dataset) - 1
    assert [(t.variant, t.seed, t.episodes) for t in trainings] == [
        ("none", 4, available), ("random", 4, available - 1),
        ("none", 5, available), ("random", 5, available - 1),
    ]  # fmt: skip


def test_more_synthesis_than_data_is_refused(recording):
    config = dataclasses.replace(CONFIG, random=RandomRolloutConfig(count=10**6, steps=5))
    with pytest.raises(ConfigError, match="synthesis of variant 'random' takes"):
        ablate.plan_trainings(recording.dataset, config, ["random"], [0])


def test_methods_can_be_combined():
    assert ablate.methods_of("none") == ()
    assert ablate.methods_of("online+adversarial") == ("online", "adversarial")
    assert ablate.methods_of("all") == ("random", "online", "adversarial")


@pytest.mark.parametrize("variant", ["magic", "online+magic", "online+online", "none+online", "+"])
def test_unknown_variant_is_named(variant, capsys):
    assert ablate.main(["--variants", f"none,{variant}"]) == 2
    said = capsys.readouterr().err
    assert f"unknown variants ['{variant}']; known: none, random" in said
    assert "methods with + in between" in said


def test_the_same_methods_in_another_order_are_one_variant(capsys):
    assert ablate.main(["--variants", "online+adversarial,adversarial+online"]) == 2
    assert "two of these variants are the same" in capsys.readouterr().err
    assert ablate.main(["--variants", "all,random+online+adversarial"]) == 2


@pytest.mark.slow
def test_variants_share_an_encoder_and_are_trained_once(
    brief_recording, tmp_path, monkeypatch, capfd
):
    """The first in a process of its own, as all are for a person."""
    monkeypatch.chdir(tmp_path)
    started, in_its_own = [], ablate.run_to_end

    def run(command):
        started.append(command)
        return (in_its_own if len(started) == 1 else in_this_process)(command)

    monkeypatch.setattr(ablate, "run_to_end", run)
    (tmp_path / "tiny.yaml").write_text(TINY)
    arguments = ["--config", "tiny.yaml", "--dataset", str(brief_recording.dataset.path)]
    arguments += ["--variants", "none,adversarial", "--seeds", "3", "--out", "out"]
    arguments += ["--workers", "1"]
    assert ablate.main(arguments) == 0
    assert len(started) == 2
    models = {}
    for variant in ("none", "adversarial"):
        models[variant], metadata = load_checkpoint(
            tmp_path / "out" / f"wall_{variant}_s3.safetensors"
        )
        provenance = metadata["provenance"]
        assert provenance["seed"] == 3
        assert provenance["synthesis"] == ([] if variant == "none" else [variant])
    first, second = (model.state_dict() for model in models.values())
    same = {name.split(".")[0] for name in first if (first[name] == second[name]).all()}
    assert {"encoder", "decoder", "embedding"} <= same
    assert any((first[name] != second[name]).any() for name in first if "dynamics" in name)
    identity = json.loads((tmp_path / "out/runs/wall_adversarial_s3/run.json").read_text())
    assert identity["representation"]
    capfd.readouterr()
    assert ablate.main(arguments) == 0
    assert capfd.readouterr().out.count("already exists") == 2
    assert len(started) == 2


def in_this_process(command):
    """Run a training's command without the start of a process, which takes longer than it."""
    assert command[:3] == [sys.executable, "-m", "wm_mpc.cli.train"]
    return train.main(command[3:])


_SAVES = """
import pathlib, signal, sys, time
try:
    pathlib.Path("started").touch()
    signal.pause()
except KeyboardInterrupt:
    time.sleep(1.0)  # as long as a training may need to write a file that it has begun
    pathlib.Path("ended").touch()
    sys.exit(130)
"""


def test_an_interrupted_training_can_come_to_its_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = "import sys; from wm_mpc.cli import ablate; sys.exit(ablate.run_to_end(sys.argv[1:]))"
    outer = [sys.executable, "-c", script, sys.executable, "-c", _SAVES]
    with subprocess.Popen(outer) as process:
        wait_until((tmp_path / "started").exists, "the child runs")
        process.send_signal(signal.SIGINT)  # to this process alone, as `kill` does
        assert process.wait(30) == 130
    assert (tmp_path / "ended").exists()


@pytest.mark.slow
def test_one_encoder_serves_all_seeds(brief_recording, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ablate, "run_to_end", in_this_process)
    (tmp_path / "tiny.yaml").write_text(TINY)
    arguments = ["--config", "tiny.yaml", "--dataset", str(brief_recording.dataset.path)]
    arguments += ["--variants", "none", "--out", "out", "--workers", "1"]
    (tmp_path / "out").mkdir()
    assert ablate.main([*arguments, "--representation", "out"]) == 2
    assert "also needs --representation-seed, its seed" in capfd.readouterr().err
    assert ablate.main([*arguments, "--representation-seed", "3", "--seeds", "1,2"]) == 0
    donor = ["--representation-seed", "3", "--representation", "out/runs/wall_none_s1"]
    assert ablate.main([*arguments, *donor, "--seeds", "4"]) == 0
    states = [
        load_checkpoint(tmp_path / f"out/wall_none_s{number}.safetensors")[0].state_dict()
        for number in (1, 2, 4)
    ]
    for other in states[1:]:
        same = {name.split(".")[0] for name in other if (other[name] == states[0][name]).all()}
        assert {"encoder", "decoder", "embedding", "proposals"} <= same
        assert any((other[n] != states[0][n]).any() for n in other if "dynamics" in n)


@pytest.mark.slow
def test_encoder_of_a_checkpoint_serves_all_and_is_not_mixed_with_another(
    brief_recording, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ablate, "run_to_end", in_this_process)
    (tmp_path / "tiny.yaml").write_text(TINY)
    arguments = ["--config", "tiny.yaml", "--dataset", str(brief_recording.dataset.path)]
    arguments += ["--variants", "none", "--workers", "1"]
    assert ablate.main([*arguments, "--out", "first"]) == 0
    eyes = ["--representation", "first/wall_none_s0.safetensors", "--out", "out"]
    assert ablate.main([*arguments, *eyes, "--seeds", "1,2"]) == 0
    hashes = {
        load_checkpoint(tmp_path / f"out/wall_none_s{number}.safetensors")[1]["provenance"][
            "representation"
        ]["hash"]
        for number in (1, 2)
    }
    assert len(hashes) == 1
    capfd.readouterr()
    assert ablate.main([*arguments, *eyes, "--seeds", "1"]) == 0
    assert "already exists" in capfd.readouterr().out
    assert ablate.main([*arguments, "--out", "out", "--seeds", "1"]) == 1
    assert "an encoder of its own is wanted" in capfd.readouterr().err
