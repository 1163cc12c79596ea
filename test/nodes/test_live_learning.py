"""Checkpoints of the live learner get new names: nothing that is there is overwritten."""

from __future__ import annotations

import threading
import types
from pathlib import Path

import pytest

from wm_mpc.nodes.learner import live_training
from wm_mpc.nodes.learner.live_learning import LiveLearning
from wm_mpc.nodes.learner.parameters import LearnerSettings, LiveSettings
from wm_mpc.resources import resolve_checkpoint

SETTINGS = LearnerSettings(live=LiveSettings(parts="dynamics", updates=1), seed=0)


def learner(run: Path, checkpoint: Path) -> LiveLearning:
    """One that has begun from this checkpoint, without its node."""
    live = object.__new__(LiveLearning)
    live.checkpoint = live._first = checkpoint
    live._run, live._spec = run, types.SimpleNamespace(task="wall")
    live.rounds = live._learned = 0
    live._recorder = types.SimpleNamespace(steps=600)
    live.dataset = types.SimpleNamespace(path=run / "live")
    return live


def out(live: LiveLearning) -> str:
    (found,) = [a for a in live.begin_round(SETTINGS) if a.startswith("--out=")]
    return Path(found.removeprefix("--out=")).name


@pytest.mark.parametrize(
    ("present", "first", "expected"),
    [
        ([], "wall", "wall_live_1"),
        (["wall_live_1"], "wall_live_1", "wall_live_2"),
        (["wall_live_1", "wall_live_2"], "wall", "wall_live_3"),
        (["wall_live_7"], "wall_live_3", "wall_live_8"),
        (["wall_live_9", "wall_live_10"], "wall", "wall_live_11"),
        ([], "wall_live_1", "wall_live_2"),  # it lies elsewhere
        (["wall_live_x", "maze_live_4", "wall_live_5.bak"], "wall", "wall_live_1"),
    ],
)
def test_the_next_checkpoint_has_a_name_that_nothing_has(tmp_path, present, first, expected):
    for name in present:
        (tmp_path / f"{name}.safetensors").touch()
    assert out(learner(tmp_path, tmp_path / f"{first}.safetensors")) == f"{expected}.safetensors"


def test_each_round_has_a_name_of_its_own(tmp_path):
    live = learner(tmp_path, tmp_path / "wall_live_1.safetensors")
    for number in (2, 3, 4):
        name = out(live)
        assert name == f"wall_live_{number}.safetensors"
        (tmp_path / name).touch()


@pytest.mark.parametrize("target", ["the first", "the present", "another one"])
def test_a_round_that_would_overwrite_a_checkpoint_is_refused(tmp_path, target):
    shipped = resolve_checkpoint("wall").read_bytes()
    files = {name: tmp_path / f"{name}.safetensors" for name in ("first", "present", "another")}
    for file in files.values():
        file.write_bytes(shipped)
    out = files[{"the first": "first", "the present": "present"}.get(target, "another")]
    options = live_training.parser().parse_args(
        [
            f"--first={files['first']}", f"--checkpoint={files['present']}", f"--out={out}",
            f"--live={tmp_path}", "--updates=1", "--parts=dynamics", "--seed=0",
        ]
    )  # fmt: skip
    events = []

    def send(kind, **values):
        events.append((kind, values))

    assert live_training._learn(options, send, threading.Event()) == 1
    ((kind, values),) = events
    assert kind == "failed"
    assert "is there already; --out must be a new file" in values["reason"]
    assert all(file.read_bytes() == shipped for file in files.values())
