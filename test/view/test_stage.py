"""Where the picture stands, on any screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.view.stage import Stage

SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))


@given(screen=SIZES, picture=SIZES)
def test_the_picture_is_on_the_stage_and_keeps_its_shape(screen, picture):
    stage = Stage.of(screen, picture)
    wide, high = stage.right - stage.left, stage.bottom - stage.top
    assert wide >= 1
    assert high >= 1
    if min(screen) >= 200 and 0.2 < picture[0] / picture[1] < 5:
        assert 0 <= stage.left < stage.right <= stage.width
        assert 0 <= stage.top < stage.bottom <= stage.height
        assert wide / high == pytest.approx(picture[0] / picture[1], rel=0.1)


def test_a_large_screen_is_sent_smaller():
    stage = Stage.of((3000, 2000), (64, 64))
    assert (stage.width, stage.height) == (900, 600)


def test_on_a_telephone_the_picture_is_above_the_panel():
    stage = Stage.of((390, 844), (64, 64))
    assert stage.bottom <= 844 * 0.4


@pytest.mark.parametrize("screen", [(612, 800), (390, 844), (1900, 900)])
def test_corners_of_the_picture_are_its_ends(screen):
    stage = Stage.of(screen, (640, 480))
    corner = stage.in_picture(stage.left / stage.width, stage.top / stage.height)
    assert corner == pytest.approx((0.0, 0.0), abs=1e-9)
    middle = (
        (stage.left + stage.right) / 2 / stage.width,
        (stage.top + stage.bottom) / 2 / stage.height,
    )
    assert stage.in_picture(*middle) == pytest.approx((0.5, 0.5))


def test_a_point_beside_the_picture_is_not_in_it():
    stage = Stage.of((612, 800), (64, 64))
    assert stage.in_picture(0.5, 0.01) is None
    assert stage.in_picture(0.0, 0.5) is None
