"""A trained model that goes on learning from what happens."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.cli import adapt
from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.experiments.adaptation.adaptation import drive
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.sim.disturbance import Disturbance
from wm_mpc.sim.tasks import make_task
from wm_mpc.training import finetune
from wm_mpc.training.finetune import (
    FineTuneConfig,
    FineTuneError,
    fine_tune,
    held_out_error,
    split,
)

MOVED = Disturbance(camera=0.1)
QUICK = FineTuneConfig(parts="all", updates=30, batch=32, pictures=5)


@pytest.fixture(scope="module")
def model():
    return load_checkpoint(resolve_checkpoint("wall"))[0]


@pytest.fixture(scope="module")
def moved(model, tmp_path_factory):
    """What the shipped controller of `wall` does when its camera has been moved."""
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("live") / "wall"
    dataset = Dataset.create(path, model.spec)
    drive(model, MOVED, 6, 31, dataset)
    return Recording(dataset)


@pytest.mark.slow
def test_a_moved_camera_is_found_and_predictions_come_true_again(model, moved):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    tuned, comparison = fine_tune(model, moved, QUICK)
    assert comparison.accepted
    assert comparison.after < 0.5 * comparison.before
    assert not torch.equal(tuned.scene_mean, model.scene_mean)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]), f"{name} of the given model has changed"
    assert not any(weight.requires_grad for weight in tuned.parameters())


@pytest.mark.slow
def test_a_model_of_maps_has_no_place_of_the_camera(moved):
    """Its code is no place in the picture, so a shift of it would mean nothing."""
    torch.manual_seed(0)
    sizes = Architecture(6, 8, 8, hidden=64, proposals=0, encoder="map")
    model = WorldModel(moved.spec, sizes).eval().requires_grad_(False)
    tuned, _ = fine_tune(model, moved, dataclasses.replace(QUICK, updates=3))
    assert torch.equal(tuned.scene_mean, model.scene_mean)


@pytest.mark.slow
def test_it_is_the_same_every_time(model, moved):
    first, second = (
        fine_tune(model, moved, FineTuneConfig(updates=3, batch=8))[0].state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())


@pytest.mark.slow
def test_dynamics_alone_leave_the_rest_as_it_is(model, moved):
    tuned, _ = fine_tune(model, moved, FineTuneConfig(updates=3, batch=8), replay=moved)
    changed = {
        name.split(".")[0]
        for name, weight in tuned.state_dict().items()
        if not torch.equal(weight, model.state_dict()[name])
    }
    assert changed == {"dynamics"}


@pytest.mark.slow
def test_dynamics_stay_half_of_those_before_the_first_round(model, moved):
    """Whatever earlier rounds have made of them."""
    later = copy.deepcopy(model)
    with torch.no_grad():
        later.dynamics.head[-1].bias.add_(1.0)
    quick = FineTuneConfig(updates=3, batch=8)
    free = fine_tune(later, moved, dataclasses.replace(quick, keep=0.0), first=model)[0]
    kept = fine_tune(later, moved, quick, first=model)[0]
    for name, before in model.dynamics.state_dict().items():
        expected = 0.5 * (before + free.dynamics.state_dict()[name])  # type: ignore[attr-defined]
        torch.testing.assert_close(kept.dynamics.state_dict()[name], expected)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_worse_model_is_refused(model, moved, monkeypatch):
    def spoil(tuned, *_):
        with torch.no_grad():
            for weight in tuned.dynamics.parameters():
                weight.add_(0.3 * torch.randn_like(weight))

    monkeypatch.setattr(finetune, "learn_motion", spoil)
    _, comparison = fine_tune(model, moved, FineTuneConfig())
    assert not comparison.accepted
    assert comparison.after > comparison.before


@pytest.mark.slow
def test_held_out_episodes_stay_held_out_as_more_come(moved):
    learn, held_out = split(moved)
    assert len(held_out) >= 1
    assert sorted([*learn, *held_out]) == list(range(len(moved.indices)))
    assert all(moved.indices[number] % 5 == 4 for number in held_out)


@pytest.mark.slow
def test_error_is_one_for_a_model_that_predicts_no_change(moved):
    model = WorldModel(moved.spec, Architecture(4, 4, 4, hidden=16)).eval().requires_grad_(False)
    model.dynamics.head[-1].weight.zero_()  # type: ignore[attr-defined]
    model.dynamics.head[-1].bias.zero_()  # type: ignore[attr-defined]
    assert held_out_error(model, moved, split(moved)[1], 3) == pytest.approx(1.0, abs=1e-3)


def test_too_few_episodes_are_named(model, recording):
    with pytest.raises(FineTuneError, match="there are 4 episodes; at least 5"):
        fine_tune(model, recording, FineTuneConfig())


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"parts": "wheels"}, "parts is 'wheels'"), ({"updates": 0}, "updates is 0"),
     ({"replay_share": 1.0}, "replay_share is 1.0"), ({"keep": 1.0}, "keep is 1.0")],
    ids=["parts", "updates", "share", "keep"],
)  # fmt: skip
def test_settings_that_make_no_sense_are_named(change, reason):
    with pytest.raises(ValueError, match=reason):
        FineTuneConfig(**change)


def test_friction_is_changed_only_where_there_is_some():
    assert Disturbance(friction=2.0).apply(make_task("maze")).friction_factor == 2.0  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="'wall' has no friction"):
        Disturbance(friction=2.0).apply(make_task("wall"))
    with pytest.raises(ValueError, match=r"friction is 0\.0"):
        Disturbance(friction=0.0)


def test_a_moved_camera_moves_the_picture_and_no_other_task():
    view = make_task("wall").view
    assert MOVED.apply(make_task("wall")).view.position[0] == pytest.approx(view.position[0] + 0.1)
    assert make_task("wall").view == view


def test_command_refuses_an_unknown_checkpoint(tmp_path, capsys):
    assert adapt.main(["--checkpoint", "nothing", "--out", str(tmp_path)]) == 1
    assert "adapt: no checkpoint 'nothing'" in capsys.readouterr().err


@pytest.mark.slow
def test_recorded_robot_never_leaves_its_limits(moved):
    actions = moved.actions[~np.isnan(moved.actions).any(1)]
    assert np.abs(actions).max() <= max(moved.spec.action.high)
