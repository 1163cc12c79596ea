"""`learn`: from a recording to a checkpoint and a verdict, in one command that can be repeated."""

from __future__ import annotations

import json

import numpy as np
import pytest

from wm_mpc.cli import learn
from wm_mpc.model.checkpoint import load_checkpoint

PERIOD = 0.1
TINY = """
horizon: 2
representation_updates: 3
representation_batch: 2
embedding_updates: 3
proposals_updates: 3
dynamics_updates: 3
dynamics_batch: 4
threads: 1
validation: 0.3
architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 16}
"""


def drive(bags, steps=240, speed=0.3, stamps_late=0.0):
    """A base whose place a bright square shows. stamps_late: its clock is so far behind, s."""
    make, rng, messages, x, v = bags.Make(), np.random.default_rng(0), [], 0.5, 0.0
    for k in range(steps):
        t = 1000.0 + k * PERIOD
        if k % 5 == 0:
            v = float(rng.uniform(-speed, speed))
        pixels = np.full((64, 64, 3), 40, np.uint8)
        left = int(np.clip(x * 56, 0, 56))
        pixels[28:36, left : left + 8] = 220
        messages.append(("/image", t, make.image(t - stamps_late, pixels)))
        messages.append(("/odom", t, make.odometry(t, vx=v, wz=0.0)))
        messages.append(("/cmd_vel", t - 0.001, make.twist(vx=v, wz=v / 2)))
        x = float(np.clip(x + v * PERIOD, 0, 1))
    return messages


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs `learn` in a folder of its own; returns the exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)

    def run(*options):
        code = learn.main(["--train-config", "tiny.yaml", *map(str, options)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


LIMITS = ("--action-low=-0.3,-0.3", "--action-high=0.3,0.3", "--max-steps", "60")


@pytest.mark.slow
def test_a_recording_becomes_a_checkpoint_and_a_verdict_and_the_same_command_goes_on(
    run, bags, tmp_path
):
    bag = bags.write_bag(tmp_path / "bag", drive(bags, stamps_late=4.0))
    code, out, _ = run(bag, "--task", "base", *LIMITS)
    assert code == 0
    model, metadata = load_checkpoint(tmp_path / "runs" / "base" / "base.safetensors")
    assert model.spec.task == "base"
    assert metadata["provenance"]["command"].startswith("learn ")
    assert "POOR  clocks and topics: WARNING the stamps of image" in out
    assert "POOR  length: 0.4 minutes" in out
    page = (tmp_path / "runs" / "base" / "learned.html").read_text()
    assert "import_bag MORE --append --task base --action-low=-0.3,-0.3" in page
    assert "Record about twenty minutes." in page
    assert "The recording is not good enough in" in page
    before = (tmp_path / "data" / "base" / "dataset.json").stat().st_mtime_ns
    code, out, _ = run(bag, "--task", "base", *LIMITS)
    assert code == 0
    assert "already imported" in out
    assert "POOR  clocks and topics" in out
    assert (tmp_path / "data" / "base" / "dataset.json").stat().st_mtime_ns == before


def test_a_recording_of_the_same_name_elsewhere_is_another_one(run, bags, tmp_path):
    (tmp_path / "other").mkdir()
    one, other = (
        bags.write_bag(folder / "bag", drive(bags, steps=100))
        for folder in (tmp_path, tmp_path / "other")
    )
    one_episode = ("--task", "base", *LIMITS[:2])
    code, _, err = run(one, *one_episode)
    assert (code, "learn: " in err) == (1, True)  # too little to train on, but imported
    code, out, err = run(one, *one_episode)
    assert (code, "learn: " in err, "already imported" in out) == (1, True, True)
    code, out, err = run(other, *one_episode)
    assert (code, "use --append" in err, "already imported" in out) == (1, True, False)


def test_the_recording_is_judged_before_the_training(run, bags, tmp_path):
    """One episode cannot be trained on, so all that is printed comes before a training."""
    bag = bags.write_bag(tmp_path / "bag", drive(bags, steps=100, speed=0.1, stamps_late=4.0))
    code, out, err = run(bag, "--task", "base", "--action-low=-0.3,-0.3", "--action-high=0.3,0.3")
    assert code == 1
    assert err.startswith("learn: ")
    assert not (tmp_path / "runs" / "base" / "metrics.json").exists()
    found, named = {}, ""
    for line in out.partition("before the training:\n")[2].splitlines():
        if line.startswith(("good  ", "POOR  ")):
            named = line[6:].partition(":")[0]
            found[named] = [line[:4], ""]
        elif line.startswith("      "):
            found[named][1] = line.strip()
    assert {name: judged for name, (judged, _) in found.items()} == {
        "clocks and topics": "POOR", "length": "POOR", "range of vx": "POOR",
        "range of wz": "POOR", "independence of the actions": "POOR",
        "motion in the images": "good", "light": "good",
    }  # fmt: skip
    assert all(advice for judged, advice in found.values() if judged == "POOR")
    assert "learn: The recording is not good enough in 5 of 7 points: clocks" in out
    assert "base has one episode, and the training holds out whole episodes; accepted: two" in err
    assert "The training goes on" not in out


def test_settings_of_the_training_are_read_before_the_import(run, bags, tmp_path):
    bag = bags.write_bag(tmp_path / "bag", drive(bags, steps=100, speed=0.1))
    for options in (["--train-config", "none.yaml"], ["--synthesis", "nosuch"]):
        code, _, err = run(bag, "--task", "base", *options)
        assert code == 1
        assert err.startswith("learn: ")
        assert options[1] in err
    assert not (tmp_path / "data").exists()


def test_a_task_is_a_name(run, bags, tmp_path):
    bag = bags.write_bag(tmp_path / "bag", drive(bags, steps=100, speed=0.1))
    for task in ("../evil", "a b", ""):
        code, _, err = run(bag, "--task", task)
        assert code == 1
        assert f"task is {task!r}" in err
        assert "accepted: letters, digits, - and _" in err
    assert not (tmp_path.parent / "evil").exists()


def test_a_lerobot_dataset_is_recognised(run, tmp_path):
    (tmp_path / "set" / "meta").mkdir(parents=True)
    (tmp_path / "set" / "meta" / "info.json").write_text(json.dumps({}))
    code, _, err = run(tmp_path / "set")
    assert code == 1
    assert err.startswith("learn: ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nothing_here"], "learn: no recording at nothing_here"),
        (["nothing_here", "--config", "none.yaml"], "none.yaml"),
    ],
)
def test_what_cannot_be_read_is_named(run, options, said):
    code, _, err = run(*options)
    assert code == 1
    assert said in err
    assert "\r" not in err  # a log is no terminal


def test_an_interruption_names_the_command_that_continues(run, bags, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    bag = bags.write_bag(tmp_path / "bag", drive(bags, steps=100))
    monkeypatch.setattr("wm_mpc.cli.train.settings", interrupt)
    code, _, err = run(bag, "--task", "base", *LIMITS)
    assert (code, err) == (130, "\nlearn: interrupted; the same command continues\n")


def test_a_misspelt_option_is_refused(run, capsys):
    with pytest.raises(SystemExit):
        run("bag", "--tusk", "base")
    assert "--tusk" in capsys.readouterr().err
