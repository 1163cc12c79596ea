"""Diagnostics and the picture of a run."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training import diagnostics, report
from wm_mpc.training.gradient_quality import GradientQualityConfig, gradient_quality
from wm_mpc.training.replay import encode_all


@pytest.fixture
def model(recording):
    torch.manual_seed(0)
    model = WorldModel(recording.spec, Architecture(4, 4, 4, hidden=16, pose_names=("x", "y")))
    return model.eval().requires_grad_(False)


def test_diagnostics_have_every_metric(model, recording):
    metrics = diagnostics.diagnostics(model, recording, np.array([2, 3]), horizon=3)
    assert set(metrics) == {
        "open_loop_error", "persistence_error", "effective_rank", "probe_r2", "rank_correlation",
        "robot_explained", "actions_explain", "drawn", "points_on_motion",
    }  # fmt: skip
    assert len(metrics["open_loop_error"]) == len(metrics["persistence_error"]) == 3
    assert len(metrics["probe_r2"]) == 2
    assert 1.0 <= metrics["effective_rank"] <= model.latent_size
    assert -1.0 <= metrics["rank_correlation"] <= 1.0
    assert 0.0 <= metrics["robot_explained"] <= 1.0
    numbers = [value for entry in metrics.values() for value in np.ravel(entry)]
    assert np.isfinite(numbers).all()


def test_persistence_is_the_error_of_predicting_no_change(model, recording):
    """A model that predicts no change has just that error."""
    head = model.dynamics.head[-1]
    head.weight.zero_()
    head.bias.zero_()
    metrics = diagnostics.diagnostics(model, recording, np.array([2, 3]), horizon=3)
    assert metrics["open_loop_error"] == pytest.approx(metrics["persistence_error"], rel=1e-3)


def test_short_episodes_give_as_many_steps_as_they_have(model, recording):
    metrics = diagnostics.diagnostics(model, recording, np.array([3]), horizon=50)
    assert len(metrics["open_loop_error"]) == 4


def test_episodes_that_are_too_short_give_no_diagnostics(recording):
    """30 low-level steps are 6 model steps: none after a history of 7."""
    spec = dataclasses.replace(recording.spec, history=7)
    model = WorldModel(spec, Architecture(4, 4, 4, hidden=16)).requires_grad_(False)
    assert diagnostics.diagnostics(model, recording, np.array([3]), horizon=2) == {}


def test_robot_explained_is_all_of_the_variance_that_matters(model):
    state = torch.randn(600, 2)
    scene = torch.zeros(600, model.scene_size)
    scene[:, 0] = state[:, 0]
    scene[:, 1] = 0.01 * torch.randn(600)
    assert diagnostics.robot_explained(model, torch.cat([scene, state], 1)) > 0.999
    scene[:, 1] *= 100.0
    share = diagnostics.robot_explained(model, torch.cat([scene, state], 1))
    assert share == pytest.approx(0.5, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [3, 50])
def test_picture_is_written(model, recording, tmp_path, horizon):
    episodes = np.array([2, 3])
    metrics = diagnostics.diagnostics(model, recording, episodes, horizon)
    history = [
        {"phase": phase, "update": update, "loss": 1.0 / (1 + update)}
        for phase in (0, 1, 2, 3)
        for update in range(0, 60, 20)
    ]
    path = tmp_path / "report.png"
    report.draw_report(model, recording, episodes, history, metrics, path, horizon)
    picture = cv2.imread(str(path))
    assert picture.shape[0] > 500
    assert picture.std() > 10


@pytest.mark.slow
def test_picture_does_without_a_simulator(model, recording, tmp_path, monkeypatch):
    """A dataset of a real robot: no plans are drawn; the same picture otherwise."""
    episodes = np.array([2, 3])
    quality = gradient_quality(
        model, recording, episodes, GradientQualityConfig(states=2, horizon=2, directions=2)
    )
    sizes = {}
    for name in ("with", "without"):
        path = tmp_path / f"{name}.png"
        report.draw_report(model, recording, episodes, [], {}, path, 2, quality)
        picture = cv2.imread(str(path))
        sizes[name] = (picture.shape, (picture[-picture.shape[0] // 4 :] < 250).mean())
        monkeypatch.setattr(recording, "simulator_states", None)
    assert sizes["with"][0] == sizes["without"][0]
    assert sizes["with"][1] > 0.05
    assert sizes["without"][1] == 0.0


def test_prediction_begins_after_the_history(model, recording):
    latents = encode_all(model, recording.images[:1], recording.states[:1])[None]
    actions = np.zeros((1, 4, recording.spec.block_size), np.float32)
    predicted = diagnostics.predict(model, latents, actions)
    expected = model.rollout(model.start(latents, torch.zeros(1, 0, 10)), torch.zeros(1, 4, 10))
    assert torch.equal(predicted, expected)


def test_probe_finds_what_is_linear_and_nothing_else():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4))
    linear = features @ np.array([1.0, -2.0, 0.5, 0.0]) + 3.0
    noise = rng.normal(size=300)
    found = diagnostics.probe(features, np.stack([linear, noise], 1))
    assert found[0] == pytest.approx(1.0, abs=1e-9)
    assert found[1] < 0.2


def test_rank_correlation_sees_order_only():
    rng = np.random.default_rng(0)
    first = rng.normal(size=100)
    assert diagnostics.rank_correlation(first, np.exp(first)) == pytest.approx(1.0)
    assert diagnostics.rank_correlation(first, -(first**3)) == pytest.approx(-1.0)
    assert abs(diagnostics.rank_correlation(first, rng.normal(size=100))) < 0.3


@pytest.mark.parametrize("rank", [1, 3])
def test_effective_rank_counts_the_directions_in_use(rank):
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(8, 8)).Q[:rank]
    latents = torch.randn(20000, rank) @ basis + 5.0
    assert diagnostics.effective_rank(latents) == pytest.approx(rank, rel=0.02)
