"""How far a bumped camera's picture is moved, and moving it back."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.model.camera_shift import (
    NO_SHIFT,
    Shift,
    likeliest_shift,
    moved_back,
)
from wm_mpc.model.conditions import Conditions
from wm_mpc.spec import CameraSpec, ImageSpec


@pytest.fixture
def picture():
    """A picture with a few boxes, float32 (48, 64, 3)."""
    rng, drawn = np.random.default_rng(3), np.full((48, 64, 3), 0.4, np.float32)
    for _ in range(8):
        row, column = rng.integers(4, 38), rng.integers(4, 52)
        drawn[row : row + 6, column : column + 8] = rng.random(3)
    return drawn


def as_seen(picture, shift):
    """What a camera sees that is moved by `shift`."""
    seen = Shift(-shift.down, -shift.right).undone(picture)
    return (255.0 * seen + 0.5).astype(np.uint8)


@pytest.mark.parametrize(
    "shift", [NO_SHIFT, Shift(1, 0), Shift(-3, 0), Shift(0, 3), Shift(2, -3), Shift(-1, -1)]
)
def test_a_shift_is_found(picture, shift):
    assert likeliest_shift(as_seen(picture, shift), picture) == shift


def test_a_shift_is_found_although_a_thing_moved(picture):
    seen = as_seen(picture, Shift(2, 1))
    seen[20:32, 30:42] = 255
    assert likeliest_shift(seen, picture) == Shift(2, 1)


@pytest.mark.parametrize("shift", [Shift(4, 0), Shift(0, -4)])
def test_a_shift_beyond_a_sixteenth_of_the_height_is_not_believed(picture, shift):
    assert likeliest_shift(as_seen(picture, shift), picture) is None


@pytest.mark.parametrize("size", [(15, 64), (32, 6)])
def test_a_tiny_picture_tells_no_shift(size):
    picture = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    assert likeliest_shift(as_seen(picture, NO_SHIFT), picture) is None


@pytest.mark.parametrize("shift", [Shift(2, 0), Shift(-2, 1), Shift(0, -3)])
def test_a_picture_is_moved_back(picture, shift):
    edge = shift.size
    back = shift.undone(as_seen(picture, shift))
    inside = np.s_[edge:-edge, edge:-edge]
    np.testing.assert_array_equal(back[inside], as_seen(picture, NO_SHIFT)[inside])


def test_without_a_shift_the_picture_stays_the_same_array(picture):
    assert NO_SHIFT.undone(picture) is picture
    assert moved_back(picture, [NO_SHIFT], ImageSpec(48, 64).tiles) is picture
    assert Conditions(None, (NO_SHIFT,), ImageSpec(48, 64).tiles).removed(picture) is picture


def test_each_camera_has_a_shift_of_its_own():
    tiles = ImageSpec.of(CameraSpec("front", 48, 64), CameraSpec("wrist", 32, 48)).tiles
    joined = np.random.default_rng(0).integers(0, 256, (48, 112, 3)).astype(np.uint8)
    moved = moved_back(joined, [NO_SHIFT, Shift(1, 2)], tiles)
    front, wrist = tiles
    np.testing.assert_array_equal(front.of(moved), front.of(joined))
    np.testing.assert_array_equal(wrist.of(moved)[:-1, :-2], wrist.of(joined)[1:, 2:])


@pytest.mark.parametrize(
    ("shift", "text"),
    [(NO_SHIFT, "none"), (Shift(2, 0), "2 px down"), (Shift(-1, 0), "1 px up"),
     (Shift(0, 3), "3 px right"), (Shift(-2, -1), "2 px up and 1 px left")],
)  # fmt: skip
def test_a_shift_is_told_in_words(shift, text):
    assert str(shift) == text
