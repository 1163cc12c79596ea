"""The light of a picture: found, taken out, and never mistaken for danger or danger for it."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.data.disturbances import Disturber
from wm_mpc.model.lighting import Lighting

SIZE = (48, 64)


def scene(seed=0):
    """A reconstruction, float32 (48, 64, 3): a floor and things of several colours on it."""
    rng = np.random.default_rng(seed)
    picture = np.empty((*SIZE, 3), np.float32)
    picture[:] = (0.55, 0.5, 0.45)
    for _ in range(8):
        row, column = rng.integers(0, 38), rng.integers(0, 54)
        picture[row : row + 8, column : column + 9] = rng.uniform(0.1, 0.7, 3)
    return picture


def photo(drawn):
    return (255.0 * drawn + 0.5).astype(np.uint8)


def disturbed(text, seed=0):
    return Disturber.of(text, seed)(photo(scene()))


def judged(image, drawn=None):
    """The light, and what it does not explain, in grey levels."""
    drawn = scene() if drawn is None else drawn
    lighting = Lighting(*SIZE)
    light = lighting.fit(image, drawn)
    return light, 255.0 * lighting.unexplained(image, drawn, light)


LIGHTS = ["light:0.6", "light:0.8", "light:1.3", "offset:15", "warm:1", "warm:-1", "gradient:0.3",
          "light:0.8+warm:1+gradient:0.2+offset:-8"]  # fmt: skip


@pytest.mark.parametrize("text", LIGHTS)
def test_light_explains_a_picture(text):
    for seed in range(4):
        light, left = judged(disturbed(text, seed))
        assert left < 1.0
        assert not light.is_neutral


@pytest.mark.parametrize("text", LIGHTS)
def test_without_its_light_a_picture_is_as_recorded(text):
    for seed in range(4):
        image = disturbed(text, seed)
        before = np.abs(image.astype(float) - photo(scene())).mean()
        relit = judged(image)[0].removed(image)
        after = np.abs(relit.astype(float) - photo(scene())).mean()
        assert relit.dtype == np.uint8
        assert after < 2.0 < before


def test_the_light_of_the_recordings_is_left_in_the_picture():
    image = photo(scene())
    for picture in (image, disturbed("noise:3"), disturbed("light:1.01")):
        light, _ = judged(picture)
        assert light.is_neutral
        assert light.removed(picture) is picture
    assert judged(image)[0].brightness() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("text", ["none", "shift:1", "blur:0.8", "jpeg:90", "noise:3"])
def test_what_does_not_matter_to_a_plan_leaves_little(text):
    for seed in range(4):
        assert judged(disturbed(text, seed))[1] < 4.0


@pytest.mark.parametrize(
    "text", ["covered:1", "dark:0.9", "light:0.3", "shift:10", "patch:12", "light:0.8+patch:12"]
)
def test_danger_is_no_light(text):
    """At least twice as much as what does not matter."""
    for seed in range(4):
        assert judged(disturbed(text, seed))[1] > 8.0


def test_a_foreign_object_does_not_change_the_light_of_the_rest():
    for seed in range(4):
        image, lit = disturbed("light:0.8+patch:14", seed), disturbed("light:0.8")
        rest = (image == lit).all(-1)
        relit = judged(image)[0].removed(image)[rest].astype(float)
        assert np.abs(relit - photo(scene())[rest]).mean() < 2.0


@pytest.mark.parametrize("value", [0, 128, 255])
def test_any_picture_has_a_plausible_light(value):
    image = np.full((*SIZE, 3), value, np.uint8)
    for drawn in (scene(), np.zeros((*SIZE, 3), np.float32), np.full((*SIZE, 3), 2.0, np.float32)):
        light, left = judged(image, drawn)
        assert np.isfinite(left)
        assert 0.5 <= light.gain.min() <= light.gain.max() <= 1.6
        assert np.abs(light.offset).max() <= 0.12
        assert light.removed(image).shape == image.shape


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (5, 7), (120, 160)])
def test_pictures_may_have_any_size(size):
    rng = np.random.default_rng(0)
    drawn = rng.uniform(0.2, 0.7, (*size, 3)).astype(np.float32)
    lighting = Lighting(*size)
    image = (0.8 * 255.0 * drawn).astype(np.uint8)
    light = lighting.fit(image, drawn)
    assert light.gain.shape == image.shape
    assert 255.0 * lighting.unexplained(image, drawn, light) < 3.0
