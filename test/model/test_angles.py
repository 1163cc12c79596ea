"""Angles are points on a circle to a model: every distance goes the short way round."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import safetensors
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import (
    FORMAT,
    FORMAT_WITH_ANGLES,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from wm_mpc.model.familiarity import checkpoint_complaint, prediction_error
from wm_mpc.model.state_features import StateFeatures, measure_state
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import squared_distance
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, SpecError, StateSpec

BASE = StateSpec(("x", "y", "yaw"), ("m", "m", "rad"), "odom", ("yaw",))
ARM = StateSpec(("slide", "wrist", "hand"), ("m", "rad", "rad"), "joint_states", ("hand", "wrist"))
PICTURE = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)


def make_model(state=BASE, *, mean=None, spread=None, **sizes):
    spec = RobotSpec(
        "base",
        ActionSpec(("vx", "wz"), "velocity", "m/s", (-1.0, -1.0), (1.0, 1.0)),
        state,
        ImageSpec(16, 16),
        control_period=0.1,
        frame_skip=2,
    )
    torch.manual_seed(0)
    model = WorldModel(spec, Architecture(3, 4, 4, **{"hidden": 16, "proposals": 0, **sizes}))
    if mean is not None:
        model.state_mean.copy_(torch.tensor(mean))
    if spread is not None:
        model.state_std.copy_(torch.tensor(spread))
    return model.eval().requires_grad_(False)


def at(model, *state):
    return model.encode(PICTURE, torch.tensor([state]))[0]


def turned(first, second):
    """The short way between two angles."""
    return abs(math.remainder(first - second, 2 * math.pi))


def cost_of_state(model, latent, goal):
    goal_state = model.split(goal)[1]
    return float(squared_distance(model, latent, model.embed(goal), goal_state, 1.0))


@pytest.mark.parametrize("spread", [[1.0, 1.0, 1.8], [1.0, 1.0, 1.0], [1.0, 1.0, 0.05]], ids=str)
def test_a_little_across_pi_costs_a_little(spread):
    model = make_model(spread=spread)
    goal = at(model, 0.0, 0.0, -3.13)
    near, far = (at(model, 0.0, 0.0, yaw) for yaw in (3.13, 1.57))
    assert cost_of_state(model, near, goal) < 0.001 * cost_of_state(model, far, goal)
    error = prediction_error(near, goal)
    assert error < 0.02 * prediction_error(far, goal)


def test_places_share_a_distance_equally_and_velocities_have_no_share():
    names, units = ("vx", "yaw", "x", "j/effort"), ("m/s", "rad", "m", "N m")
    features = StateFeatures(StateSpec(names, units, "odom", ("yaw",)))
    third = pytest.approx(1.0 / 3.0)
    assert features.place_shares.tolist() == [0.0, third, third, 0.0, third]  # the last: cosine


def test_a_perfect_prediction_across_pi_is_no_error():
    model = make_model(spread=[1.0, 1.0, 1.8])
    assert prediction_error(at(model, 0.0, 0.0, 3.14159), at(model, 0.0, 0.0, -3.14159)) < 1e-4


directions = st.floats(-math.pi, math.pi)


@settings(deadline=None)
@given(directions, directions, directions, st.floats(0.01, 1.0))
def test_distance_is_that_of_points_on_a_circle(first, second, mean, spread):
    features = StateFeatures(BASE)
    scale = torch.tensor([1.0, 1.0, spread])
    middle = torch.tensor([0.0, 0.0, mean])
    one, other = (
        features.of(torch.tensor([0.0, 0.0, angle]), middle, scale) for angle in (first, second)
    )
    chord = 2.0 * math.sin(turned(first, second) / 2.0) / spread
    assert float((one - other).norm()) == pytest.approx(chord, abs=2e-6 / spread)


TURNING = make_model(ARM, mean=[0.1, 2.0, -3.0], spread=[0.5, 0.7, 0.2])


@settings(deadline=None)
@given(st.floats(-50, 50), st.floats(-50, 50), st.integers(-3, 3))
def test_whole_turns_change_nothing(wrist, hand, turns):
    model = TURNING
    state = torch.tensor([0.3, wrist, hand])
    more = state + torch.tensor([0.0, 1.0, -1.0]) * 2.0 * math.pi * turns
    torch.testing.assert_close(
        model.normalise_state(state), model.normalise_state(more), atol=1e-3, rtol=0
    )


@settings(deadline=None)
@given(st.floats(-5, 5), directions, directions)
def test_states_come_back_out_of_their_features(slide, wrist, hand):
    model = TURNING
    state = torch.tensor([slide, wrist, hand])
    back = model.denormalise_state(model.normalise_state(state))
    assert float(back[0]) == pytest.approx(slide, abs=1e-5)
    for found, wanted in ((back[1], wrist), (back[2], hand)):
        assert turned(float(found), wanted) < 1e-5


RECORDED = {
    "hardly turns, across pi": lambda rng: math.pi + 0.05 * rng.normal(size=4000),
    "turns somewhat": lambda rng: 1.0 + 0.6 * rng.normal(size=4000),
    "all directions": lambda rng: rng.uniform(-math.pi, math.pi, 4000),
    "many turns": lambda rng: 900.0 + 0.3 * rng.normal(size=4000),
}


@pytest.mark.parametrize("angles", RECORDED.values(), ids=RECORDED)
def test_features_of_what_was_recorded_are_of_about_unit_size(angles):
    rng = np.random.default_rng(0)
    yaw = np.remainder(angles(rng) + math.pi, 2 * math.pi) - math.pi
    states = np.column_stack([rng.normal(5.0, 3.0, (4000, 2)), yaw]).astype(np.float32)
    mean, spread = map(torch.from_numpy, measure_state(BASE, states))
    features = StateFeatures(BASE).of(torch.from_numpy(states), mean, spread)
    assert features.shape == (4000, 4)
    assert features.mean(0).abs().max() < 0.01
    variance = features.var(0, correction=0)
    assert variance[[0, 1]].tolist() == pytest.approx([1.0, 1.0], abs=0.01)
    assert float(variance[2] + variance[3]) == pytest.approx(1.0, abs=0.02)


def test_the_mean_of_angles_around_pi_is_pi():
    yaw = np.array([3.1, -3.1, 3.0, -3.0])
    states = np.column_stack([np.zeros((4, 2)), yaw]).astype(np.float32)
    mean, spread = measure_state(BASE, states)
    assert abs(mean[2]) == pytest.approx(math.pi, abs=1e-4)
    assert spread[2] == pytest.approx(0.1, abs=0.02)


def test_what_never_changes_has_a_spread_that_does_no_harm():
    states = np.tile(np.float32([0.05, 1e6, 3.0]), (50, 1))
    states[:, 0] += 1e-4 * np.arange(50) / 50  # hardly changes, but it does
    mean, spread = measure_state(BASE, states)
    assert mean.tolist() == pytest.approx([0.05005, 1e6, 3.0], abs=1e-4)
    assert spread.tolist() == pytest.approx([1e-3, 1.0, 1.0])


def test_numbers_far_from_zero_keep_their_spread():
    x = np.float32(1e6) + np.arange(100_000, dtype=np.float32) % 16
    states = np.column_stack([x, x, np.zeros_like(x)])
    mean, spread = measure_state(dataclasses.replace(BASE, angles=()), states)
    assert mean[0] == pytest.approx(1e6 + 7.5, abs=0.1)
    assert spread[0] == pytest.approx(4.61, abs=0.01)


def test_without_angles_the_arithmetic_is_that_of_before():
    model = make_model(dataclasses.replace(BASE, angles=()), mean=[0.1, 2.0, 0.7])
    state = torch.randn(7, 3)
    assert model.latent_size == model.scene_size + 3
    assert torch.equal(model.normalise_state(state), (state - model.state_mean) / model.state_std)
    assert torch.equal(model.denormalise_state(state), state * model.state_std + model.state_mean)


def test_the_decoder_draws_one_picture_on_both_sides_of_pi():
    model = make_model()
    sides = torch.stack([at(model, 0.0, 0.0, yaw) for yaw in (3.1415, -3.1415)])
    drawn = model.decode(sides)
    torch.testing.assert_close(drawn[0], drawn[1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("dynamics", ["gru", "transformer"])
@pytest.mark.parametrize("backend", ["native", "torch"])
def test_a_controller_measures_goals_the_short_way(dynamics, backend):
    model = make_model(dynamics=dynamics, heads=2)
    controller, image = RecedingHorizon(model), PICTURE[0].numpy()
    controller.set_goal(image, np.float32([0.0, 0.0, -3.13]))
    planner = PlannerConfig(horizon=2, iterations=2, restarts=2, backend=backend)
    objective = ObjectiveConfig(state_weight=1.0)
    far = []
    for stamp, yaw in enumerate((3.13, 1.57)):
        plan = controller.plan(
            image, np.float32([0.0, 0.0, yaw]), float(stamp), planner=planner, objective=objective
        )
        assert plan.latents.shape == (3, model.latent_size)
        far.append(controller.goal_distance(plan.latents[0], 1.0))
    assert far[0] < 0.03 * far[1]


def test_a_goal_without_a_state_is_planned_for():
    model = make_model(mean=[0.0, 0.0, 3.1], spread=[1.0, 1.0, 0.2])
    controller, image = RecedingHorizon(model), PICTURE[0].numpy()
    controller.set_goal(image, None)
    planner = PlannerConfig(horizon=2, iterations=1, restarts=1)
    plan = controller.plan(
        image, np.float32([0, 0, -3.1]), 0.0, planner=planner, objective=ObjectiveConfig()
    )
    assert np.isfinite(plan.actions).all()


@pytest.mark.parametrize("yaw", [float("nan"), float("inf"), -float("inf")])
def test_an_angle_that_is_none_is_refused(yaw):
    controller = RecedingHorizon(make_model())
    with pytest.raises(RuntimeError, match="not finite"):
        controller.set_goal(PICTURE[0].numpy(), np.float32([0.0, 0.0, yaw]))


def metadata_of(path):
    with safetensors.safe_open(path, "pt") as file:
        return json.loads(file.metadata()["wm_mpc"])


@pytest.mark.parametrize("state", [BASE, ARM], ids=["base", "arm"])
def test_a_checkpoint_keeps_its_angles(state, tmp_path):
    model = make_model(state)
    path = tmp_path / "turns.safetensors"
    save_checkpoint(model, path, {})
    assert metadata_of(path)["format"] == FORMAT_WITH_ANGLES  # older versions refuse it
    loaded, _ = load_checkpoint(path, exact=True)
    assert loaded.spec == model.spec
    number = torch.randn(4, 3)
    assert torch.equal(loaded.normalise_state(number), model.normalise_state(number))


def test_a_checkpoint_without_angles_is_one_that_older_versions_read(tmp_path):
    path = tmp_path / "plain.safetensors"
    save_checkpoint(make_model(dataclasses.replace(BASE, angles=())), path, {})
    metadata = metadata_of(path)
    assert metadata["format"] == FORMAT
    assert set(metadata["state"]) == {"names", "unit", "source"}
    assert load_checkpoint(path)[0].spec.state.angles == ()


@pytest.mark.parametrize("angles", [(), ("yaw",)])
def test_a_format_that_contradicts_the_angles_is_refused(angles, tmp_path):
    path = tmp_path / "odd.safetensors"
    save_checkpoint(make_model(dataclasses.replace(BASE, angles=angles)), path, {})
    metadata = metadata_of(path)
    metadata["format"] = FORMAT if angles else FORMAT_WITH_ANGLES
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors, path, {"wm_mpc": json.dumps(metadata)})
    with pytest.raises(CheckpointError, match=r"format 3 is for files with angles"):
        load_checkpoint(path)


@pytest.mark.parametrize("angles", [("roll",), ("yaw", "yaw")], ids=str)
def test_angles_that_are_no_entries_are_refused(angles):
    with pytest.raises(SpecError, match=r"state\.angles is .*accepted: entries of state\.names"):
        dataclasses.replace(BASE, angles=angles)


def test_the_yaw_of_odometry_is_an_angle_whatever_a_recording_says():
    old = dataclasses.replace(BASE, angles=())
    assert old.unnamed_angles == ("yaw",)
    assert old.with_all_angles() == BASE
    assert BASE.with_all_angles() == BASE
    joint = StateSpec(("yaw",), ("rad",), "joint_states")  # a joint may be stopped before pi
    assert joint.with_all_angles() == joint


def test_a_checkpoint_of_before_says_that_yaw_is_a_number():
    old = make_model(dataclasses.replace(BASE, angles=()))
    assert "does not know that yaw is an angle" in checkpoint_complaint(old)
    assert "yaw" not in checkpoint_complaint(make_model())


def test_one_robot_stays_one_robot_when_its_angles_are_known(tmp_path):
    new, old = (make_model(state).spec for state in (BASE, dataclasses.replace(BASE, angles=())))
    assert new != old
    assert new.is_same_robot(old)
    Dataset.create(tmp_path / "live", old)
    assert Dataset.create(tmp_path / "live", new).spec == old
    other = dataclasses.replace(
        new, state=dataclasses.replace(BASE, names=("x", "y", "wz"), angles=())
    )
    assert not new.is_same_robot(other)
    with pytest.raises(DatasetError, match="another robot"):
        Dataset.create(tmp_path / "live", other)
