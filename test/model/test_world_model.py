"""Encoder, dynamics and decoder together: shapes, meaning of the parts, open-loop prediction."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.tasks.maze import Maze
from wm_mpc.spec import SpecError


def observations(model, batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = model.spec.image
    shape = (batch, size.height, size.width, 3)
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return image, torch.randn(batch, model.spec.state.size, generator=generator)


def test_latent_is_the_scene_and_the_normalised_state(make_model):
    model = make_model()
    image, state = observations(model)
    scene, robot = model.split(model.encode(image, state))
    assert torch.equal(scene, model.encode_scene(image))
    assert torch.allclose(model.denormalise_state(robot), state, atol=1e-6)
    assert torch.allclose(robot, (state - model.state_mean) / model.state_std)


def test_bytes_and_floats_of_a_picture_give_the_same_scene(make_model):
    model = make_model()
    image, _ = observations(model)
    floats = image.permute(0, 3, 1, 2).float() / 255.0
    assert torch.equal(model.encode_scene(image), model.encode_scene(floats))


def test_keypoints_follow_a_moving_spot(make_model):
    """A feature map that only the spot excites puts its point there."""
    model = make_model(height=32, width=32)
    encoder = model.encoder
    encoder.features = torch.nn.AvgPool2d(4)
    encoder.log_temperature.fill_(5.0)
    for row, column in ((2, 2), (2, 28), (28, 2), (14, 22)):
        image = torch.zeros(1, 3, 32, 32)
        image[..., row : row + 2, column : column + 2] = 1.0
        points = encoder(image)
        x, y = points[0, :3], points[0, 3:]
        assert x.tolist() == pytest.approx([(column + 1) / 16 - 1] * 3, abs=0.13)
        assert y.tolist() == pytest.approx([(row + 1) / 16 - 1] * 3, abs=0.13)


def test_encoder_is_finite_for_black_and_white_pictures(make_model):
    model = make_model()
    for value in (0, 255):
        image = torch.full((1, 16, 20, 3), value, dtype=torch.uint8)
        assert model.encode(image, torch.zeros(1, 3)).isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(16, 20), (17, 20), (16, 33), (31, 31)])
def test_decoded_picture_has_the_size_of_the_camera(make_model, height, width):
    model = make_model(height=height, width=width)
    latent = model.encode(*observations(model))
    assert model.decode(latent).shape == (3, 3, height, width)


def test_scene_is_seen_in_the_image_only_and_drawn_with_the_robot(make_model):
    model = make_model()
    image, state = observations(model)
    first, second = model.encode(image, state), model.encode(image, state + 1.0)
    assert torch.equal(model.split(first)[0], model.split(second)[0])
    assert not torch.allclose(model.decode(first), model.decode(second), atol=1e-3)


def test_rollout_is_one_step_after_the_other(make_model):
    model = make_model()
    latents = torch.randn(2, 2, model.latent_size)
    actions = torch.randn(2, 4, model.spec.block_size)
    carry = model.start(latents, actions[:, :1])
    whole = model.rollout(carry, actions[:, 1:])
    for number in range(3):
        carry, latent = model.dynamics.step(carry, actions[:, 1 + number])
        torch.testing.assert_close(whole[:, number], latent)


def test_rollout_shares_one_start_among_all_plans(make_model):
    model = make_model()
    latents = torch.randn(1, 2, model.latent_size)
    before, actions = torch.randn(1, 1, 4), torch.randn(5, 3, 4)
    together = model.rollout(model.start(latents, before), actions)
    for number in range(5):
        alone = model.rollout(model.start(latents, before), actions[number : number + 1])
        assert torch.allclose(together[number], alone[0], atol=1e-6)


def test_later_actions_do_not_change_earlier_predictions(make_model):
    model = make_model()
    carry = model.start(torch.randn(1, 1, model.latent_size), torch.zeros(1, 0, 4))
    actions = torch.randn(1, 4, 4)
    changed = actions.clone()
    changed[:, 2] += 1.0
    first, second = model.rollout(carry, actions), model.rollout(carry, changed)
    assert torch.equal(first[:, :2], second[:, :2])
    assert not torch.allclose(first[:, 2:], second[:, 2:])


@pytest.mark.parametrize("what", ["latent", "action"])
def test_prediction_depends_on_the_past(make_model, what):
    model = make_model(history=3)
    latents, past = torch.randn(1, 3, model.latent_size), torch.randn(1, 2, 4)
    ahead = torch.randn(1, 1, 4)
    other_latents, other_past = latents.clone(), past.clone()
    (other_latents if what == "latent" else other_past)[:, 0] += 1.0
    first = model.rollout(model.start(latents, past), ahead)
    second = model.rollout(model.start(other_latents, other_past), ahead)
    assert not torch.allclose(first, second)


def test_scene_behind_a_closed_gate_stands_still_and_the_robot_moves(make_model):
    model = make_model().requires_grad_(False)
    last = model.dynamics.head[-1]
    latents, actions = torch.randn(2, 1, model.latent_size), torch.randn(2, 3, 4)
    start = model.split(latents.expand(-1, 3, -1))

    def change():
        ahead = model.rollout(model.start(latents, actions[:, :0]), actions)
        return [end - begin for end, begin in zip(model.split(ahead), start, strict=True)]

    assert change()[0].abs().mean() > 1e-4
    last.bias[-1] = -60.0
    scene, robot = change()
    assert scene.abs().max() < 1e-6
    assert robot.abs().mean() > 1e-4


def test_checkpoints_from_before_gates_have_none(make_model):
    sizes = dataclasses.asdict(make_model().architecture)
    assert Architecture.from_dict(sizes).gate
    del sizes["gate"]
    assert not Architecture.from_dict(sizes).gate


def test_pose_is_read_from_the_scene_only(make_model):
    model = make_model()
    model.pose_weight.normal_()
    model.pose_bias.fill_(2.0)
    latent = torch.randn(4, 2, model.latent_size)
    other = latent.clone()
    other[..., model.scene_size :] = 0.0
    assert model.read_pose(latent).shape == (4, 2, 2)
    assert torch.equal(model.read_pose(latent), model.read_pose(other))
    expected = latent[0, 0, : model.scene_size] @ model.pose_weight[1] + 2.0
    assert model.read_pose(latent)[0, 0, 1] == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dynamics": "magic"}, "dynamics is 'magic'; accepted: gru, transformer"),
        ({"encoder_width": 6}, "encoder_width is 6; a multiple of 4"),
        ({"decoder_width": 0}, "decoder_width is 0"),
        ({"keypoints": 0}, "keypoints is 0; accepted: an integer of at least 1"),
        ({"hidden": 0}, "hidden is 0; accepted: an integer of at least 1"),
        ({"embedding": 0}, "embedding is 0; accepted: an integer of at least 1"),
        ({"context": 0}, "context is 0; accepted: an integer of at least 1 steps"),
        ({"dynamics": "transformer", "hidden": 30}, "hidden is 30; a multiple of heads, 4"),
    ],
)
def test_architecture_that_cannot_be_built_is_named(settings, message):
    with pytest.raises(SpecError, match=message):
        Architecture(**settings)


def test_rollout_follows_weights_that_change(make_model):
    model = make_model().requires_grad_(False)
    latents, actions = torch.randn(1, 1, model.latent_size), torch.randn(1, 2, 4)
    before = model.rollout(model.start(latents, actions[:, :0]), actions)
    for weight in model.dynamics.parameters():
        weight.mul_(0.5)
    after = model.rollout(model.start(latents, actions[:, :0]), actions)
    assert not torch.allclose(before, after, atol=1e-3)
    model.requires_grad_(True)  # as in training: step by step
    trained = model.rollout(model.start(latents, actions[:, :0]), actions)
    torch.testing.assert_close(after, trained.detach())


def test_a_robot_of_which_nothing_is_measured_is_no_reason_to_warn(recwarn):
    model = WorldModel(Maze.spec, Architecture(keypoints=3, hidden=8))
    image = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    latent = model.encode(image, torch.zeros(2, 0))
    assert latent.shape == (2, model.scene_size)
    assert model.decode(latent).shape == (2, 3, 64, 64)
    assert not recwarn.list
