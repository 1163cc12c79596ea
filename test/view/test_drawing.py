"""What is drawn on the stage and where; filmstrips."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wm_mpc.codes import Level, StatusCode
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.view.drawing import TONES, filmstrip, side_by_side, split_strip, stage_picture
from wm_mpc.view.headline import Tone
from wm_mpc.view.model import Path, ViewModel
from wm_mpc.view.stage import Stage

STAGE = Stage.of(64, 64)
GREY = np.full((64, 64, 3), 128, np.uint8)
DOWN = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
PATH = np.array([[-0.4, 0.0, 0.0], [0.4, 0.0, 0.0]])


def model(now=0.0):
    made = ViewModel(60.0, lambda: now)
    made.on_picture("camera", GREY)
    made.on_intrinsics(np.array([[64.0, 0, 32], [0, 64.0, 32], [0, 0, 1]]), 64, 64)
    made.on_camera_pose(np.array([0.0, 0.0, 1.0]), DOWN)
    return made


def picture(view, **options):
    drawn = stage_picture(view, STAGE, dark=True, **options)
    assert drawn.shape == (STAGE.height, STAGE.width, 3)
    return drawn[STAGE.top : STAGE.bottom, STAGE.left : STAGE.right].astype(int)


def changed(box):
    """Rows and columns that differ from the camera's picture, as shares, without the frame."""
    rows, columns = np.nonzero(np.abs(box - 128).max(2) > 40)
    inside = (rows > 5) & (rows < box.shape[0] - 5) & (columns > 5) & (columns < box.shape[1] - 5)
    return rows[inside] / box.shape[0], columns[inside] / box.shape[1]


def test_without_a_plan_the_picture_is_the_cameras():
    assert not len(changed(picture(model().view()))[0])


def test_the_path_is_drawn_where_it_lies_in_the_world():
    made = model()
    made.on_paths([Path("robot", PATH)])
    rows, columns = changed(picture(made.view()))
    assert abs(rows - 0.5).max() < 0.05
    assert columns.min() == pytest.approx(0.1, abs=0.04)
    assert columns.max() == pytest.approx(0.9, abs=0.04)


def test_without_a_projection_nothing_is_guessed():
    made = ViewModel(60.0, lambda: 0.0)
    made.on_picture("camera", GREY)
    made.on_paths([Path("robot", PATH)])
    assert not len(changed(picture(made.view()))[0])


@pytest.mark.parametrize(
    "points",
    [np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 3.0]]), np.array([[1e9, 0.0, 0.0], [2e9, 1.0, 0.0]])],
)
def test_a_path_out_of_sight_is_not_drawn(points):
    made = model()
    made.on_paths([Path("robot", points)])
    assert not len(changed(picture(made.view()))[0])


def test_a_candidate_is_fainter_than_the_plan():
    drawn = {}
    for name in ("robot", "elite"):
        made = model()
        made.on_paths([Path(name, PATH)])
        drawn[name] = np.abs(picture(made.view()) - 128).sum()
    assert drawn["robot"] > 3 * drawn["elite"]
    assert drawn["elite"] > np.abs(picture(model().view()) - 128).sum()


def test_an_old_picture_is_dark():
    view = dataclasses.replace(model().view(), is_camera_stale=True)
    assert np.median(picture(view)) < 60


def test_a_click_is_marked_where_it_was():
    rows, columns = changed(picture(model().view(), click=(0.25, 0.75)))
    assert rows.mean() == pytest.approx(0.75, abs=0.02)
    assert columns.mean() == pytest.approx(0.25, abs=0.02)


def test_the_frame_has_the_colour_of_the_state():
    made = model()
    made.on_status(MpcStatus("mpc", Level.OK, StatusCode.PLANNING, "planning"))
    drawn = stage_picture(made.view(), STAGE, dark=True)
    middle = (STAGE.top + STAGE.bottom) // 2
    assert drawn[middle, STAGE.left - 2].tolist() == list(TONES[Tone.GOOD])


def test_without_a_camera_the_stage_says_so():
    with_words = stage_picture(ViewModel(60.0, lambda: 0.0).view(), STAGE, dark=True)
    middle = (STAGE.top + STAGE.bottom) // 2
    assert with_words[middle - 15 : middle + 15].max() > 200


@pytest.mark.parametrize(
    ("shape", "aspect", "frames"),
    [((64, 448), 1.0, 7), ((48, 320), 4 / 3, 5), ((64, 448), 4 / 3, 7), ((64, 450), 1.0, 1)],
)
def test_a_strip_is_split_into_frames_of_the_cameras_shape(shape, aspect, frames):
    found = split_strip(np.zeros((*shape, 3), np.uint8), aspect)
    assert len(found) == frames
    assert sum(frame.shape[1] for frame in found) == shape[1]


def test_frames_stand_in_order_in_rows():
    frames = [np.full((8, 8, 3), 30 * (k + 1), np.uint8) for k in range(5)]
    strip = filmstrip(frames, 3, 60, dark=True)
    assert strip.shape == (2 * 64 - 4, 3 * 64 - 4, 3)
    middles = [strip[45 + 64 * (k // 3), 45 + 64 * (k % 3), 0] for k in range(5)]
    assert middles == [30, 60, 90, 120, 150]


def test_pictures_side_by_side_are_as_high_as_the_first():
    first, second = np.full((20, 30, 3), 10, np.uint8), np.full((40, 20, 3), 200, np.uint8)
    joined = side_by_side([first, second])
    assert joined.shape == (20, 40, 3)
    assert (joined[:, :30] == 10).all()
    assert (joined[:, 30:] == 200).all()
