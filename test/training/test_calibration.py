"""How wrong a model usually is: measured, kept in its checkpoint, read back."""

from __future__ import annotations

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch

from wm_mpc.cli import calibrate
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import (
    CheckpointError,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
)
from wm_mpc.model.familiarity import (
    Familiarity,
    describe_familiarity,
    familiarity_complaint,
    familiarity_notes,
    image_error,
    prediction_error,
)
from wm_mpc.model.world_model import WorldModel
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.spec import SpecError
from wm_mpc.training import calibration
from wm_mpc.training.calibration import Gauge, measure_familiarity, renewed_familiarity
from wm_mpc.training.everyday import usual as usual_of
from wm_mpc.training.replay import encode_all
from wm_mpc.training.strange_place import strange_errors

pytestmark = pytest.mark.usefixtures("few_pictures")


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


def test_few_moments_are_judged_by_the_worst_of_them_and_more(model, recording):
    found = measure_familiarity(model, recording, np.array([0]))
    starts = recording.window_starts(1, np.array([0]))
    assert found.moments == len(starts) == 26
    frames, _ = recording.window(starts, 1)
    images = torch.from_numpy(np.array(recording.images[frames[:, 1]]))
    latents = encode_all(model, recording.images[frames[:, 1]], recording.states[frames[:, 1]])
    worst = float(image_error(model, images, latents).max())
    assert found.image == pytest.approx(worst * 1.74, rel=1e-5)
    enough = measure_familiarity(model, recording, episodes_of(recording))
    assert found.prediction > 0.9 * enough.prediction


def test_the_fewer_moments_the_laxer():
    errors = torch.linspace(0.0, 1.0, 100)
    usual = [usual_of(errors[-count:]) for count in (1, 2, 10, 50, 99, 100)]
    assert usual == sorted(usual, reverse=True)
    assert usual[0] == pytest.approx(1.99)
    assert usual[-1] == pytest.approx(0.99)


def without_history(recording, steps):
    """The recording's model, but one that wants so many model steps of the past."""
    spec = dataclasses.replace(recording.spec, history=steps)
    sizes = Architecture(4, 4, 4, hidden=16)
    return WorldModel(spec, sizes).eval().requires_grad_(False)


def test_without_any_moment_nothing_is_told(recording):
    longer_than_any_episode = without_history(recording, 30)
    assert measure_familiarity(longer_than_any_episode, recording, episodes_of(recording)) is None


class Still:
    """A recording in which nothing ever happens: one grey picture, one state, one action."""

    def __init__(self, recording):
        self.dataset, self.spec = recording.dataset, recording.spec
        self.images = np.full_like(recording.images, 90)
        self.states = np.full_like(recording.states, 0.25)
        self.episode_of = recording.episode_of
        self._recording = recording

    def window_starts(self, *arguments):
        return self._recording.window_starts(*arguments)

    def window(self, *arguments):
        frames, actions = self._recording.window(*arguments)
        return frames, np.zeros_like(actions)


def test_where_nothing_ever_happens_surprise_stays_a_number(model, recording):
    with torch.no_grad():
        model.decoder.background.fill_(90 / 255)
        model.decoder.join[1].weight.zero_()
        model.decoder.join[1].bias.zero_()
        for layer in (model.dynamics.head[-1], model.dynamics.linear):
            layer.weight.zero_()
    found = measure_familiarity(model, Still(recording), episodes_of(recording))
    assert found.image == pytest.approx(0.5 / 255)
    assert found.prediction == pytest.approx(1e-3)
    assert found.step == 0.0
    model.familiarity = found
    assert "no goal counts as reached" in familiarity_complaint(model)


@pytest.mark.parametrize("part", ["decoder.background", "dynamics.linear.weight"])
def test_errors_that_are_no_numbers_tell_nothing(model, recording, part):
    model.state_dict()[part].fill_(float("nan"))
    assert measure_familiarity(model, recording, episodes_of(recording)) is None


def test_a_gauge_measures_a_dynamics_that_is_trained_on(model, recording):
    gauge = Gauge(model, recording, episodes_of(recording))
    for scale in (1.0, 3.0):
        model.dynamics.linear.weight.fill_(0.1 * scale)
        whole = measure_familiarity(model, recording, episodes_of(recording))
        assert gauge.measure(model) == whole


def test_a_gauge_looks_at_no_more_than_it_was_allowed(model, recording):
    assert Gauge(model, recording, episodes_of(recording), most=30).measure(model).moments == 30


def test_a_model_trained_further_is_measured_where_that_tells_more(model, recording):
    tuned, few, all_of_them = copy.deepcopy(model), np.array([0]), episodes_of(recording)
    assert renewed_familiarity(tuned, model, recording, few).moments == 26
    model.familiarity = Familiarity(1.0, 1.0, 1.0, 4096)
    assert renewed_familiarity(tuned, model, recording, few) == model.familiarity
    assert renewed_familiarity(tuned, model, recording, all_of_them).moments > 100
    longer = without_history(recording, 30)
    assert renewed_familiarity(longer, model, recording, few) == model.familiarity


COMPLAINTS = {
    "none": (None, "images and predictions are not checked, and no goal counts as reached"),
    "nothing moved": (Familiarity(1.0, 1.0, 0.0, 500), "no goal counts as reached"),
    "few": (Familiarity(1.0, 1.0, 1.0, 99), ""),
    "enough": (Familiarity(1.0, 1.0, 1.0, 100), ""),
}


@pytest.mark.parametrize(("found", "complaint"), COMPLAINTS.values(), ids=COMPLAINTS)
def test_checks_that_are_off_are_complained_of(model, found, complaint):
    model.familiarity = found
    told = familiarity_complaint(model)
    assert complaint in told
    assert bool(told) == bool(complaint)


def test_how_much_was_looked_at_is_told(model):
    assert describe_familiarity(model) == "not measured"
    for moments, told in ((7, "7 moments, fewer than 100: checks are laxer"), (100, "100 moments")):
        model.familiarity = Familiarity(1.0, 1.0, 1.0, moments, strange_place=0.0)
        assert describe_familiarity(model) == f"measured on {told}"
        assert bool(familiarity_notes(model.familiarity)) == (moments < 100)
    older = dataclasses.replace(model.familiarity, strange_place=None)
    assert "pale and small objects in the way are not looked for" in familiarity_notes(older)[0]


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
    [
        *({"prediction": 0.0}, {"prediction": -1.0}, {"image": float("nan")}, {"step": -1.0}),
        *({"moments": "many"}, {"moments": -1}, {"image": float("inf")}, {"step": None}),
    ],
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
    assert "control_period of the dataset is 0.1; accepted: 0.25" in capsys.readouterr().err


def test_the_command_says_how_few_moments_there_were(recording, tmp_path, capsys):
    """Of a model that looks so far back that each episode holds six moments."""
    path = tmp_path / "toy.safetensors"
    save_checkpoint(without_history(recording, 5), path, {})
    arguments = ["--checkpoint", str(path), "--dataset", str(recording.dataset.path)]
    assert calibrate.main(arguments) == 0
    assert load_checkpoint(path)[0].familiarity.moments == 24
    assert "on only 24 moments (100 are enough)" in capsys.readouterr().err


def test_the_command_refuses_recordings_without_any_moment(recording, tmp_path, capsys):
    path = tmp_path / "toy.safetensors"
    save_checkpoint(without_history(recording, 30), path, {})
    arguments = ["--checkpoint", str(path), "--dataset", str(recording.dataset.path)]
    assert calibrate.main(arguments) == 1
    assert "no episode has 30 model steps (150 control steps)" in capsys.readouterr().err


# ----------------------------------------------------------------- what light does not explain


def test_what_light_does_not_explain_is_measured_and_kept(model, recording, tmp_path):
    found = measure_familiarity(model, recording, episodes_of(recording))
    assert found.unexplained > 0.0
    model.familiarity = found
    save_checkpoint(model, tmp_path / "model.safetensors", {})
    assert load_checkpoint(tmp_path / "model.safetensors")[0].familiarity == found


def test_an_older_description_knows_nothing_about_light():
    written = Familiarity(1.0, 1.0, 1.0, 10, unexplained=0.02).to_dict()
    assert Familiarity.from_dict(written).unexplained == 0.02
    del written["unexplained"]
    assert Familiarity.from_dict(written).unexplained == 0.0
    with pytest.raises(SpecError, match="unexplained"):
        Familiarity(1.0, 1.0, 1.0, 10, unexplained=-0.1)


@pytest.mark.slow
def test_ordinary_light_is_below_the_usual_error_nine_times_in_ten(model, recording, monkeypatch):
    monkeypatch.setattr(calibration, "_PICTURES", 500)
    frames = np.arange(len(recording.images))
    usual = calibration.measure_unexplained(model, recording, frames)
    errors = calibration.unexplained_errors(model, recording, frames, seed=0)
    clean, disturbed = errors[: len(frames)], errors[len(frames) :]
    assert float((clean > usual).float().mean()) <= 0.03
    assert float((disturbed > usual).float().mean()) <= 0.15


def test_only_missing_adds_to_an_older_checkpoint_and_changes_nothing(
    model, recording, tmp_path, capsys
):
    path, data = tmp_path / "model.safetensors", str(recording.dataset.path)
    arguments = ["--checkpoint", str(path), "--dataset", data, "--only-missing"]
    save_checkpoint(model, path, {})
    assert calibrate.main(arguments) == 1
    assert "without --only-missing" in capsys.readouterr().err
    model.familiarity = Familiarity(0.5, 0.25, 0.125, 200, "data", "before", 0.0625)
    save_checkpoint(model, path, {"seed": 3})
    assert calibrate.main(arguments) == 0
    again = load_checkpoint(path, exact=True)[0].familiarity
    assert again.strange_place is not None
    assert dataclasses.replace(again, strange_place=None) == model.familiarity
    assert calibrate.main(arguments) == 0
    assert load_checkpoint(path, exact=True)[0].familiarity == again


def test_a_place_is_strange_where_the_model_draws_otherwise():
    """A shipped model draws its own pictures well, and no object in them."""
    model = load_checkpoint(resolve_checkpoint("wall"))[0]
    with simulate(make_task("wall")) as simulation:
        seen = [simulation.reset(episode_rng(5, "evaluate", n)) for n in range(4)]
    images = np.stack([each.image for each in seen])
    states = np.stack([each.state for each in seen])
    assert strange_errors(model, images, states).max() < 0.3
    images[:, 50:58, 50:58] -= np.uint8(27)
    assert strange_errors(model, images, states).min() > 0.4


def test_only_light_keeps_weights_and_other_values(model, recording, tmp_path, capsys):
    path, data = tmp_path / "model.safetensors", str(recording.dataset.path)
    arguments = ["--checkpoint", str(path), "--dataset", data, "--only-light"]
    save_checkpoint(model, path, {})
    assert calibrate.main(arguments) == 1
    assert "without --only-light" in capsys.readouterr().err
    model.familiarity = Familiarity(0.5, 0.25, 0.125, 200, "data", "before")
    save_checkpoint(model, path, {"seed": 3})
    weights = load_checkpoint(path, exact=True)[0].state_dict()
    assert calibrate.main(arguments) == 0
    again, metadata = load_checkpoint(path, exact=True)
    assert again.familiarity.strange_place is not None
    kept = dataclasses.replace(again.familiarity, unexplained=0.0, strange_place=None)
    assert kept == model.familiarity
    assert again.familiarity.unexplained > 0.0
    assert metadata["provenance"] == {"seed": 3}
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, weights[name]), name


def test_a_model_that_sees_as_before_keeps_what_light_does_not_explain(model, recording):
    model.familiarity = Familiarity(0.5, 0.25, 0.125, 200, unexplained=0.0625)
    tuned = copy.deepcopy(model)
    with torch.no_grad():
        for weight in tuned.dynamics.parameters():
            weight.add_(0.01)
    renewed = renewed_familiarity(tuned, model, recording, episodes_of(recording))
    assert renewed.unexplained == 0.0625
    assert renewed.prediction != 0.5
    with torch.no_grad():
        tuned.decoder.background.add_(0.3)
    renewed = renewed_familiarity(tuned, model, recording, episodes_of(recording))
    assert renewed.unexplained != 0.0625
