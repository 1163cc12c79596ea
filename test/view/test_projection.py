"""Between the world and the pixels of a picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wm_mpc.view.projection import Projection, rotation

K = np.array([[80.0, 0.0, 32.0], [0.0, 80.0, 24.0], [0.0, 0.0, 1.0]])


def looking(position, target, up=(0.0, 0.0, 1.0)):
    forward = np.subtract(target, position) / np.linalg.norm(np.subtract(target, position))
    right = np.cross(forward, up) / np.linalg.norm(np.cross(forward, up))
    axes = np.column_stack([right, np.cross(forward, right), forward])
    return Projection(K, 48, 64, np.array(position), axes)


ABOVE = looking((1.0, 2.0, 3.0), (1.0, 2.0, 0.0), up=(0.0, 1.0, 0.0))


def test_the_target_is_in_the_middle():
    assert looking((1.0, -2.0, 1.5), (0.3, 0.1, 0.0)).pixels([[0.3, 0.1, 0.0]])[0] == (
        pytest.approx([0.5, 0.5])
    )


def test_right_is_right_and_up_is_up():
    right, up = ABOVE.pixels([[1.5, 2.0, 0.0], [1.0, 2.5, 0.0]])
    assert right[0] > 0.5
    assert right[1] == pytest.approx(0.5)
    assert up[1] < 0.5
    assert up[0] == pytest.approx(0.5)


def test_a_point_at_a_known_angle_has_the_pixel_of_the_intrinsics():
    # 0.3 m to the side at 3 m: 80 pixels / 10.
    assert ABOVE.pixels([[1.3, 2.0, 0.0]])[0] * [64, 48] == pytest.approx([32 + 8, 24])


@pytest.mark.parametrize("point", [(1.0, 2.0, 3.0), (1.0, 2.0, 4.0)])
def test_what_is_at_or_behind_the_camera_has_no_pixel(point):
    assert np.isnan(ABOVE.pixels([point])).all()


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-2, 2), y=st.floats(-2, 2), height=st.floats(-0.5, 0.5),
    camera=st.tuples(st.floats(-1, 1), st.floats(-4, -2), st.floats(1, 3)),
)  # fmt: skip
def test_a_click_on_the_pixel_of_a_place_finds_the_place(x, y, height, camera):
    projection = looking(camera, (0.0, 0.0, 0.0))
    column, row = projection.pixels([[x, y, height]])[0]
    if math.isnan(column):
        return
    assert projection.on_plane(column, row, height) == pytest.approx((x, y), abs=1e-6)


def test_a_click_above_the_horizon_finds_nothing():
    level = looking((0.0, 0.0, 1.0), (5.0, 0.0, 1.0))
    assert level.on_plane(0.5, 0.5, 0.0) is None  # along the horizon
    assert level.on_plane(0.5, 0.2, 0.0) is None  # above
    assert level.on_plane(0.5, 0.8, 0.0) is not None


def test_a_plane_above_the_camera_is_behind_a_camera_that_looks_down():
    assert ABOVE.on_plane(0.5, 0.5, 4.0) is None


def test_quaternions_turn_as_they_say():
    half = math.sqrt(0.5)
    assert rotation(0, 0, half, half) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert rotation(half, 0, 0, half) @ [0, 1, 0] == pytest.approx([0, 0, 1])
    assert rotation(0, 0, 2, 2) == pytest.approx(rotation(0, 0, half, half))  # any length


@pytest.mark.parametrize("q", [(0, 0, 0, 0), (math.nan, 0, 0, 1), (math.inf, 0, 0, 1)])
def test_a_quaternion_without_a_direction_is_refused(q):
    with pytest.raises(ValueError, match="no direction"):
        rotation(*q)
