"""Compressed pictures: whole ones with anything behind them are read, others never are."""

from __future__ import annotations

import io
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.reading import compressed_to_rgb
from wm_mpc.spec import ImageSpec

SPEC = ImageSpec(48, 64)
RGB = np.zeros((96, 128, 3), np.uint8)
RGB[:, :64], RGB[:, 64:] = (250, 100, 20), (10, 60, 200)
PICTURE = Image.fromarray(RGB)


def message(data, name="jpeg"):
    return SimpleNamespace(data=data, format=name)


def read(data, name="jpeg", spec=SPEC):
    return compressed_to_rgb(message(data, name), spec)


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def busy(seed, height=203, width=317):
    """A picture with something in every block, as a camera's."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def jpeg(pixels, *options):
    return cv2.imencode(".jpg", pixels, list(options))[1].tobytes()


JPEG = jpeg(busy(0))
TAILS = {
    "none": b"",
    "zeros": bytes(14),
    "line end": b"\r\n",
    "fill bytes": b"\xff" * 16,
    "old buffer": JPEG[-96:-2],
    "old buffer with its end": JPEG[-96:],
    "block of a recorder": b"dhav\x59\x19\x01\x00",
    "second end": b"\xff\xd9ab",
    "another picture": jpeg(busy(1)),
    "a page": bytes(4096),
    "one byte": b"\xff",
}


@pytest.mark.parametrize("tail", TAILS)
def test_bytes_behind_a_jpeg_do_not_matter(tail):
    np.testing.assert_array_equal(read(JPEG + TAILS[tail]), read(JPEG))


SAMPLINGS = {
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "411": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}
FLAVOURS = [
    (quality, sampling, restarts, optimised)
    for quality in (30, 80, 95)
    for sampling in SAMPLINGS
    for restarts in (0, 4)
    for optimised in (0, 1)
]


def flavour(pixels, quality, sampling, restarts, optimised):
    return jpeg(
        pixels, cv2.IMWRITE_JPEG_QUALITY, quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling],
        cv2.IMWRITE_JPEG_RST_INTERVAL, restarts, cv2.IMWRITE_JPEG_OPTIMIZE, optimised,
    )  # fmt: skip


@pytest.mark.parametrize("kind", FLAVOURS)
def test_jpegs_of_all_kinds_are_whole_or_cut(kind):
    """Cut anywhere in the picture, whatever follows ends in an end marker."""
    data = flavour(busy(0), *kind)
    read(data)
    for share in (0.4, 0.6, 0.8, 0.95):
        cut = data[: int(share * len(data))]
        for tail in (b"", b"\xff\xd9", b"\x55" * 4 + b"\xff\xd9", bytes(64)):
            with pytest.raises(MessageError, match=r"is truncated|cannot be decoded"):
                read(cut + tail)


@pytest.mark.parametrize("distance", [-3000, -1000, 1000, 3000])
def test_a_cut_jpeg_with_an_older_one_behind_it_is_refused(distance):
    older = jpeg(busy(1))
    middle = len(JPEG) // 2
    with pytest.raises(MessageError, match="is truncated"):
        read(JPEG[:middle] + older[middle + distance :])


def test_a_cut_jpeg_with_a_whole_one_behind_it_is_refused():
    with pytest.raises(MessageError, match="another picture begins inside it"):
        read(JPEG[: len(JPEG) // 2] + jpeg(busy(1)))


@pytest.mark.parametrize("surplus", [b"\x12", b"\x12\x34", bytes(14), b"\xff\xff"])
def test_few_bytes_too_many_before_the_end_marker_are_no_harm(surplus):
    """Some cameras' encoders leave them there."""
    np.testing.assert_array_equal(read(JPEG[:-2] + surplus + JPEG[-2:]), read(JPEG))


@pytest.mark.parametrize("value", [0, 127, 128, 129, 255])
def test_pictures_of_one_colour_are_whole(value):
    """Also that grey which decoders put in the place of missing data."""
    flat = np.full((96, 128, 3), value, np.uint8)
    assert np.abs(read(jpeg(flat)).astype(int) - value).max() <= 1
    assert np.abs(read(jpeg(flat[..., 0])).astype(int) - value).max() <= 1


def test_a_jpeg_in_several_passes_is_whole_or_cut():
    data = encoded(Image.fromarray(busy(0)), "JPEG", progressive=True)
    read(data)
    for share in (0.3, 0.6, 0.9, 0.99):
        with pytest.raises(MessageError, match="truncated"):
            read(data[: int(share * len(data))] + b"\xff\xd9")


def test_a_thumbnail_inside_a_jpeg_is_not_its_end():
    inside = encoded(PICTURE.resize((32, 24)), "JPEG")
    data = encoded(PICTURE, "JPEG", exif=b"Exif\0\0" + inside)
    assert np.abs(read(data).astype(int) - read(encoded(PICTURE, "PNG"), "png")).mean() < 3


@pytest.mark.parametrize(
    "kind", ["rgb", "grey", "cmyk", "webp", "palette", "rgba", "grey and alpha", "bmp", "tiff"]
)
def test_every_kind_of_file_gives_the_same_picture(kind):
    clear = PICTURE.copy()
    clear.putalpha(77)
    data = {
        "rgb": lambda: encoded(PICTURE, "PNG"),
        "grey": lambda: encoded(PICTURE.convert("L"), "JPEG"),
        "cmyk": lambda: encoded(PICTURE.convert("CMYK"), "JPEG"),
        "webp": lambda: encoded(PICTURE, "WEBP", lossless=True),
        "palette": lambda: encoded(PICTURE.quantize(8), "PNG"),
        "rgba": lambda: encoded(clear, "PNG"),
        "grey and alpha": lambda: encoded(PICTURE.convert("LA"), "PNG"),
        "bmp": lambda: encoded(PICTURE, "BMP"),
        "tiff": lambda: encoded(PICTURE, "TIFF"),
    }[kind]()
    wanted = PICTURE.convert("L").convert("RGB") if kind.startswith("grey") else PICTURE
    wanted = np.asarray(wanted.resize((64, 48)), int)
    difference = np.abs(read(data, kind).astype(int) - wanted)
    assert difference[:, :30].max() <= 4
    assert difference[:, 34:].max() <= 4


def test_the_camera_that_was_turned_says_so_in_its_picture():
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    upright = read(encoded(PICTURE, "JPEG"))
    np.testing.assert_array_equal(read(encoded(PICTURE, "JPEG", exif=exif)), upright[::-1, ::-1])


# ------------------------------------------------------------------------------------------ png


def deep(kind="png", value=500):
    return cv2.imencode(f".{kind}", np.full((96, 128), value, np.uint16))[1].tobytes()


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("name", ["16UC1; png compressed ", "png", "32FC1; png compressed"])
def test_sixteen_bits_are_never_crushed_silently(kind, name):
    with pytest.raises(MessageError, match=r"uint16.*state the range.*--image-range"):
        read(deep(kind), name)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_mapped_by_the_stated_range(kind):
    spec = ImageSpec(48, 64, value_range=(0, 1000))
    assert (read(deep(kind), "16UC1; png compressed ", spec) == 128).all()
    assert (read(deep(kind, 2000), "16UC1; png compressed ", spec) == 255).all()


def test_an_encoding_that_uses_all_bits_needs_no_range():
    assert (read(deep(value=200 * 257), "mono16; png compressed ") == 200).all()
    colours = cv2.imencode(".png", RGB[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    got = read(colours, "rgb16; png compressed bgr16")
    np.testing.assert_array_equal(got, RGB[::2, ::2])


def test_compressed_depth_has_a_header_of_its_own():
    spec = ImageSpec(48, 64, value_range=(0, 1000))
    assert (read(bytes(12) + deep(), "16UC1; compressedDepth png", spec) == 128).all()
    with pytest.raises(MessageError, match="accepted of compressedDepth: 16UC1"):
        read(bytes(12) + deep(), "32FC1; compressedDepth png", spec)


@pytest.mark.parametrize("tail", [b"\r\n", bytes(50), b"junk"])
def test_bytes_behind_a_png_or_webp_do_not_matter(tail):
    for kind in ("PNG", "WEBP"):
        data = encoded(PICTURE, kind, lossless=True) if kind == "WEBP" else encoded(PICTURE, kind)
        np.testing.assert_array_equal(read(data + tail, kind), read(data, kind))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_cut_png_or_webp_is_refused(kind, share):
    data = encoded(Image.fromarray(busy(0)), kind)
    tails = (b"", b"IEND\xaeB`\x82", bytes(len(data)))
    for tail in tails if kind == "PNG" else tails[:2]:  # webp has no checksum
        with pytest.raises(MessageError, match=r"truncated|damaged|cannot be decoded"):
            read(data[: int(share * len(data))] + tail, kind)


def test_a_png_with_a_wrong_byte_is_refused():
    data = bytearray(encoded(Image.fromarray(busy(0)), "PNG"))
    data[len(data) // 2] ^= 4
    with pytest.raises(MessageError, match="a checksum is wrong"):
        read(bytes(data), "png")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_larger_than_any_camera_s_is_refused_before_it_is_decoded(suffix):
    """A small file can claim to be so large that decoding it takes all memory."""
    data = bytearray(cv2.imencode(suffix, np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    if suffix == ".png":
        struct.pack_into(">II", data, 16, 60_000, 60_000)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    else:
        at = data.index(b"\xff\xc0")
        struct.pack_into(">HH", data, at + 5, 60_000, 60_000)
    message = SimpleNamespace(data=bytes(data), format=suffix[1:])
    with pytest.raises(MessageError, match=r"60000x60000; accepted: up to 200 megapixels|damaged"):
        compressed_to_rgb(message, SPEC)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_zeros_do_not_complete_a_jpeg_that_was_cut(progressive, share):
    data = encoded(Image.fromarray(busy(0)), "JPEG", quality=90, progressive=progressive)
    for zeros in (200, 3000, 40000):
        with pytest.raises(MessageError, match=r"truncated|damaged"):
            read(data[: int(share * len(data))] + bytes(zeros) + b"\xff\xd9", "jpeg")


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("picture", ["busy", "flat", "half flat"])
def test_zeros_behind_the_coded_data_of_a_whole_jpeg_do_not_matter(picture, optimize):
    pixels = {"busy": busy(0), "flat": np.full((96, 128, 3), 90, np.uint8)}.get(picture, busy(0))
    pixels = pixels.copy()
    if picture == "half flat":
        pixels[len(pixels) // 2 :] = 30
    data = encoded(Image.fromarray(pixels), "JPEG", quality=80, optimize=optimize)
    for zeros in (1, 7, 300):
        padded = data[:-2] + bytes(zeros) + data[-2:]
        np.testing.assert_array_equal(read(padded, "jpeg"), read(data, "jpeg"))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_the_pattern_of_a_sensor_becomes_colours(pattern, suffix):
    """image_transport compresses what a driver publishes as bayer_* without colours."""
    mosaic = np.zeros(RGB.shape[:2], np.uint8)
    for place, colour in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        mosaic[rows, columns] = RGB[rows, columns, "rgb".index(colour)]
    data = cv2.imencode(f".{suffix}", mosaic, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    name = f"bayer_{pattern}8; {'jpeg' if suffix == 'jpg' else 'png'} compressed "
    inside = np.abs(read(data, name, None).astype(int) - RGB)[2:-2]
    assert inside[:, 2:60].max() <= 3
    assert inside[:, 68:-2].max() <= 3


def test_the_pattern_of_a_sensor_with_16_bits_becomes_colours():
    data = cv2.imencode(".png", np.full((96, 128), 257 * 80, np.uint16))[1].tobytes()
    assert (read(data, "bayer_rggb16; png compressed ", None) == 80).all()


def test_colours_stay_colours_though_the_camera_had_a_pattern():
    data = encoded(PICTURE, "PNG")
    np.testing.assert_array_equal(read(data, "bayer_rggb8; png compressed bgr8", None), RGB)


def test_compressed_depth_in_metres_is_read():
    """compressed_depth_image_transport stores scale / depth + shift of 32FC1; 0: not measured."""
    depth = np.full((96, 128), 2.0, np.float32)
    depth[:, 64:] = 0.5
    scale, shift = 1000.0, -1.0
    steps = np.rint(scale / depth + shift).astype(np.uint16)
    steps[0] = 0
    data = struct.pack("<iff", 0, scale, shift) + cv2.imencode(".png", steps)[1].tobytes()
    found = read(data, "32FC1; compressedDepth png", ImageSpec(96, 128, value_range=(0.0, 2.55)))
    np.testing.assert_allclose(found[1:, :64], 200, atol=1)
    np.testing.assert_allclose(found[1:, 64:], 50, atol=1)
    assert (found[0] == 0).all()
    with pytest.raises(MessageError, match="image-range"):
        read(data, "32FC1; compressedDepth png", SPEC)
    with pytest.raises(MessageError, match="truncated"):
        read(data[:-40], "32FC1; compressedDepth png", SPEC)
