"""A model of two cameras: an encoder for each, one latent, and a picture guard for each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.control.surprise import SurpriseMonitor
from wm_mpc.data.disturbances import Disturber
from wm_mpc.model import losses
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import (
    FORMAT_WITH_CAMERAS,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from wm_mpc.model.familiarity import Familiarity, image_error, image_errors
from wm_mpc.model.lighting import CameraLighting, Lighting
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_model, native_vision
from wm_mpc.sim.tasks import make_task
from wm_mpc.spec import CameraSpec, ImageSpec

IMAGE = ImageSpec.of(CameraSpec("front", 24, 20), CameraSpec("side", 16, 32))
SIZES = Architecture(keypoints=4, encoder_width=8, decoder_width=8, hidden=64, proposals=0)


@pytest.fixture
def model():
    spec = dataclasses.replace(make_task("reach").spec, image=IMAGE)
    torch.manual_seed(0)
    made = WorldModel(spec, SIZES).eval().requires_grad_(False)
    made.decoder.set_background(0.2 + 0.6 * torch.rand(1, 3, IMAGE.height, IMAGE.width))
    return made


def pictures(count=3, seed=1):
    rng = np.random.default_rng(seed)
    parts = [
        rng.integers(0, 256, (count, camera.height, camera.width, 3), dtype=np.uint8)
        for camera in IMAGE.cameras
    ]
    return np.stack([IMAGE.joined(pair) for pair in zip(*parts, strict=True)])


def encoded(model, images):
    return model.encode_scene(torch.from_numpy(images))


def test_each_camera_gives_its_keypoints_to_one_latent(model):
    assert model.scene_size == 2 * 4 * 2
    assert model.latent_size == model.scene_size + 7
    assert encoded(model, pictures()).shape == (3, model.scene_size)


@pytest.mark.parametrize("changed", [0, 1])
def test_a_camera_moves_its_own_keypoints_only(model, changed):
    before = pictures()
    after = before.copy()
    IMAGE.tiles[changed].of(after)[...] = 0
    x, y = (encoded(model, after) - encoded(model, before)).abs().amax(0).chunk(2)
    of_cameras = [torch.cat([x[n : n + 4], y[n : n + 4]]) for n in (0, 4)]
    assert of_cameras[changed].max() > 1e-3
    assert of_cameras[1 - changed].max() == 0.0


def test_what_lies_below_a_lower_picture_is_never_seen(model):
    images = pictures()
    below = images.copy()
    below[:, 16:, 20:] = 200
    assert torch.equal(encoded(model, images), encoded(model, below))


def test_the_reconstruction_has_the_size_of_the_joined_picture(model):
    drawn = model.decode(model.encode(torch.from_numpy(pictures()), torch.zeros(3, 7)))
    assert drawn.shape == (3, 3, IMAGE.height, IMAGE.width)
    assert not drawn[:, :, 16:, 20:].any()


def test_each_camera_weighs_the_same_in_training_whatever_moves_in_its_picture():
    image = torch.rand(2, 3, IMAGE.height, IMAGE.width)
    mean = image.mean(0, keepdim=True).clone()
    IMAGE.tiles[1].of_planes(mean).add_(0.8)  # much moves in the second one
    weight = losses.moving_pixel_weight(image, mean, 20.0, IMAGE.tiles)
    sums = [float(tile.of_planes(weight).sum()) for tile in IMAGE.tiles]
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
    assert float(weight.mean()) == pytest.approx(1.0, rel=1e-5)


def test_errors_of_the_picture_are_told_for_each_camera(model):
    images = torch.from_numpy(pictures())
    latents = model.encode(images, torch.zeros(3, 7))
    before = image_errors(model, images, latents)
    assert before.shape == (3, 2)
    covered = images.clone()
    IMAGE.tiles[1].of(covered.numpy())[...] = 255
    after = image_errors(model, covered, latents)
    assert torch.equal(after[:, 0], before[:, 0])
    assert (after[:, 1] != before[:, 1]).all()


def test_of_one_camera_the_error_is_that_of_the_whole_picture():
    torch.manual_seed(0)
    single = WorldModel(make_task("reach").spec, SIZES).eval()
    images = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    latents = single.encode(images, torch.zeros(3, 7))
    assert torch.equal(
        image_errors(single, images, latents)[:, 0], image_error(single, images, latents)
    )


@pytest.mark.parametrize("knows_light", [False, True])
@pytest.mark.parametrize("covered", ["front", "side"])
def test_the_guard_names_the_covered_camera(model, covered, knows_light):
    for decoder in model.decoder.cameras:  # it draws its background only
        decoder.join[1].weight.zero_()
        decoder.join[1].bias.zero_()
    images = pictures(1)[0]
    latent = model.encode(torch.from_numpy(images[None]), torch.zeros(1, 7))[0]
    drawn = model.decode(latent[None])[0].permute(1, 2, 0)
    seen = (drawn.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    usual = (0.02, 0.02)
    model.familiarity = Familiarity(
        0.1, 0.02, 0.1, 500, unexplained=0.02 if knows_light else 0.0, camera_images=usual,
        camera_unexplained=usual if knows_light else (),
    )  # fmt: skip
    monitor = SurpriseMonitor(model)
    assert monitor.look(seen, latent) < 1.0
    tile = next(tile for tile in IMAGE.tiles if tile.name == covered)
    tile.of(seen)[...] = 0
    assert monitor.look(seen, latent) > 3.0
    assert monitor.worst_camera == covered
    (other,) = set(monitor.camera_errors) - {covered}
    assert monitor.camera_errors[other] < 1.0


def test_each_camera_has_a_light_of_its_own():
    rng = np.random.default_rng(3)
    drawn = np.zeros((IMAGE.height, IMAGE.width, 3), np.float32)
    for tile in IMAGE.tiles:
        tile.of(drawn)[...] = rng.uniform(0.2, 0.7, (tile.height, tile.width, 3))
    clean = (drawn * 255).round().astype(np.uint8)
    seen = clean.copy()
    side = IMAGE.tiles[1]
    side.of(seen)[...] = Disturber.of("light:0.7")(np.ascontiguousarray(side.of(clean)))
    light, left = CameraLighting(IMAGE).compare(seen, drawn)
    relit = light.removed(seen)
    assert np.array_equal(IMAGE.tiles[0].of(relit), IMAGE.tiles[0].of(seen))
    assert np.abs(side.of(relit).astype(int) - side.of(clean)).mean() < 5.0
    assert np.abs(side.of(seen).astype(int) - side.of(clean)).mean() > 25.0
    assert max(left) < 0.02
    alone = Lighting(16, 32)
    part = [np.ascontiguousarray(side.of(each)) for each in (seen, drawn)]
    assert left[1] == alone.unexplained(*part, alone.fit(*part))


def test_a_checkpoint_of_two_cameras_is_of_a_format_that_older_versions_refuse(model, tmp_path):
    path = tmp_path / "two.safetensors"
    model.familiarity = Familiarity(
        0.1, 0.3, 0.1, 500, unexplained=0.02, camera_images=(0.2, 0.3),
        camera_unexplained=(0.01, 0.02),
    )  # fmt: skip
    save_checkpoint(model, path, {})
    loaded, metadata = load_checkpoint(path)
    assert metadata["format"] == FORMAT_WITH_CAMERAS
    assert loaded.spec == model.spec
    assert loaded.familiarity == model.familiarity
    assert torch.equal(encoded(loaded, pictures()), encoded(model, pictures()))


def test_guards_of_another_number_of_cameras_are_refused(model, tmp_path):
    path = tmp_path / "two.safetensors"
    model.familiarity = Familiarity(0.1, 0.3, 0.1, 500)
    save_checkpoint(model, path, {})
    with pytest.raises(CheckpointError, match="camera_images has 0 numbers for 2 cameras"):
        load_checkpoint(path)


def test_plans_of_two_cameras_run_in_machine_code_and_pictures_in_pytorch(model):
    assert native_vision(model) is None
    if native_vision(WorldModel(make_task("reach").spec, SIZES).requires_grad_(False)) is None:
        pytest.skip("no compiled library here")
    assert native_model(model) is not None
