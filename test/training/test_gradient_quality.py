"""Slopes of the cost through the model, against those of the simulator."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.training.gradient_quality import (
    GradientQuality,
    GradientQualityConfig,
    gradient_quality,
)
from wm_mpc.training.recorded_case import RecordedCase, why_not_simulated

EPISODES = np.arange(4)
CONFIG = GradientQualityConfig(states=6, horizon=3, directions=4)


@pytest.fixture(scope="module")
def shipped():
    return load_checkpoint(resolve_checkpoint("wall"))[0]


class TwinOfTheSimulator(WorldModel):
    """A model whose rollout is a given function of the actions."""

    def __init__(self, model, of_actions):
        super().__init__(model.spec, model.architecture)
        self.load_state_dict(model.state_dict())
        self.requires_grad_(False)
        self.of_actions = of_actions

    def rollout(self, carry, actions):
        return self.of_actions(carry[0], actions)


def free_motion(model):
    """A base that drives as it is told, through all walls: the pose that is read from the keypoints
    moves by the mean speed times 0.5 s."""
    back = torch.linalg.pinv(model.pose_weight)

    def rollout(latent, actions):
        speed = actions.reshape(len(actions), actions.shape[1], 5, 2).mean(2)
        moved = 0.5 * speed.cumsum(1) @ back.T
        moved = torch.cat([moved, torch.zeros(*moved.shape[:2], 2)], -1)
        return latent[:, None].expand(len(actions), actions.shape[1], -1) + moved

    return rollout


def test_trained_model_points_the_right_way_and_an_untrained_one_does_not(shipped, recording):
    good = gradient_quality(shipped, recording, EPISODES, CONFIG)
    torch.manual_seed(0)
    blind = WorldModel(shipped.spec, shipped.architecture)
    weights = {**blind.state_dict(), **shipped.state_dict()}
    weights.update({k: v for k, v in blind.state_dict().items() if k.startswith("dynamics.")})
    blind.load_state_dict(weights)
    bad = gradient_quality(blind.requires_grad_(False), recording, EPISODES, CONFIG)
    assert good.quartiles[1] > 0.9
    assert bad.quartiles[1] < 0.7
    assert np.array_equal(good.world, bad.world)


def test_model_of_free_motion_agrees_where_motion_is_free(shipped, recording):
    model = TwinOfTheSimulator(shipped, free_motion(shipped))
    assert gradient_quality(model, recording, EPISODES, CONFIG).quartiles[1] > 0.8


def test_slope_through_the_model_is_its_finite_difference(shipped, recording):
    """With the model in place of the simulator both ways must agree."""
    case = RecordedCase(shipped, recording, ObjectiveConfig(), 3, 3)
    held = torch.tensor([0.3, -0.2, 0.1, 0.5], requires_grad=True)
    (slope,) = torch.autograd.grad(case.cost(case.held_plan(held)).sum(), held)
    for number, direction in enumerate(torch.eye(4)):
        with torch.no_grad():
            above, below = (
                case.cost.of_latents(case.predicted(plan)[None, 1:], plan)
                for plan in (case.held_plan(held + s * 0.002 * direction) for s in (1, -1))
            )
        assert float(above - below) / 0.004 == pytest.approx(slope[number].item(), abs=5e-3)


def test_recorded_actions_lead_to_the_recorded_goal(shipped, recording):
    """The simulator, restored, does again what was recorded; so the goal is reached."""
    case = RecordedCase(shipped, recording, ObjectiveConfig(), 4, 3)
    _, blocks = recording.window(np.array([4]), 3)
    with simulate(make_task("wall")) as simulation:
        images, latents = case.seen(simulation, torch.from_numpy(blocks))
    assert np.abs(images[-1].astype(int) - recording.images[case.goal]).mean() < 0.5
    assert case.distance(latents)[-1] < 0.05 < case.distance(latents)[0]


def test_history_is_the_recorded_one(recording):
    torch.manual_seed(0)
    spec = dataclasses.replace(recording.spec, history=3)
    model = WorldModel(spec, Architecture(4, 4, 4, hidden=16)).requires_grad_(False)
    case = RecordedCase(model, recording, ObjectiveConfig(), 0, 2)
    assert (case.present, case.goal) == (10, 20)
    assert gradient_quality(model, recording, EPISODES, CONFIG).world.shape == (6, 4)


def test_slopes_do_not_depend_on_chance(shipped, recording):
    first, second = (gradient_quality(shipped, recording, EPISODES, CONFIG) for _ in range(2))
    assert np.array_equal(first.world, second.world)
    assert np.array_equal(first.model, second.model)


def test_data_without_a_simulator_or_of_short_episodes_has_no_answer(
    shipped, recording, monkeypatch
):
    assert gradient_quality(shipped, recording, EPISODES, GradientQualityConfig(horizon=7)) is None
    monkeypatch.setattr(recording, "simulator_states", None)
    assert gradient_quality(shipped, recording, EPISODES, CONFIG) is None


def test_quartiles_are_those_of_the_cosines():
    angles = np.deg2rad([0, 60, 90, 120, 180])
    world = np.stack([np.cos(angles), np.sin(angles)], 1)
    model = np.tile([2.0, 0.0], (5, 1))
    quality = GradientQuality(np.concatenate([model, [[0, 0]]]), np.concatenate([world, [[1, 0]]]))
    assert quality.cosines == pytest.approx([1.0, 0.5, 0.0, -0.5, -1.0])
    assert quality.quartiles == pytest.approx((-0.5, 0.0, 0.5))
    assert np.isnan(GradientQuality(np.zeros((2, 3)), np.ones((2, 3))).quartiles).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"states": 0}, "states is 0"),
        ({"delta": 0.5}, r"delta is 0\.5; accepted: above 0, to 0\.3"),
    ],
)
def test_setting_out_of_range_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        GradientQualityConfig(**settings)


def test_states_of_another_version_of_the_task_are_a_reason_not_a_crash(recording, shipped):
    old = copy.copy(recording)
    old.simulator_states = recording.simulator_states[:, :3]
    assert why_not_simulated(recording) == ""
    assert why_not_simulated(old)
    assert gradient_quality(shipped, old, np.array([3])) is None
