"""Goal pictures that come again."""

from __future__ import annotations

import types

import numpy as np
import pytest

from wm_mpc.control.same_goal import differs_by_noise, same_picture


def message(pixels, **fields):
    height, width = pixels.shape[:2]
    values = {"height": height, "width": width, "encoding": "rgb8", "step": 3 * width,
              "is_bigendian": 0, "header": object()}  # fmt: skip
    return types.SimpleNamespace(data=pixels.tobytes(), **(values | fields))


@pytest.fixture
def picture():
    """A dark scene with a dot."""
    pixels = np.full((64, 64, 3), 40, np.uint8)
    pixels[30:34, 30:34] = 200
    return pixels


def noisy(picture, level, seed=0):
    noise = np.random.default_rng(seed).normal(0.0, level, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_the_same_pixels_are_the_same_picture_under_any_stamp(picture):
    assert same_picture(message(picture), message(picture.copy()))


@pytest.mark.parametrize("fields", [{"encoding": "bgr8"}, {"width": 32, "step": 96}])
def test_the_same_bytes_read_differently_are_another_picture(picture, fields):
    assert not same_picture(message(picture), message(picture, **fields))


def test_a_pixel_that_differs_makes_another_picture(picture):
    other = picture.copy()
    other[0, 0, 0] += 1
    assert not same_picture(message(picture), message(other))


@pytest.mark.parametrize("level", [0.0, 1.0, 3.0, 5.0])
def test_a_camera_s_noise_makes_no_other_goal(picture, level):
    for seed in range(20):
        assert differs_by_noise(noisy(picture, level, seed), noisy(picture, level, 100 + seed))


@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (3, 3), (20, 5)])
def test_a_thing_that_has_moved_makes_another_goal(picture, shift):
    moved = np.roll(picture, shift, (0, 1))
    assert not differs_by_noise(picture, moved)
    assert not differs_by_noise(noisy(picture, 3.0, 1), noisy(moved, 3.0, 2))


def test_pictures_of_another_size_are_other_goals(picture):
    assert not differs_by_noise(picture, picture[:32])
