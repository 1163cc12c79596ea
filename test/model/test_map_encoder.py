"""The encoder and decoder for scenes of many equal things."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint, save_checkpoint
from wm_mpc.model.map_encoder import MapDecoder, MapEncoder
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_model, native_vision
from wm_mpc.sim.tasks import make_task
from wm_mpc.spec import CameraSpec, ImageSpec
from wm_mpc.training.config import ConfigError, TrainConfig
from wm_mpc.training.optimiser import AdamW

SIZES = Architecture(
    keypoints=6, encoder_width=8, decoder_width=8, hidden=64, proposals=0, encoder="map"
)


def make_model(image=None):
    spec = dataclasses.replace(make_task("reach").spec, image=image or ImageSpec(24, 30))
    torch.manual_seed(0)
    return WorldModel(spec, SIZES).eval().requires_grad_(False)


def pictures_of(image, count=3):
    rng = np.random.default_rng(1)
    shape = (count, image.height, image.width, 3)
    return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))


@pytest.mark.parametrize(("height", "width"), [(24, 30), (17, 23), (64, 64)])
def test_pictures_of_any_size_become_a_code_and_pictures_again(height, width):
    model = make_model(ImageSpec(height, width))
    latents = model.encode(pictures_of(model.spec.image), torch.zeros(3, 7))
    assert latents.shape == (3, 12 + 7)
    assert model.decode(latents).shape == (3, 3, height, width)


def test_each_camera_has_an_encoder_of_its_own():
    image = ImageSpec.of(CameraSpec("front", 24, 20), CameraSpec("side", 16, 32))
    model = make_model(image)
    before = pictures_of(image)
    after = before.clone()
    image.tiles[1].of(after)[...] = 0
    x, y = (model.encode_scene(after) - model.encode_scene(before)).abs().amax(0).chunk(2)
    assert torch.cat([x[:6], y[:6]]).max() == 0.0
    assert torch.cat([x[6:], y[6:]]).min() > 0.0
    assert model.decode(model.encode(before, torch.zeros(3, 7))).shape == (3, 3, 24, 52)


def test_a_checkpoint_keeps_the_encoder(tmp_path):
    model = make_model()
    images, states = pictures_of(model.spec.image), torch.zeros(3, 7)
    save_checkpoint(model, tmp_path / "model.safetensors", {})
    again, _ = load_checkpoint(tmp_path / "model.safetensors", exact=True)
    assert torch.equal(again.encode(images, states), model.encode(images, states))
    latents = model.encode(images, states)
    assert torch.equal(again.decode(latents), model.decode(latents))


def test_plans_are_compiled_and_pictures_are_not():
    model = make_model()
    assert native_vision(model) is None
    assert native_model(model) is not None


def heaps(count, rng, places=3):
    """Pictures (count, 3, 16, 16) of equal white dots on black."""
    pictures = torch.zeros(count, 3, 16, 16)
    for picture in pictures:
        for row, column in rng.integers(0, 15, (places, 2)):
            picture[:, row : row + 2, column : column + 2] = 1.0
    return pictures


def test_training_lets_it_draw_pictures_it_has_not_seen():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    encoder, decoder = MapEncoder(12, 8, 16, 16), MapDecoder(12, 2, 16, 16, 8, 1)
    unseen, state = heaps(64, rng), torch.zeros(64, 2)
    optimiser = AdamW([*encoder.parameters(), *decoder.parameters()], 1e-2, weight_decay=0.0)
    for _ in range(300):
        pictures = heaps(32, rng)
        loss = (decoder(encoder(pictures), state[:32]) - pictures).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        lost = (decoder(encoder(unseen), state) - unseen).square().mean()
    assert lost < 0.7 * unseen.var(0).mean()


def test_there_are_no_keypoints_to_pull_to_what_moves():
    with pytest.raises(ConfigError, match=r"motion_weight is 0\.5, and .* is map"):
        TrainConfig.from_dict({"motion_weight": 0.5, "architecture": {"encoder": "map"}})
    assert TrainConfig.from_dict({"architecture": {"encoder": "map"}}).motion_weight == 0.0
