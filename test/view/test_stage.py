"""Where the picture stands, on any screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.view.stage import Stage

SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
SCREENS = [(612, 800), (390, 844), (1900, 900), (800, 400), (1170, 2532)]


@given(picture=SIZES)
def test_the_picture_is_on_the_stage_and_keeps_its_shape(picture):
    stage = Stage.of(*picture)
    wide, high = stage.right - stage.left, stage.bottom - stage.top
    assert 0 <= stage.left < stage.right <= stage.width
    assert 0 <= stage.top < stage.bottom <= stage.height
    if 0.1 < picture[0] / picture[1] < 10:
        assert wide / high == pytest.approx(picture[0] / picture[1], rel=0.05)


def test_a_large_picture_is_sent_smaller():
    assert Stage.of(4000, 3000).width < 700


def screen_place(stage, screen, column, row):
    """Where a point of the picture is, as a page with `object-fit: contain` shows it."""
    wide, high = screen
    room = 0.38 * high if screen[0] < 0.65 * screen[1] else high
    scale = min(wide / stage.width, room / stage.height)
    x = stage.left + column * (stage.right - stage.left) - stage.width / 2
    y = stage.top + row * (stage.bottom - stage.top) - stage.height / 2
    return 0.5 + scale * x / wide, (room / 2 + scale * y) / high


@pytest.mark.parametrize("screen", SCREENS)
@given(column=st.floats(0, 1), row=st.floats(0, 1))
def test_a_click_finds_the_point_of_the_picture_that_is_there(screen, column, row):
    stage = Stage.of(640, 480)
    found = stage.in_picture(*screen_place(stage, screen, column, row), screen)
    assert found == pytest.approx((column, row), abs=1e-5)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("place", [(-0.01, 0.5), (1.01, 0.5), (0.5, -0.01), (0.5, 1.01)])
def test_a_point_beside_the_picture_is_not_in_it(screen, place):
    stage = Stage.of(64, 64)
    assert stage.in_picture(*screen_place(stage, screen, *place), screen) is None


def test_on_a_telephone_the_picture_is_above_the_panel():
    stage = Stage.of(64, 64)
    assert stage.in_picture(0.5, 0.2, (390, 844)) is not None
    assert stage.in_picture(0.5, 0.4, (390, 844)) is None
