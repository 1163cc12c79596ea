"""A robot with several cameras: its description, and the joined picture."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from wm_mpc.sim.tasks import make_task
from wm_mpc.spec import CameraSpec, ImageSpec, RobotSpec, SpecError

FRONT, SIDE = CameraSpec("front", 20, 24), CameraSpec("side", 16, 32)


def test_one_camera_is_described_as_before_there_were_several():
    image = make_task("wall").spec.to_dict()["image"]
    assert image == {"height": 64, "width": 64, "encoding": "rgb8", "value_range": None}
    (only,) = make_task("wall").spec.images
    assert (only.name, only.topic, only.image) == (
        "camera", "camera/image_raw", ImageSpec(64, 64),
    )  # fmt: skip


def test_several_cameras_are_read_back_as_they_were_written():
    spec = dataclasses.replace(
        make_task("wall").spec,
        image=ImageSpec.of(
            dataclasses.replace(FRONT, value_range=(0.0, 5.0)),
            dataclasses.replace(SIDE, topic="/robot/side/image"),
        ),
    )
    assert RobotSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert [camera.topic for camera in spec.images] == ["camera/image_raw", "/robot/side/image"]


def test_a_second_camera_has_a_topic_of_its_name():
    image = ImageSpec.of(FRONT, SIDE)
    assert [one.topic for one in image.cameras_and_topics()] == [
        "camera/image_raw", "side/image_raw",
    ]  # fmt: skip


def test_joined_pictures_stand_side_by_side_and_come_apart_again():
    image, rng = ImageSpec.of(FRONT, SIDE), np.random.default_rng(0)
    assert (image.height, image.width) == (20, 56)
    front = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    side = rng.integers(0, 256, (16, 32, 3), dtype=np.uint8)
    joined = image.joined({"side": side, "front": front})
    assert np.array_equal(joined, image.joined([front, side]))
    first, second = image.tiles
    assert np.array_equal(first.of(joined), front)
    assert np.array_equal(second.of(joined), side)
    assert not joined[16:, 24:].any()


def test_the_picture_of_one_camera_is_its_joined_picture():
    picture = np.zeros((20, 24, 3), np.uint8)
    assert ImageSpec(20, 24).joined([picture]) is picture


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        ({"front": np.zeros((20, 24, 3), np.uint8)}, "the cameras are front, side"),
        ([np.zeros((20, 24, 3), np.uint8)], "1 pictures are given"),
        ([np.zeros((20, 24, 3), np.uint8)] * 2, "picture of side has shape"),
    ],
)
def test_a_joined_picture_lacks_no_camera(pictures, said):
    with pytest.raises(SpecError, match=said):
        ImageSpec.of(FRONT, SIDE).joined(pictures)


@pytest.mark.parametrize(
    ("cameras", "said"),
    [
        ((FRONT,), "two or more"),
        ((FRONT, FRONT), "repeats a name"),
        ((FRONT, dataclasses.replace(SIDE, topic="camera/image_raw")), "repeats a topic"),
        ((FRONT,) * 9, "2 to 8"),
    ],
)
def test_cameras_that_cannot_be_told_apart_are_refused(cameras, said):
    with pytest.raises(SpecError, match=said):
        ImageSpec.of(*cameras)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Front"}, "small letters"),
        ({"name": ""}, "small letters"),
        ({"topic": "a b"}, "ROS topic"),
        ({"height": 8}, "camera front: image is 8x24"),
        ({"value_range": (1.0, 1.0)}, "camera front: image.value_range"),
    ],
)
def test_a_camera_that_makes_no_sense_is_refused(change, said):
    with pytest.raises(SpecError, match=said):
        dataclasses.replace(FRONT, **change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cameras": []}, "a list of cameras"),
        ({"cameras": "front"}, "a list of cameras"),
        ({"cameras": [{"name": "front", "height": 20, "width": 24}]}, "2 to 8"),
        ({"height": 21}, "20x56 side by side"),
        ({"value_range": [0, 1]}, "each has its own"),
    ],
)
def test_a_description_of_cameras_that_contradicts_itself_is_refused(change, said):
    spec = dataclasses.replace(make_task("wall").spec, image=ImageSpec.of(FRONT, SIDE))
    data = json.loads(json.dumps(spec.to_dict()))
    data["image"] |= change
    with pytest.raises(SpecError, match=said):
        RobotSpec.from_dict(data)


def test_an_unknown_entry_of_a_camera_is_named():
    spec = dataclasses.replace(make_task("wall").spec, image=ImageSpec.of(FRONT, SIDE))
    data = json.loads(json.dumps(spec.to_dict()))
    data["image"]["cameras"][1]["colour"] = "red"
    with pytest.raises(SpecError, match="camera 2 has unknown entries"):
        RobotSpec.from_dict(data)
