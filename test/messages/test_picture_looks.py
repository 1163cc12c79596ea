"""What is said, once, of a stream whose pictures do not belong together."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from wm_mpc.messages.picture_looks import PictureLooks


def raw(frame="camera", height=48, width=64, encoding="rgb8"):
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=frame), height=height, width=width, encoding=encoding
    )


def packed(height, width, kind="jpg"):
    data = cv2.imencode(f".{kind}", np.zeros((height, width, 3), np.uint8))[1].tobytes()
    return SimpleNamespace(
        header=SimpleNamespace(frame_id="camera"), data=memoryview(data), format=kind
    )


def said(*messages):
    looks = PictureLooks()
    return [looks.see(message) for message in messages], looks.summary()


def test_nothing_is_said_of_pictures_that_belong_together():
    assert said(*[raw() for _ in range(5)]) == ([[]] * 5, [])


def test_pictures_of_two_cameras_in_turn_are_said_once():
    at_once, summary = said(*[raw("left"), raw("right")] * 10)
    assert [len(texts) for texts in at_once] == [0, 1, *[0] * 18]
    assert at_once[1] == [
        "images of several frames (1 of left, 1 of right) arrive in one stream: two cameras?"
    ]
    assert summary == [
        "images of several frames (10 of left, 10 of right) arrive in one stream: two cameras?"
    ]


@pytest.mark.parametrize(
    "other", [raw(height=50), raw(width=80), raw(encoding="bgr8")], ids=["height", "width", "code"]
)
def test_pictures_that_change_their_size_or_encoding_are_said_once(other):
    at_once, summary = said(raw(), other, raw(), other)
    assert [len(texts) for texts in at_once] == [0, 1, 0, 0]
    assert "images of several kinds (2 of 48x64 rgb8, 2 of " in summary[0]


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_compressed_pictures_that_change_their_size_are_said(kind):
    _, summary = said(packed(48, 64, kind), packed(30, 40, kind), packed(48, 64, kind))
    assert f"2 of 48x64 {kind}, 1 of 30x40 {kind}" in summary[0]


def test_an_order_of_colours_that_is_assumed_is_said_once():
    at_once, summary = said(raw(encoding="8UC3"), raw(encoding="8UC3"))
    assert at_once == [["8UC3 does not state its order of colours; bgr is assumed"], []]
    assert summary == at_once[0]


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG", b"junk" * 9,
                                  b"\xff\xd8" + b"\xff\xe0\0\0" * 30])  # fmt: skip
def test_garbage_is_no_harm(data):
    looks = PictureLooks()
    message = packed(48, 64)
    message.data = memoryview(data)
    assert looks.see(message) == []


def test_names_without_end_are_not_kept():
    looks = PictureLooks()
    for k in range(1000):
        looks.see(raw(f"frame {k}"))
    assert len(looks.summary()[0]) < 300
