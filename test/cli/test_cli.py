"""The command-line programs: from nothing to an evaluated checkpoint, and every way to go wrong."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys

import cv2
import pytest
import torch

from wm_mpc.cli import ablate, collect, evaluate, train
from wm_mpc.data.episodes import Dataset
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.training.trainer import Trainer

torch.set_num_threads(1)

TINY = """
horizon: 2
representation_updates: 3
representation_batch: 2
embedding_updates: 3
proposals_updates: 3
dynamics_updates: 3
dynamics_batch: 4
threads: 1
random: {count: 4, steps: 2}
architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 16}
"""
HELP = """
import os, sys
os.environ["COLUMNS"] = "120"
from wm_mpc.cli import collect, evaluate, train
for program in (collect, evaluate, train):
    try:
        program.main(["--help"])
    except SystemExit as exit:
        assert exit.code == 0
assert "matplotlib" not in sys.modules
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Programs write below the present directory unless told otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(collect, "_MEASURED_SECONDS", 0.01)
    (tmp_path / "train.yaml").write_text(TINY)
    return tmp_path


def run(program, arguments=""):
    """The exit code, also of what argparse refuses."""
    try:
        return program.main(shlex.split(arguments))
    except SystemExit as end:
        return end.code


def test_help_explains_every_program_and_touches_nothing(folder):
    (folder / "train.yaml").unlink()
    result = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for program in ("collect", "evaluate", "train"):
        assert f"usage: {program} " in result.stdout
    for option in ("--task", "--episodes", "--seed", "--checkpoint", "--synthesis", "--config"):
        assert option in result.stdout
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("given", "used"), [(None, "10000"), ("5", "5")])
def test_waiting_threads_give_their_core_away_unless_somebody_says_otherwise(given, used):
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if given:
        environment["GOMP_SPINCOUNT"] = given
    code = "import os, wm_mpc.cli; print(os.environ['GOMP_SPINCOUNT'])"
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == used


@pytest.mark.slow
def test_collect_train_evaluate(folder, capsys):
    assert run(collect, "--episodes 2 --steps 60 --workers 1 --seed 2") == 0
    assert re.fullmatch(
        r"data/wall  episodes 2  2 recorded in 0:\d\d minutes\n", capsys.readouterr().out
    )
    assert run(collect, "--episodes 3 --steps 60 --workers 1 --seed 2 --measure-rate") == 0
    summary = r"data/wall  episodes 3  \d+ frames/s  \d+ per core  \d\.\d\d of bare PyBullet \("
    assert re.match(summary, capsys.readouterr().out)
    dataset = Dataset("data/wall")
    assert dataset.indices() == [0, 1, 2]
    assert dataset.provenance["command"] == "collect --episodes 2 --steps 60 --workers 1 --seed 2"

    assert run(train, "--config train.yaml --seed 5 --workers 1 --synthesis adversarial") == 0
    assert "checkpoint  runs/wall/wall.safetensors" in capsys.readouterr().out
    model, metadata = load_checkpoint("runs/wall/wall.safetensors")
    provenance = metadata["provenance"]
    assert model.spec == dataset.spec
    assert (provenance["seed"], provenance["synthesis"]) == (5, ["adversarial"])
    assert provenance["data"]["hash"] == dataset.content_hash()
    assert "--seed 5" in provenance["command"]
    assert provenance["metrics"]["open_loop_error"]
    assert json.loads((folder / "runs/wall/metrics.json").read_text())["seed"] == 5
    assert cv2.imread("runs/wall/report.png") is not None

    arguments = "--checkpoint runs/wall/wall.safetensors --planners adam,cem --steps 3 --out out"
    assert run(evaluate, f"{arguments} --episodes 2") == 0
    table = capsys.readouterr().out
    record = json.loads((folder / "out/results.json").read_text())
    cells = {cell["planner"]: cell for cell in record["cells"]}
    assert set(cells) == {"adam", "cem"}
    assert cells["cem"]["time_ratio_to_cem"] == 1.0
    assert cells["adam"]["episodes"] == 2
    assert cells["adam"]["ci95"][0] <= cells["adam"]["success_rate"] <= cells["adam"]["ci95"][1]
    assert (folder / "out/results.md").read_text() == table


def test_collecting_again_adds_the_missing_episodes_only(capsys):
    assert run(collect, "--episodes 2 --steps 5 --workers 1") == 0
    assert run(collect, "--episodes 2 --steps 5 --workers 1") == 0
    assert "episodes 2  already complete" in capsys.readouterr().out
    assert run(collect, "--episodes 3 --steps 5 --workers 1") == 0
    assert Dataset("data/wall").indices() == [0, 1, 2]


def test_collecting_tells_how_often_an_object_moves(capsys):
    assert run(collect, "--task push_t --episodes 1 --steps 30 --workers 1") == 0
    line = r"the scene moves in \d+% of windows of 1 model step, \d+% of windows of 5 model steps\n"
    assert re.search(line, capsys.readouterr().out)


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        (collect, "--dataset train.yaml", "dataset train.yaml"),
        (collect, "--dataset other --steps 9", "was recorded with {'seed': 0, 'steps': 5}"),
        (collect, "--dataset other --seed 1 --steps 5", "choose another --dataset"),
        (train, "--config train.yaml --dataset nothing", "no dataset at nothing"),
        (train, "--task wal", "no dataset at data/wal; did you mean wall\\?$"),
        (train, "--task my_robt", "no dataset at data/my_robt; did you mean my_robot\\?$"),
        (train, "--task reach", "no dataset at data/reach; to record one: .*collect --task reach$"),
        (train, "--task zzz", "no dataset at data/zzz .*; collect and import_bag make one$"),
        (train, "--config none.yaml", "cannot read .*none.yaml"),
        (train, "--config bad.yaml", "unknown setting speed"),
        (
            train,
            "--config train.yaml --synthesis magic",
            r"synthesis is \['magic'\]; accepted: ",
        ),
        (train, "--config train.yaml --dataset other", "at least 2 are needed"),
        (evaluate, "--checkpoint none", "no checkpoint 'none': .*shipped ones are: .*wall"),
        (evaluate, "--checkpoint wall.safetensors", "it is no file; the shipped one is wall"),
        (evaluate, "--checkpoint train.yaml", "train.yaml is damaged or not a .safetensors"),
        (evaluate, "--planners adam,magic", r"unknown planners \['magic'\]; known: adam, "),
        (
            evaluate,
            "--loops closed,spiral",
            r"unknown loops \['spiral'\]; known: open, closed, ros",
        ),
        (
            evaluate,
            "--variants magic",
            r"no checkpoint wall_magic\.safetensors .*of this task: wall",
        ),
        (evaluate, "--goals far", "task wall draws no goals of kind 'far'; accepted: random"),
        (evaluate, "--set planner.speed=3", r"unknown setting planner\.speed; known: planner\."),
        (evaluate, "--films 2", "--films needs a folder; use --out DIR"),
        (evaluate, "--checkpoint wall --variants all", "--checkpoint accepts a single world model"),
        (evaluate, "--planners true_simulator --through-ros", "true_simulator has no ROS node"),
    ],
)
def test_mistake_is_one_clear_line(folder, capfd, program, arguments, message):
    (folder / "bad.yaml").write_text("speed: 3")
    (folder / "data/my_robot").mkdir(parents=True)
    run(collect, "--dataset other --episodes 1 --steps 5 --workers 1")
    capfd.readouterr()
    code = run(program, arguments)
    out, err = capfd.readouterr()
    name = program.__name__.rsplit(".", 1)[-1]
    assert code not in (0, None)
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"{name}: ")
    assert re.search(message, err)


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        (collect, "--task moon", "invalid choice: 'moon'; accepted: granular, "),
        (collect, "--episode 3", "unrecognized arguments: --episode 3; did you mean --episodes?"),
        (collect, "--episode=3", "unrecognized arguments: --episode=3; did you mean --episodes?"),
        (evaluate, "--task walls", "invalid choice: 'walls'; did you mean wall?; accepted: gran"),
        (collect, "--episodes 0", "0 is not above zero"),
        (collect, "--seed -1", "-1 is negative"),
        (
            collect,
            "--workers many",
            "'many' does not name workers; accepted: a number of processes",
        ),
        (train, "--seed -1", "-1 is negative"),
        (train, "--workers 0", "0 is not above zero"),
        (evaluate, "--seed -1", "-1 is negative"),
        (evaluate, "--replan 0", "0 is not above zero"),
        (evaluate, "--train-seeds 0,x", "'0,x'; accepted: whole numbers from 0 on"),
        (ablate, "--seeds a", "--seeds: 'a'; accepted: whole numbers from 0 on"),
    ],
)
def test_option_that_does_not_fit_is_refused_by_name_in_one_line(
    capsys, program, arguments, message
):
    assert run(program, arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert arguments.split()[0] in err
    assert err.startswith(f"{program.__name__.rsplit('.', 1)[-1]}: ")
    assert err.endswith("(--help explains the options)\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("program", ["adapt", "calibrate"])
def test_interruption_of_a_program_that_cannot_go_on(monkeypatch, capsys, tmp_path, program):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    module = importlib.import_module(f"wm_mpc.cli.{program}")
    monkeypatch.setattr(module, "resolve_checkpoint", interrupted)
    given = {"adapt": ["--out"], "calibrate": ["--dataset"]}[program]
    assert module.main(["--checkpoint", "wall", *given, str(tmp_path)]) == 130
    assert capsys.readouterr().err == f"\n{program}: interrupted; no checkpoint was written\n"


@pytest.mark.parametrize("program", [collect, train])
def test_interruption_says_how_to_go_on(folder, monkeypatch, capsys, program):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    run(collect, "--episodes 3 --steps 20 --workers 1")
    monkeypatch.setattr(collect, "collect", interrupted)
    monkeypatch.setattr(Trainer, "run", interrupted)
    assert run(program, "--steps 20" if program is collect else "--config train.yaml") == 130
    assert "interrupted; the same command continues" in capsys.readouterr().err
