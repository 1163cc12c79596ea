"""The film of a run."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.sim.film_picture import Picture, compose, project, size, split_strip
from wm_mpc.sim.gif import GifWriter
from wm_mpc.sim.recorder import Recorder, RecorderError
from wm_mpc.sim.task import CameraView
from wm_mpc.spec import ActionSpec

VIEW = CameraView((0.0, 0.0, 3.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), 43.0)
ACTION = ActionSpec(("vx", "vy"), "velocity", "m/s", (-1.0, -1.0), (1.0, 1.0))


def picture(shade=0, points=5, paths=()):
    rgb = np.full((64, 64, 3), shade, np.uint8)
    return Picture(rgb, rgb, np.zeros((points, 2)), paths, "episode 1")


@pytest.mark.parametrize("name", ["film.gif", "new/folder/film.gif"])
def test_gif_has_every_picture_at_the_rate(tmp_path, name):
    recorder = Recorder(str(tmp_path / name), VIEW, ACTION, rate=10.0)
    for shade in range(0, 250, 50):
        recorder.add(picture(shade), wait=True)
    assert "recorded 5 pictures" in recorder.close()
    with PIL.Image.open(tmp_path / name) as film:
        assert film.n_frames == 5  # type: ignore[attr-defined]
        assert film.info["duration"] == 100
        assert film.info["loop"] == 0, "for ever"


def length_and_pictures(path):
    """Milliseconds of a film, and its pictures as rgb arrays."""
    pictures, length = [], 0
    with PIL.Image.open(path) as film:
        for i in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(i)
            length += film.info["duration"]
            pictures.append(np.array(film.convert("RGB")))
    return length, pictures


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
    st.sampled_from([10.0, 30.0, 50.0]),
)
def test_gif_shows_what_was_written_for_as_long(shades, rate):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "film.gif")
        writer = GifWriter(path, rate)
        expected = []
        for i, shade in enumerate(shades):
            rgb = np.zeros((20, 30, 3), np.uint8)
            rgb[5 : 5 + 4 * shade, 3 + shade : 9] = 60 * shade
            writer.append_data(rgb)
            if i == 0 or shade != shades[i - 1]:
                expected.append(rgb)
        writer.close()
        length, pictures = length_and_pictures(path)
    assert length == 10 * round(100 * len(shades) / rate)
    assert len(pictures) == len(expected)
    for shown, rgb in zip(pictures, expected, strict=True):
        np.testing.assert_allclose(shown.astype(int), rgb, atol=4)


def test_mp4_can_be_played(tmp_path):
    path = tmp_path / "film.mp4"
    recorder = Recorder(str(path), VIEW, ACTION, rate=10.0)
    for shade in range(0, 250, 50):
        recorder.add(picture(shade), wait=True)
    recorder.close()
    film = cv2.VideoCapture(str(path))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)


def test_unknown_kind_of_film_is_named():
    with pytest.raises(RecorderError, match=r"film\.avi.*accepted.*\.gif"):
        Recorder("film.avi", VIEW, ACTION, rate=10.0)


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_folder_that_is_a_file_is_named(tmp_path, suffix):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecorderError, match="cannot write"):
        Recorder(str(tmp_path / "file" / f"film.{suffix}"), VIEW, ACTION, rate=10.0)


def test_run_without_a_step_leaves_no_file(tmp_path):
    recorder = Recorder(str(tmp_path / "film.gif"), VIEW, ACTION, rate=10.0)
    assert "nothing" in recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_centre_of_the_view_is_the_centre_of_the_picture():
    points = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 9.0]])
    pixels = project(points, VIEW, 100)
    np.testing.assert_allclose(pixels[0], [50, 50])
    assert pixels[1][0] > 60
    assert pixels[2][1] < 40
    assert np.isnan(pixels[3]).all(), "behind the camera"


def test_predicted_path_is_drawn_over_the_picture():
    path = (np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0]]), (255, 0, 0))
    plain, drawn = compose(picture(), VIEW, ACTION), compose(picture(paths=[path]), VIEW, ACTION)
    is_red = (drawn[:, :, 0] > 200) & (drawn[:, :, 1] < 60) & (drawn[:, :, 2] < 60)
    assert is_red.sum() > 50
    assert plain.shape == drawn.shape
    assert plain.shape[0] % 2 == plain.shape[1] % 2 == 0, "encoders want even sizes"


def test_plan_without_points_is_said_so():
    shown = compose(picture(points=0), VIEW, ACTION)
    assert (shown != compose(picture(points=3), VIEW, ACTION)).any()


# ---------------------------------------------------------------------- strip of imagined images


def imagined(count, width=64, height=64):
    """Images of different shades."""
    return [np.full((height, width, 3), 20 + 30 * k, np.uint8) for k in range(count)]


def with_strip(**changes):
    return compose(dataclasses.replace(picture(100), **changes), VIEW, ACTION, strip=True)


@pytest.mark.parametrize("strip", [False, True])
def test_size_of_a_picture_is_known_before_it_is_drawn(strip):
    shown = compose(picture(), VIEW, ACTION, strip=strip)
    assert (shown.shape[1], shown.shape[0]) == size(strip=strip)
    assert shown.shape[0] % 2 == shown.shape[1] % 2 == 0, "encoders want even sizes"


@pytest.mark.parametrize("count", [1, 2, 5, 8, 21])
@pytest.mark.parametrize("shape", [(64, 64), (128, 64), (64, 128)])
def test_every_imagined_image_is_in_the_film(count, shape):
    images = [np.full((*shape, 3), (200, 0, 3 * k), np.uint8) for k in range(count)]
    shown = with_strip(imagined=images)
    for image in images:
        assert (shown == image[0, 0]).all(axis=2).any()


def test_plan_without_imagined_images_is_said_so():
    assert (with_strip(imagined=[]) != with_strip(imagined=imagined(4))).any()


def test_state_of_the_controller_is_in_the_film():
    holding = with_strip(state="holding: no image for 0.6 s", is_fine=False)
    assert (holding != with_strip(state="planning")).any()


@given(st.text(max_size=300))
def test_any_state_fits_into_the_picture(text):
    shown = with_strip(state=text, is_fine=False)
    assert (shown[:, -4:] == shown[0, 0]).all(), "something is written up to the edge"


@given(st.integers(1, 30), st.integers(8, 40), st.integers(8, 40))
def test_strip_is_split_into_the_images_it_is_made_of(count, height, width):
    images = [np.full((height, width, 3), k, np.uint8) for k in range(count)]
    parts = split_strip(np.concatenate(images, axis=1), width / height)
    assert len(parts) == count
    for part, image in zip(parts, images, strict=True):
        np.testing.assert_array_equal(part, image)


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_film_with_a_strip_can_be_played(tmp_path, suffix):
    path = tmp_path / f"film.{suffix}"
    recorder = Recorder(str(path), VIEW, ACTION, rate=10.0, strip=True)
    for count in (0, 5, 8):
        recorder.add(dataclasses.replace(picture(), imagined=imagined(count)), wait=True)
    recorder.close()
    film = cv2.VideoCapture(str(path))
    found, shown = film.read()
    assert found
    assert (shown.shape[1], shown.shape[0]) == size(strip=True)


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_folder_in_place_of_the_film_is_named(tmp_path, suffix):
    (tmp_path / f"film.{suffix}").mkdir()
    with pytest.raises(RecorderError, match=r"cannot write .*Is a directory"):
        Recorder(str(tmp_path / f"film.{suffix}"), VIEW, ACTION, rate=10.0)


def test_missing_encoder_is_named_and_leaves_no_file(tmp_path, monkeypatch):
    class NoEncoder:
        def __init__(self, *_):
            pass

        def isOpened(self):  # noqa: N802, OpenCV's name
            return False

    monkeypatch.setattr(cv2, "VideoWriter", type("W", (NoEncoder,), {"fourcc": lambda *_: 0}))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RecorderError, match=r"cannot encode mp4.*imageio-ffmpeg.*gif"):
        Recorder(str(tmp_path / "film.mp4"), VIEW, ACTION, rate=10.0)
    assert list(tmp_path.iterdir()) == []
