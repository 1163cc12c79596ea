"""Raw pictures of the encodings that drivers use: right colours, or a refusal that says why."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.pictures import ENCODINGS
from wm_mpc.messages.reading import image_to_rgb
from wm_mpc.spec import ImageSpec, SpecError

SPEC = ImageSpec(16, 24)
HEIGHT, WIDTH = 32, 48
COLOURS = {"red": (200, 30, 30), "green": (30, 180, 60), "blue": (20, 60, 210)}


def message(pixels, encoding, padding=0, big_endian=False, height=HEIGHT, width=WIDTH):
    """An image of rows of bytes, each with `padding` bytes behind it."""
    rows = np.ascontiguousarray(pixels)
    rows = rows.view(np.uint8).reshape(rows.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=rows.shape[1],
        is_bigendian=int(big_endian), data=rows.tobytes(),
    )  # fmt: skip


def plain(colour):
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def yuv(rgb):
    """Brightness and colours of a picture of one colour (BT.601, 16 to 235)."""
    r, g, b = rgb[0, 0].astype(float)
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    return round(y), round(128 - 0.148 * r - 0.291 * g + 0.439 * b), round(
        128 + 0.439 * r - 0.368 * g - 0.071 * b
    )  # fmt: skip


def pairs(order):
    def make(rgb):
        y, u, v = yuv(rgb)
        quad = [{"y": y, "u": u, "v": v}[c] for c in order]
        return np.tile(np.array(quad, np.uint8), (HEIGHT, WIDTH // 2))

    return make


def planes(order):
    def make(rgb):
        y, u, v = yuv(rgb)
        colour = [{"u": u, "v": v}[c] for c in order]
        top = np.full((HEIGHT, WIDTH), y, np.uint8)
        return np.concatenate([top, np.tile(np.array(colour, np.uint8), (HEIGHT // 2, WIDTH // 2))])

    return make


def bayer(pattern, scale=1):
    def make(rgb):
        mosaic = np.zeros((HEIGHT, WIDTH), np.uint8 if scale == 1 else np.uint16)
        for k, name in enumerate(pattern):
            mosaic[k // 2 :: 2, k % 2 :: 2] = int(rgb[0, 0, "rgb".index(name)]) * scale
        return mosaic

    return make


ALPHA = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)
MAKERS = {
    "rgb8": lambda rgb: rgb,
    "bgr8": lambda rgb: rgb[..., ::-1],
    "8UC3": lambda rgb: rgb[..., ::-1],
    "rgba8": lambda rgb: np.concatenate([rgb, ALPHA], 2),
    "bgra8": lambda rgb: np.concatenate([rgb[..., ::-1], ALPHA], 2),
    "8UC4": lambda rgb: np.concatenate([rgb[..., ::-1], ALPHA], 2),
    "yuv422": pairs("uyvy"),
    "uyvy": pairs("uyvy"),
    "yuv422_yuy2": pairs("yuyv"),
    "yuyv": pairs("yuyv"),
    "nv12": planes("uv"),
    "nv21": planes("vu"),
    **{f"bayer_{p}8": bayer(p) for p in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{p}16": bayer(p, 257) for p in ("rggb", "bggr", "gbrg", "grbg")},
    "rgb16": lambda rgb: rgb.astype(np.uint16) * 257,
    "bgr16": lambda rgb: rgb[..., ::-1].astype(np.uint16) * 257,
    "rgba16": lambda rgb: np.concatenate([rgb, ALPHA], 2).astype(np.uint16) * 257,
    "bgra16": lambda rgb: np.concatenate([rgb[..., ::-1], ALPHA], 2).astype(np.uint16) * 257,
}
GREY = ("mono8", "8UC1", "mono16")
DEPTH = ("16UC1", "16SC1", "32FC1", "64FC1")


def test_every_accepted_encoding_is_tested_here():
    assert {*MAKERS, *GREY, *DEPTH} == set(ENCODINGS)


@pytest.mark.parametrize("padding", [0, 10])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("encoding", MAKERS)
def test_colours_are_right_in_every_encoding(encoding, colour, padding):
    rgb = plain(COLOURS[colour])
    got = image_to_rgb(message(MAKERS[encoding](rgb), encoding, padding), SPEC)
    assert got.shape == (16, 24, 3)
    assert np.abs(got.astype(int) - COLOURS[colour]).max() <= 3


@pytest.mark.parametrize("encoding", sorted(MAKERS))
def test_pictures_as_large_as_they_came_are_right_too(encoding):
    rgb = plain(COLOURS["blue"])
    got = image_to_rgb(message(MAKERS[encoding](rgb), encoding), None)
    assert got.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(got.astype(int) - COLOURS["blue"]).max() <= 3


@pytest.mark.parametrize("encoding", GREY)
def test_grey_pictures_are_grey(encoding):
    values = np.full((HEIGHT, WIDTH), 120, np.uint8)
    if encoding == "mono16":
        values = values.astype(np.uint16) * 257
    assert (image_to_rgb(message(values, encoding), SPEC) == 120).all()


@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "rgb16", "bayer_rggb16"])
def test_big_endian_numbers_are_read_as_such(encoding):
    shape = (HEIGHT, WIDTH, 3) if encoding == "rgb16" else (HEIGHT, WIDTH)
    values = np.full(shape, 0x0A64, ">u2")
    spec = ImageSpec(16, 24, value_range=(0, 0x0A64 * 2))
    got = image_to_rgb(message(values, encoding, big_endian=True), spec)
    assert np.abs(got.astype(int) - 128).max() <= 1


# ---------------------------------------------------------------------------- more than 8 bits


@pytest.mark.parametrize("encoding", DEPTH)
def test_depth_without_a_stated_range_is_refused_and_says_what_to_state(encoding):
    kind = {"16UC1": "u2", "16SC1": "i2", "32FC1": "f4", "64FC1": "f8"}[encoding]
    depth = np.full((HEIGHT, WIDTH), 500, kind)
    with pytest.raises(MessageError, match=rf"32x48 {encoding}.*state the range.*--image-range"):
        image_to_rgb(message(depth, encoding), SPEC)


@pytest.mark.parametrize(
    ("encoding", "kind", "unit"), [("16UC1", "u2", 1000), ("32FC1", "f4", 1), ("64FC1", "f8", 1)]
)
def test_depth_is_mapped_by_the_stated_range(encoding, kind, unit):
    metres = np.tile(np.linspace(0.0, 3.0, WIDTH), (HEIGHT, 1))
    spec = ImageSpec(HEIGHT, WIDTH, value_range=(0.5 * unit, 2.5 * unit))
    got = image_to_rgb(message((metres * unit).astype(kind), encoding), spec)
    wanted = np.clip((metres - 0.5) / 2.0, 0, 1) * 255
    assert np.abs(got[..., 0] - wanted).max() <= 1
    assert (got[..., 0] == got[..., 2]).all()


def test_a_range_the_other_way_round_makes_near_things_white():
    depth = np.full((HEIGHT, WIDTH), 500, np.uint16)
    spec = ImageSpec(16, 24, value_range=(4000, 500))
    assert (image_to_rgb(message(depth, "16UC1"), spec) == 255).all()


def test_depth_that_was_not_measured_is_at_the_ends_of_the_range():
    depth = np.full((HEIGHT, WIDTH), 1.0, np.float32)
    depth[:16], depth[16:24] = np.nan, np.inf
    got = image_to_rgb(message(depth, "32FC1"), ImageSpec(HEIGHT, WIDTH, value_range=(0, 2)))
    assert got[0, 0, 0] == 0
    assert got[20, 0, 0] == 255
    assert got[30, 0, 0] == 128


def test_a_stated_range_goes_before_the_whole_one():
    twelve_bits = np.full((HEIGHT, WIDTH), 4095, np.uint16)
    assert (image_to_rgb(message(twelve_bits, "mono16"), SPEC) == 16).all()
    spec = ImageSpec(16, 24, value_range=(0, 4095))
    assert (image_to_rgb(message(twelve_bits, "mono16"), spec) == 255).all()


@pytest.mark.parametrize("stated", [(1.0, 1.0), (0.0, float("nan")), (1.0,)])
def test_a_range_that_cannot_be_is_refused(stated):
    with pytest.raises(SpecError, match=r"image\.value_range"):
        ImageSpec(16, 16, value_range=stated)


# ----------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("encoding", sorted({*MAKERS, *GREY}))
@pytest.mark.parametrize("change", [-1, 1])
def test_data_that_do_not_match_the_size_are_refused(encoding, change):
    rows = MAKERS.get(encoding, lambda rgb: rgb[..., 0].astype(
        np.uint16 if encoding == "mono16" else np.uint8))(plain((1, 2, 3)))  # fmt: skip
    wrong = message(rows, encoding)
    wrong.data = wrong.data[:-1] if change < 0 else wrong.data + b"\0"
    with pytest.raises(MessageError, match="is truncated" if change < 0 else "has too much data"):
        image_to_rgb(wrong, SPEC)


@pytest.mark.parametrize("encoding", [e for e in MAKERS if e != "rgb8"])
def test_a_step_shorter_than_a_row_is_refused(encoding):
    wrong = message(MAKERS[encoding](plain((1, 2, 3))), encoding)
    wrong.step -= 1
    with pytest.raises(MessageError, match=r"with step \d+; at least \d+ is needed"):
        image_to_rgb(wrong, SPEC)


@pytest.mark.parametrize(
    ("encoding", "height", "width"),
    [("uyvy", 32, 47), ("yuv422_yuy2", 32, 47), ("nv12", 31, 48), ("nv12", 32, 47)],
)
def test_odd_sizes_of_shared_colours_are_refused(encoding, height, width):
    wrong = message(np.zeros((height, 2 * width), np.uint8), encoding, 0, False, height, width)
    with pytest.raises(MessageError, match="even sizes are needed"):
        image_to_rgb(wrong, SPEC)


@pytest.mark.parametrize("encoding", ["rgb8", "mono8", "bayer_rggb8", "mono16"])
def test_odd_sizes_are_no_harm_otherwise(encoding):
    kind = np.uint16 if encoding == "mono16" else np.uint8
    row = 47 * (3 if encoding == "rgb8" else 1)
    odd = message(np.full((31, row), 120 * (257 if kind == np.uint16 else 1), kind), encoding,
                  0, False, 31, 47)  # fmt: skip
    assert (image_to_rgb(odd, SPEC) == 120).all()


@pytest.mark.parametrize("encoding", ["rgb565", "nv24", "8UC2", "", "RGB8", "jpeg"])
def test_other_encodings_are_refused_with_a_list_of_what_is_accepted(encoding):
    with pytest.raises(MessageError, match=r"accepted encodings: rgb8, bgr8, .*nv12.*bayer_rggb8"):
        image_to_rgb(message(plain((1, 2, 3)), encoding), SPEC)


@pytest.mark.parametrize("encoding", ["rgb8", "mono8", "mono16", "bayer_rggb8", "yuv422", "nv12"])
def test_a_picture_without_pixels_is_refused(encoding):
    empty = message(np.zeros((1, 1), np.uint8), encoding, 0, False, 0, 0)
    empty.data, empty.step = b"", 0
    with pytest.raises(MessageError, match="which is not an image"):
        image_to_rgb(empty, None)


@pytest.mark.parametrize("encoding", ["YUYV", "UYVY", "NV12", "NV21"])
def test_names_in_capitals_as_video4linux_has_them_are_known(encoding):
    rows = HEIGHT * 3 // 2 if encoding.startswith("NV") else HEIGHT
    row = WIDTH if encoding.startswith("NV") else 2 * WIDTH
    data = np.full((rows, row), 128, np.uint8)
    got = image_to_rgb(message(data, encoding, 0, False, HEIGHT, WIDTH), None)
    wanted = image_to_rgb(message(data, encoding.lower(), 0, False, HEIGHT, WIDTH), None)
    np.testing.assert_array_equal(got, wanted)


def test_a_scaled_picture_keeps_left_and_right():
    rgb = plain(COLOURS["red"])
    rgb[:, WIDTH // 2 :] = COLOURS["blue"]
    got = image_to_rgb(message(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), "8UC3"), SPEC)
    assert tuple(got[5, 2]) == COLOURS["red"]
    assert tuple(got[5, -3]) == COLOURS["blue"]
