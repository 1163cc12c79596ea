"""How wrong a model usually is: measured, kept in its checkpoint, read back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from wm_mpc.cli import calibrate
from wm_mpc.model.checkpoint import (
    CheckpointError,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
)
from wm_mpc.model.familiarity import Familiarity, image_error, prediction_error
from wm_mpc.model.world_model import Architecture, WorldModel
from wm_mpc.spec import SpecError
from wm_mpc.training.calibration import measure_familiarity
from wm_mpc.training.replay import encode_all


@pytest.fixture
def model(recording):
    torch.manual_seed(0)
    return WorldModel(recording.spec, Architecture(4, 4, 4, hidden=16)).eval().requires_grad_(False)


def episodes_of(recording):
    return np.arange(len(recording.indices))


def test_a_hundredth_of_the_moments_is_worse_than_told(model, recording):
    found = measure_familiarity(model, recording, episodes_of(recording))
    starts = recording.window_starts(1, episodes_of(recording))
    assert found.moments == len(starts)
    frames, actions = recording.window(starts, 1)
    latents = encode_all(model, recording.images[frames[:, 1]], recording.states[frames[:, 1]])
    before = encode_all(model, recording.images[frames[:, 0]], recording.states[frames[:, 0]])
    predicted = model.rollout(
        model.start(before[:, None], torch.from_numpy(actions[:, :0])), torch.from_numpy(actions)
    )[:, 0]
    images = torch.from_numpy(np.array(recording.images[frames[:, 1]]))
    for errors, usual in (
        (prediction_error(predicted, latents), found.prediction),
        (image_error(model, images, latents), found.image),
    ):
        assert 0.0 < float((errors > usual).float().mean()) <= 0.02


def test_too_little_data_is_not_judged_by(model, recording):
    assert measure_familiarity(model, recording, np.array([0])) is None


def test_it_is_the_same_every_time(model, recording):
    one, other = (measure_familiarity(model, recording, episodes_of(recording)) for _ in range(2))
    assert one == other


def test_a_checkpoint_keeps_it(model, recording, tmp_path):
    model.familiarity = measure_familiarity(model, recording, episodes_of(recording))
    save_checkpoint(model, tmp_path / "toy.safetensors", {})
    assert load_checkpoint(tmp_path / "toy.safetensors")[0].familiarity == model.familiarity


def test_a_checkpoint_from_before_has_none(model, tmp_path):
    save_checkpoint(model, tmp_path / "toy.safetensors", {})
    assert load_checkpoint(tmp_path / "toy.safetensors")[0].familiarity is None


@pytest.mark.parametrize(
    "change",
    [{"prediction": 0.0}, {"image": float("nan")}, {"step": -1.0}, {"moments": "many"}],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(change):
    good = Familiarity(1.0, 1.0, 1.0, 100).to_dict()
    assert Familiarity.from_dict(good) == Familiarity(1.0, 1.0, 1.0, 100)
    with pytest.raises(SpecError, match="familiarity"):
        Familiarity.from_dict({**good, **change})


def test_a_checkpoint_with_damaged_numbers_is_refused(model, tmp_path, monkeypatch):
    class Damaged:
        def to_dict(self):
            return {"prediction": 1.0}

    model.familiarity = Damaged()
    save_checkpoint(model, tmp_path / "toy.safetensors", {})
    with pytest.raises(CheckpointError, match="familiarity is not readable"):
        load_checkpoint(tmp_path / "toy.safetensors")


def test_the_command_adds_it_and_changes_no_weight(model, recording, tmp_path, capsys):
    path = tmp_path / "toy.safetensors"
    save_checkpoint(model, path, {"seed": 5})
    arguments = ["--checkpoint", str(path), "--dataset", str(recording.dataset.path)]
    assert calibrate.main([*arguments, "--out", str(tmp_path / "new.safetensors")]) == 0
    assert "prediction" in capsys.readouterr().out
    loaded, metadata = load_checkpoint(tmp_path / "new.safetensors", exact=True)
    assert loaded.familiarity.moments >= 100
    assert len(loaded.familiarity.checkpoint) == 64
    assert metadata["provenance"] == {"seed": 5}
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name])
    assert read_metadata(path)["familiarity"] is None  # which was only read


def test_the_command_refuses_data_of_another_robot(recording, tmp_path, capsys):
    path = tmp_path / "toy.safetensors"
    robot = recording.spec.to_dict()
    robot["control_period"] = 0.25
    other = WorldModel(type(recording.spec).from_dict(json.loads(json.dumps(robot))))
    save_checkpoint(other, path, {})
    arguments = ["--checkpoint", str(path), "--dataset", str(recording.dataset.path)]
    assert calibrate.main(arguments) == 1
    assert "control_period is 0.1, not 0.25" in capsys.readouterr().err
