"""A training whose encoder is a frozen vision transformer, here a small one with random weights."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.training.config import ConfigError, TrainConfig
from wm_mpc.training.directory import TrainingError
from wm_mpc.training.finish import write_results
from wm_mpc.training.trainer import Trainer

transformers = pytest.importorskip("transformers", reason="needs the extra vit")
pytestmark = pytest.mark.usefixtures("few_pictures")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("vit")
    config = transformers.DINOv3ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=64, patch_size=16,
    )  # fmt: skip
    torch.manual_seed(3)
    transformers.DINOv3ViTModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def config(folder):
    return TrainConfig(
        horizon=3, representation_updates=22, representation_batch=2, embedding_updates=3,
        proposals_updates=3, dynamics_updates=3, dynamics_batch=8, threads=1, synthesis=(),
        architecture=Architecture(4, 4, 4, hidden=16, proposals=4, encoder="vit", vit_patches=4),
        vit_folder=str(folder),
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(recording, config, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    trainer = Trainer(recording, config, run)
    trainer.run()
    return trainer, write_results(trainer, run, "train --config vit.yaml")


def test_the_transformer_stays_and_the_head_learns(finished, folder):
    trainer, _ = finished
    given = transformers.AutoModel.from_pretrained(folder).state_dict()
    model = trainer.model
    assert all(torch.equal(given[n], w) for n, w in model.encoder.vit.state_dict().items())
    other = Trainer(trainer.recording, trainer.config, trainer.directory / "other").model
    heads = zip(other.encoder.trained(), model.encoder.trained(), strict=True)
    assert all(not torch.equal(before, after) for before, after in heads)
    drawn = [row["reconstruction"] for row in trainer.history if row["phase"] == 0]
    assert drawn[-1] < 0.95 * drawn[0]


def test_the_checkpoint_plans_and_says_whose_eyes_it_has(finished, folder):
    trainer, path = finished
    model, metadata = load_checkpoint(path)
    assert metadata["provenance"]["vit"] == trainer.model.encoder.hash()
    assert metadata["provenance"]["config"]["vit_folder"] == str(folder)
    controller, recording = RecedingHorizon(model), trainer.recording
    controller.set_goal(np.asarray(recording.images[20]), recording.states[20])
    plan = controller.plan(
        np.asarray(recording.images[0]), recording.states[0], 0.0,
        planner=PlannerConfig("adam", 3, iterations=3, restarts=2), objective=ObjectiveConfig(),
    )  # fmt: skip
    assert np.isfinite(plan.actions).all()


def test_an_interrupted_training_ends_like_another(recording, config, finished, tmp_path):
    class StopError(Exception):
        pass

    def stop(stage, done, *_):
        if (stage, done) == ("representation", 21):
            raise StopError

    often = dataclasses.replace(config, checkpoint_interval=1e-9)
    with pytest.raises(StopError):
        Trainer(recording, often, tmp_path, progress=stop).run()
    model = Trainer(recording, often, tmp_path).run()
    whole = finished[0].model.state_dict()
    assert all(torch.equal(whole[name], weight) for name, weight in model.state_dict().items())


def test_a_run_does_not_go_on_with_other_weights(recording, config, finished, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "vit")
    moved = dataclasses.replace(config, vit_folder=str(tmp_path / "vit"))
    assert Trainer(recording, moved, finished[0].directory).finished is False  # the same weights
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    next(iter(weights.values())).add_(1e-3)
    safetensors.torch.save_file(weights, tmp_path / "vit" / "model.safetensors")
    with pytest.raises(TrainingError, match="vit"):
        Trainer(recording, moved, finished[0].directory)


def test_another_training_takes_the_eyes(recording, config, finished, tmp_path):
    other = dataclasses.replace(config, seed=5, dynamics_updates=4)
    model = Trainer(recording, other, tmp_path, representation=finished[1]).run()
    eyes = finished[0].model.encoder.state_dict()
    assert all(torch.equal(eyes[name], w) for name, w in model.encoder.state_dict().items())


def test_eyes_with_another_transformer_are_refused(recording, config, finished, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "vit")
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    next(iter(weights.values())).add_(1e-3)
    safetensors.torch.save_file(weights, tmp_path / "vit" / "model.safetensors")
    other = dataclasses.replace(config, vit_folder=str(tmp_path / "vit"))
    with pytest.raises(TrainingError, match="has other weights than vit_folder"):
        Trainer(recording, other, tmp_path / "run", representation=finished[1])


def test_a_training_reads_the_folder_at_its_beginning_only(
    recording, config, finished, folder, tmp_path
):
    shutil.copytree(folder, tmp_path / "vit")
    moved = dataclasses.replace(config, vit_folder=str(tmp_path / "vit"))
    trainer = Trainer(recording, moved, tmp_path / "run")
    shutil.rmtree(tmp_path / "vit")
    trainer.run()
    assert trainer.finished
    assert trainer.provenance()["vit"] == finished[0].provenance()["vit"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vit_folder": ""}, "architecture.encoder is vit, and vit_folder is ''"),
        ({"architecture": Architecture(encoder="vit", vit="{}")}, "name a folder in vit_folder"),
        ({"architecture": Architecture()}, "architecture.encoder is keypoints, and vit_folder is"),
    ],
)
def test_encoder_and_folder_belong_together(config, changes, reason):
    with pytest.raises(ConfigError, match=reason):
        dataclasses.replace(config, **changes)


def test_a_missing_folder_is_named(recording, config, tmp_path):
    lost = dataclasses.replace(config, vit_folder=str(tmp_path / "none"))
    with pytest.raises(TrainingError, match=r"none/config\.json cannot be read"):
        Trainer(recording, lost, tmp_path / "run")


def test_runs_of_older_versions_have_the_same_settings():
    settings = TrainConfig().deciding_settings()
    assert "vit_folder" not in settings
    assert not {"encoder", "vit", "vit_patches"} & settings["architecture"].keys()


def test_a_folder_without_a_transformer_is_refused_by_the_name_of_its_setting(
    recording, config, tmp_path
):
    nowhere = dataclasses.replace(config, vit_folder=str(tmp_path / "nowhere"))
    with pytest.raises(TrainingError, match=r"vit_folder is '.*nowhere'.*accepted: a folder with"):
        Trainer(recording, nowhere, tmp_path / "run")
