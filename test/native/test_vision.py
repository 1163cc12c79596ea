"""Machine code sees what PyTorch sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.control.surprise import SurpriseMonitor
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.familiarity import Familiarity, image_error
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.library import library
from wm_mpc.native.selection import native_vision
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

pytestmark = pytest.mark.skipif(library() is None, reason="no C++ compiler here")


def make_model(*, size=(16, 20), state=("x", "y"), angles=(), **sizes):
    spec = RobotSpec(
        "toy",
        ActionSpec(("a",), "velocity", "m/s", (-1.0,), (1.0,)),
        StateSpec(state, ("m",) * len(state), "odom", angles),
        ImageSpec(*size),
        control_period=0.1,
        frame_skip=2,
    )
    torch.manual_seed(0)
    model = WorldModel(spec, Architecture(hidden=32, **sizes))
    model.eval().requires_grad_(False)
    parts = (*model.encoder.parameters(), *model.decoder.parameters())
    for weight in (*parts, model.scene_mean, model.scene_map, model.scene_unmap):
        weight.add_(0.2 * torch.randn_like(weight))  # so that everything matters
    return model


def picture(model, seed=1):
    size = (model.spec.image.height, model.spec.image.width, 3)
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, size, np.uint8))


MODELS = {
    "usual": {"size": (64, 64), "keypoints": 16},
    "odd size": {"size": (17, 33)},
    "smallest": {"size": (16, 16), "keypoints": 1, "robot_points": 1, "encoder_width": 4,
                 "decoder_width": 4},
    "many points": {"keypoints": 19, "robot_points": 21},
    "wide": {"encoder_width": 40, "decoder_width": 36},
    "nothing measured": {"state": ()},
    "angles": {"state": ("arm", "x", "hand"), "angles": ("hand", "arm")},
}  # fmt: skip


@pytest.mark.parametrize("sizes", MODELS.values(), ids=MODELS)
def test_scene_and_redrawn_image_are_those_of_torch(sizes):
    model = make_model(**sizes)
    vision = native_vision(model)
    for seed in (1, 2):  # what the first leaves in memory does not matter
        image = picture(model, seed)
        state = model.normalise_state(torch.randn(1, model.spec.state.size))
        scene = vision.encode_scene(image)
        torch.testing.assert_close(scene, model.encode_scene(image[None])[0], atol=1e-4, rtol=0)
        latent = torch.cat([scene, state[0]])
        expected = float(image_error(model, image[None], latent[None])[0])
        assert vision.image_error(image, latent) == pytest.approx(expected, abs=1e-5)
        drawn = model.decode(latent[None])[0].permute(1, 2, 0)
        torch.testing.assert_close(vision.redraw(latent), drawn, atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_of_one_colour(value):
    model = make_model()
    image = torch.full((16, 20, 3), value, dtype=torch.uint8)
    expected = model.encode_scene(image[None])[0]
    torch.testing.assert_close(
        native_vision(model).encode_scene(image), expected, atol=1e-4, rtol=0
    )


def test_a_picture_whose_rows_lie_apart_is_read_rightly():
    model = make_model()
    apart = picture(make_model(size=(16, 40)))[:, ::2]
    assert not apart.is_contiguous()
    vision = native_vision(model)
    assert torch.equal(vision.encode_scene(apart), vision.encode_scene(apart.contiguous()))


@pytest.mark.parametrize(
    "image", [torch.zeros(16, 21, 3, dtype=torch.uint8), torch.zeros(16, 20, 3)]
)
def test_another_picture_is_refused(image):
    with pytest.raises(ValueError, match=r"the model wants uint8 \(16, 20, 3\)"):
        native_vision(make_model()).encode_scene(image)


@pytest.mark.parametrize("part", ["encoder.features.4.bias", "scene_mean", "decoder.background"])
def test_changed_weights_are_seen(part):
    model = make_model()
    image, latent = picture(model), torch.zeros(model.latent_size)
    before = native_vision(model)
    old = before.encode_scene(image), before.image_error(image, latent)
    changed = {**dict(model.named_parameters()), **dict(model.named_buffers())}[part]
    changed.mul_(2.0)
    after = native_vision(model)
    assert (not torch.equal(after.encode_scene(image), old[0])) or (
        after.image_error(image, latent) != old[1]
    )
    expected = model.encode_scene(image[None])[0]
    torch.testing.assert_close(after.encode_scene(image), expected, atol=1e-4, rtol=0)


def test_models_being_trained_and_other_numbers_are_for_torch():
    model = make_model()
    model.encoder.requires_grad_(True)
    assert native_vision(model) is None
    assert native_vision(make_model().double()) is None


def test_the_controller_sees_the_same_with_either_back_end():
    model = make_model(size=(32, 32))
    image, state = picture(model).numpy(), np.array([0.3, -0.2], np.float32)
    latents = []
    for backend in ("native", "torch"):
        controller = RecedingHorizon(model)
        controller.set_goal(picture(model, 5).numpy(), None)
        planner = PlannerConfig(horizon=2, iterations=1, restarts=1, backend=backend)
        plan = controller.plan(image, state, 0.0, planner=planner, objective=ObjectiveConfig())
        latents.append(plan.latents[0])
    torch.testing.assert_close(*latents, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        latents[1], model.encode(torch.from_numpy(image)[None], torch.from_numpy(state)[None])[0],
        atol=1e-6, rtol=0,
    )  # fmt: skip


def test_surprise_is_told_by_machine_code_and_torch_alike(monkeypatch):
    model = make_model()
    model.familiarity = Familiarity(0.1, 0.05, 0.2, 1000, "data", "checkpoint")
    monitor, latent = SurpriseMonitor(model), torch.randn(model.latent_size)
    told = monitor.look(picture(model).numpy(), latent)
    monkeypatch.setattr("wm_mpc.control.surprise.native_vision", lambda _: None)
    assert told == pytest.approx(monitor.look(picture(model).numpy(), latent), rel=1e-4)
    assert told > 1.0
