"""Several short starts of the representation: which one goes on, and what is kept of it."""

from __future__ import annotations

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.training import starts as starts_module
from wm_mpc.training.config import ConfigError, TrainConfig
from wm_mpc.training.directory import RunDirectory
from wm_mpc.training.drawing import drawing, verdict
from wm_mpc.training.schedule import Schedule
from wm_mpc.training.starts import Starts
from wm_mpc.training.trainer import Trainer

ONE = TrainConfig(
    horizon=3,
    synthesis=(),
    representation_updates=3,
    representation_batch=4,
    embedding_updates=1,
    proposals_updates=1,
    dynamics_updates=1,
    dynamics_batch=16,
    threads=1,
    architecture=Architecture(4, 4, 4, hidden=32),
)
THREE = dataclasses.replace(ONE, representation_starts=3, representation_start_updates=2)


class InterruptionError(Exception):
    """Stands for whatever ends a run."""


def train(recording, config, directory, **options):
    trainer = Trainer(recording, config, directory, **options)
    trainer.run()
    return trainer


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def with_images(recording, images):
    other = copy.copy(recording)
    other.images = images
    return other


def scores(monkeypatch, values):
    """Measured scores of the starts, by order, instead of the real ones."""
    left = iter(values)
    monkeypatch.setattr(starts_module, "drawing", lambda *_: {"drawn": next(left)})


@pytest.mark.slow
def test_first_start_is_the_run_without_starts(brief_recording, tmp_path, monkeypatch):
    alone = train(brief_recording, ONE, tmp_path / "alone").model
    scores(monkeypatch, [0.9, 0.1, 0.2])
    chosen = train(brief_recording, THREE, tmp_path / "three").model
    for name, tensor in weights(alone).items():
        assert torch.equal(tensor, weights(chosen)[name]), name


def test_best_start_goes_on_and_the_run_says_which(brief_recording, tmp_path, monkeypatch):
    scores(monkeypatch, [0.1, 0.7, 0.2])
    trainer = Trainer(brief_recording, THREE, tmp_path)
    starts = Starts(
        trainer._fabric, brief_recording, THREE, trainer.train_episodes,
        trainer.validation_episodes, RunDirectory(tmp_path), Schedule(THREE, trainer.model),
        lambda *_: None,
    )  # fmt: skip
    best = starts.best(lambda: None)["model"]
    made = [RunDirectory(tmp_path).load_part(f"start_{number}")["model"] for number in range(3)]
    name = "encoder.features.0.0.weight"
    assert [torch.equal(best[name], model[name]) for model in made] == [False, True, False]
    assert trainer.provenance()["starts"] == {
        "drawn": [0.1, 0.7, 0.2], "chosen": 1, "updates": 2,
    }  # fmt: skip


@pytest.fixture(scope="module")
def whole(brief_recording, tmp_path_factory):
    return train(brief_recording, THREE, tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "update"), [("start 1 of 3", 0), ("start 3 of 3", 0), ("representation", 3)]
)
def test_interrupted_run_ends_like_an_uninterrupted_one(
    brief_recording, whole, tmp_path, stage, update
):
    def interrupt(name, done, total, values):
        if (name, done) == (stage, update):
            raise InterruptionError

    with pytest.raises(InterruptionError):
        train(brief_recording, THREE, tmp_path / "parts", progress=interrupt)
    stages = []
    parts = train(
        brief_recording, THREE, tmp_path / "parts", progress=lambda name, *_: stages.append(name)
    )
    for name, tensor in weights(whole.model).items():
        assert torch.equal(tensor, weights(parts.model)[name]), name
    assert parts.provenance()["starts"] == whole.provenance()["starts"]
    assert [row["update"] for row in parts.history if row["phase"] == 0] == [0, 2]
    assert ("start 1 of 3" in stages) == (stage == "start 1 of 3")
    assert list((tmp_path / "parts").glob("start_*")) == []


def test_starts_that_are_off_leave_the_identity_of_a_run_as_it_was(tmp_path):
    assert "representation_starts" not in ONE.deciding_settings()
    assert "representation_starts" not in ONE.representation_settings()
    assert THREE.representation_settings()["representation_start_updates"] == 2


def test_number_of_starts_is_checked():
    with pytest.raises(ConfigError, match="representation_starts"):
        dataclasses.replace(ONE, representation_starts=0)


def test_damaged_start_is_named(brief_recording, tmp_path):
    RunDirectory(tmp_path).save_part("start_0", {})
    (tmp_path / "start_0.pt").write_bytes(b"nothing")
    with pytest.raises(Exception, match=r"start_0\.pt is damaged"):
        train(brief_recording, THREE, tmp_path)


def test_choice_is_written_for_people(whole):
    choice = json.loads((whole.directory / "starts.json").read_text())
    assert len(choice["drawn"]) == 3
    assert choice["chosen"] == int(np.argmax(choice["drawn"]))


def test_drawing_is_perfect_for_the_pictures_themselves(
    brief_recording, finished_model, monkeypatch
):
    images = torch.tensor(np.array(brief_recording.images)).permute(0, 3, 1, 2).float() / 255.0
    left = {"next": 0}

    def decode(latent):
        first = left["next"]
        left["next"] += len(latent)
        return images[first : first + len(latent)]

    monkeypatch.setattr(finished_model, "decode", decode)
    episodes = np.arange(len(brief_recording.indices))
    assert drawing(finished_model, brief_recording, episodes)["drawn"] == 1.0


def test_mean_picture_draws_nothing(brief_recording, finished_model, monkeypatch):
    images = torch.tensor(np.array(brief_recording.images)).permute(0, 3, 1, 2).float() / 255.0
    mean = images.mean(0, keepdim=True)
    monkeypatch.setattr(
        finished_model, "decode", lambda latent: mean.expand(len(latent), -1, -1, -1)
    )
    found = drawing(finished_model, brief_recording, np.arange(len(brief_recording.indices)))
    assert found["drawn"] == pytest.approx(0.0, abs=1e-3)


def test_points_count_where_something_moves(brief_recording, finished_model, monkeypatch):
    images = np.zeros_like(brief_recording.images)
    images[::2, 20:28, 40:48] = 255  # row, column: something that comes and goes
    moved = with_images(brief_recording, images)
    there = torch.tensor([2 * 44 / 64 - 1, 2 * 24 / 64 - 1])  # x, y
    beside = torch.tensor([-0.9, -0.9])
    points = torch.stack([there, beside], 1).reshape(1, 4)  # both x, then both y
    monkeypatch.setattr(finished_model, "encode", lambda *_: torch.zeros(64, 1))
    monkeypatch.setattr(finished_model, "decode", lambda latent: torch.zeros(1, 3, 64, 64))
    monkeypatch.setattr(
        finished_model.encoder, "forward", lambda image: points.expand(len(image), -1)
    )
    found = drawing(finished_model, moved, np.arange(len(brief_recording.indices)))
    assert found["points_on_motion"] == 0.5


def test_still_pictures_have_no_measure(brief_recording, finished_model):
    still = with_images(brief_recording, np.full_like(brief_recording.images, 7))
    assert drawing(finished_model, still, np.arange(len(brief_recording.indices))) == {}


@pytest.fixture
def finished_model(whole):
    return copy.deepcopy(whole.model)


def test_only_keypoints_are_told_to_be_weighted_by_motion():
    metrics = {"drawn": 0.5, "actions_explain": 0.9}
    assert "motion_weight" not in verdict(metrics)[1]
    assert "motion_weight: 0.5" in verdict({**metrics, "points_on_motion": 0.9})[1]


@pytest.mark.parametrize(
    ("metrics", "is_good", "said"),
    [
        ({"drawn": 0.97, "actions_explain": 0.9}, True, "draws 97% of what moves"),
        (
            {"drawn": 0.97, "actions_explain": 0.9, "points_on_motion": 0.22},
            True,
            "only 22% of the keypoints lie on what moves",
        ),
        ({"drawn": 0.89, "actions_explain": 0.9}, False, "representation_starts: 3"),
        ({"drawn": -4.92, "actions_explain": 0.9}, False, "draws only 0% of what moves"),
        ({"drawn": 0.97, "actions_explain": 0.2}, False, "grows by only 25%"),
        ({"actions_explain": 0.2}, False, "could not be judged"),
    ],
)
def test_verdict_says_what_is_good_or_missing(metrics, is_good, said):
    found, sentence = verdict(metrics)
    assert found is is_good
    assert said in sentence
