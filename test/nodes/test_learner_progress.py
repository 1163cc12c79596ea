"""What the learner says of a training, from the events of its process."""

from __future__ import annotations

from pathlib import Path

import pytest

from wm_mpc.nodes.learner.parameters import LearnerSettings, train_arguments
from wm_mpc.nodes.learner.progress import Progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def progress(clock):
    progress = Progress(clock)
    progress.starting()
    progress.handle({"event": "started"})
    return progress


def advance(progress, stage, done, total=1000, **values):
    progress.handle(
        {"event": "progress", "stage": stage, "done": done, "total": total, "values": values}
    )


def test_time_left_follows_from_the_speed_since_the_stage_began_here(progress, clock):
    advance(progress, "dynamics", 500)  # resumed: these were done before
    assert progress.values()["stage seconds left"] == "unknown"
    clock.now += 10.0
    advance(progress, "dynamics", 600)
    assert progress.values()["stage seconds left"] == "40"
    assert progress.values()["seconds"] == "10.0"


def test_new_stage_begins_its_own_losses_and_time(progress, clock):
    advance(progress, "representation", 0, reconstruction=1.0)
    clock.now += 10.0
    advance(progress, "representation", 100, reconstruction=0.5)
    assert progress.values()["loss reconstruction"] == "0.5"
    advance(progress, "dynamics", 0, one_step=0.25)
    values = progress.values()
    assert values["loss one_step"] == "0.25"
    assert "loss reconstruction" not in values
    assert values["stage seconds left"] == "unknown"
    assert progress.message() == "training: dynamics, 0 of 1000"


def test_losses_stay_while_none_are_reported(progress):
    advance(progress, "dynamics", 0, one_step=0.25)
    advance(progress, "dynamics", 1)
    assert progress.values()["loss one_step"] == "0.25"


def test_time_stands_still_when_training_has_ended(progress, clock):
    clock.now += 5.0
    progress.handle({"event": "finished"})
    clock.now += 100.0
    assert progress.values()["seconds"] == "5.0"


def test_failure_says_why_until_the_next_start(progress):
    progress.handle({"event": "failed", "reason": "no dataset at here"})
    assert progress.is_failed
    assert progress.message() == "failed: no dataset at here"
    progress.starting()
    assert not progress.is_failed
    assert progress.message() == "starting"


def test_stop_during_the_start_is_not_forgotten(clock):
    progress = Progress(clock)
    progress.starting()
    progress.stopping()
    progress.handle({"event": "started"})
    assert progress.message() == "stopping"


def test_checkpoint_is_an_absolute_path_and_outlives_a_restart(progress, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    progress.handle({"event": "checkpoint", "path": "runs/wall/wall.safetensors"})
    progress.starting()
    assert progress.values()["checkpoint"] == tmp_path / "runs/wall/wall.safetensors"


def test_defaults_leave_everything_to_train():
    assert train_arguments(LearnerSettings()) == ["--task=wall"]


def test_every_setting_reaches_train():
    settings = LearnerSettings(
        task="push_t", dataset="d", run="~/r", config="c.yaml", seed=0, synthesis="none",
        workers="2",
    )  # fmt: skip
    assert train_arguments(settings) == [
        "--task=push_t", "--dataset=d", f"--run={Path.home()}/r", "--config=c.yaml", "--seed=0",
        "--synthesis=none", "--workers=2",
    ]  # fmt: skip
