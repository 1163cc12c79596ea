"""A training takes encoder, distance and first plans from a finished checkpoint."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from wm_mpc.cli.train import _warn_of_seed
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint, save_checkpoint
from wm_mpc.synthesis.random_rollouts import RandomRolloutConfig
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.directory import TrainingError
from wm_mpc.training.donor import donor_notes, is_run
from wm_mpc.training.summary import markdown
from wm_mpc.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("few_pictures")
ARCHITECTURE = Architecture(4, 4, 4, hidden=16, proposals=4)
GIVEN = TrainConfig(
    horizon=3, representation_updates=3, representation_batch=2, embedding_updates=3,
    proposals_updates=3, dynamics_updates=3, dynamics_batch=8, threads=1, synthesis=(),
    architecture=ARCHITECTURE,
)  # fmt: skip
# Other settings for phases that the donor makes unnecessary, and other dynamics
OTHER = dataclasses.replace(
    GIVEN, seed=7, representation_updates=500, embedding_updates=400, dynamics_updates=41,
    synthesis=("random",), random=RandomRolloutConfig(count=8, steps=3),
    architecture=dataclasses.replace(ARCHITECTURE, hidden=24),
)  # fmt: skip
KEPT = ("encoder", "decoder", "embedding", "proposals")


class StopError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def checkpoint(recording, tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    trainer = Trainer(recording, GIVEN, folder / "run")
    path = folder / "eyes.safetensors"
    save_checkpoint(trainer.run(), path, {"command": "train given", **trainer.provenance()})
    return path


def test_only_the_dynamics_are_trained(recording, checkpoint, tmp_path):
    stages = set()
    trainer = Trainer(
        recording, OTHER, tmp_path / "run", representation=checkpoint,
        progress=lambda stage, *_: stages.add(stage),
    )  # fmt: skip
    model = trainer.run()
    given = load_checkpoint(checkpoint, exact=True)[0]
    assert stages == {"encode", "random rollouts", "dynamics"}
    for part in KEPT:
        for name, weight in getattr(given, part).state_dict().items():
            assert torch.equal(getattr(model, part).state_dict()[name], weight), f"{part}.{name}"
    for name in ("scene_map", "scene_mean", "state_mean", "state_std"):
        assert torch.equal(getattr(model, name), getattr(given, name)), name
    assert model.architecture.hidden == 24
    assert trainer.finished


def test_provenance_says_what_was_trained_and_where_the_rest_is_from(
    recording, checkpoint, tmp_path
):
    trainer = Trainer(recording, OTHER, tmp_path / "run", representation=checkpoint)
    trainer.run()
    made = trainer.provenance()
    assert made["updates"] == {"dynamics": 41}
    assert made["config"]["dynamics_updates"] == 41
    assert made["config"]["representation_updates"] == 3  # those of the checkpoint
    assert made["config"]["architecture"]["hidden"] == 24
    origin = made["representation"]
    assert (origin["checkpoint"], origin["command"]) == ("eyes.safetensors", "train given")
    assert origin["updates"]["representation"] == 3
    assert "eyes.safetensors" in markdown({**made, "command": "", "code": "", "metrics": {}})
    own = Trainer(recording, GIVEN, tmp_path / "own").provenance()
    assert "representation" not in own


def test_checkpoint_may_change_or_go_while_the_run_trains(recording, checkpoint, tmp_path):
    copied = tmp_path / "eyes.safetensors"
    shutil.copyfile(checkpoint, copied)
    trainer = Trainer(recording, OTHER, tmp_path / "run", representation=copied)
    before = trainer.provenance()["representation"]["hash"]
    copied.unlink()
    trainer.run()
    assert trainer.provenance()["representation"]["hash"] == before


def test_chain_of_checkpoints_names_all(recording, checkpoint, tmp_path):
    trainer = Trainer(recording, OTHER, tmp_path / "run", representation=checkpoint)
    second = tmp_path / "second.safetensors"
    save_checkpoint(trainer.run(), second, trainer.provenance())
    third = Trainer(recording, OTHER, tmp_path / "third", representation=second)
    made = third.provenance()
    assert made["representation"]["representation"]["checkpoint"] == "eyes.safetensors"
    assert made["config"]["representation_updates"] == 3
    assert made["representation"]["hash"] == made["representation"]["representation"]["hash"]


def test_notes_say_if_the_encoder_has_seen_the_held_out_episodes():
    origin = {"checkpoint": "wall.safetensors", "task": "wall", "data": {"hash": "a", "seed": 0}}
    assert "may have seen the held-out" in donor_notes(origin, "wall", {"hash": "b", "seed": 0})[0]
    assert donor_notes(origin, "wall", {"hash": "b", "seed": 5}) == []
    assert donor_notes(origin, "wall", {"hash": "b", "seed": 0, "explorer": "weak"}) == []
    other = donor_notes(origin, "yard", {"hash": "b", "seed": 0})
    assert other == ["the encoder of wall.safetensors was trained for task wall, not yard"]
    bag = {**origin, "data": {"hash": "a"}}  # a recording of a real robot has no seed
    assert donor_notes(bag, "wall", {"hash": "b"}) == []
    assert "it was trained on these data" in donor_notes(bag, "wall", {"hash": "a"})[0]
    assert donor_notes({**bag, "data": {}}, "wall", {}) == []


def test_folder_without_a_run_does_not_hide_a_shipped_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wall").mkdir()
    assert not is_run("wall")
    (tmp_path / "wall" / "run.json").write_text("{}")
    assert is_run("wall")
    (tmp_path / "yard").mkdir()
    assert is_run("yard")


def test_killed_run_ends_as_an_uninterrupted_one(recording, checkpoint, tmp_path):
    def kill(stage, done, *_):
        if (stage, done) == ("dynamics", 21):
            raise StopError

    config = dataclasses.replace(OTHER, checkpoint_interval=1e-9)
    whole = Trainer(recording, config, tmp_path / "whole", representation=checkpoint).run()
    run = tmp_path / "run"
    with pytest.raises(StopError):
        Trainer(recording, config, run, representation=checkpoint, progress=kill).run()
    again = Trainer(recording, config, run, representation=checkpoint).run()
    for name, weight in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def test_it_is_no_representation_of_these_settings_for_others(recording, checkpoint, tmp_path):
    trainer = Trainer(recording, OTHER, tmp_path / "run", representation=checkpoint)
    trainer.run()
    with pytest.raises(TrainingError, match="holds no finished representation"):
        Trainer(recording, OTHER, tmp_path / "other", representation=tmp_path / "run")


def test_another_checkpoint_is_another_run(recording, checkpoint, tmp_path):
    config, run = dataclasses.replace(OTHER, dynamics_updates=1, synthesis=()), tmp_path / "run"
    Trainer(recording, config, run, representation=checkpoint).run()
    model, metadata = load_checkpoint(checkpoint, exact=True)
    other = tmp_path / "other.safetensors"
    with torch.no_grad():
        model.scene_mean += 1.0
    save_checkpoint(model, other, metadata["provenance"])
    with pytest.raises(TrainingError, match="representation is"):
        Trainer(recording, config, run, representation=other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": 5}, "architecture.keypoints is 4 there and 5 here"),
        ({"proposals": 0}, "architecture.proposals is 4 there and 0 here"),
        ({"robot_from_state": False}, "architecture.robot_from_state is True there and False here"),
    ],
)
def test_other_sizes_are_refused(recording, checkpoint, tmp_path, changes, message):
    sizes = dataclasses.replace(ARCHITECTURE, **changes)
    config = dataclasses.replace(OTHER, architecture=sizes)
    with pytest.raises(TrainingError, match=message):
        Trainer(recording, config, tmp_path / "run", representation=checkpoint)
    assert not (tmp_path / "run").exists()


def test_checkpoint_of_another_robot_is_refused(recording, tmp_path):
    with pytest.raises(TrainingError, match=r"does not fit this run: .*action\.low is \(-0\.8, "):
        Trainer(recording, OTHER, tmp_path / "run", representation="pusht")


def test_neither_run_nor_checkpoint_is_named(recording, tmp_path):
    message = "no folder of a run is there, and no checkpoint '.*none': .* ones are: granular"
    with pytest.raises(TrainingError, match=message):
        Trainer(recording, OTHER, tmp_path / "run", representation=tmp_path / "none")


@pytest.mark.parametrize(
    ("donor", "given", "said"),
    [("eyes.safetensors", 5, True), ("eyes.safetensors", None, False), (None, 5, False)],
)
def test_a_seed_of_a_representation_that_is_not_trained_is_said(capsys, donor, given, said):
    options = argparse.Namespace(
        representation=None if donor is None else Path(donor), representation_seed=given
    )
    _warn_of_seed(options, "train")
    assert ("--representation-seed has no effect" in capsys.readouterr().err) is said
