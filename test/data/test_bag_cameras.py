"""A recording of several cameras becomes a dataset of joined pictures."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.data.bag import BagError
from wm_mpc.data.bag_config import BagConfig, BagConfigError
from wm_mpc.data.bag_import import write_episodes
from wm_mpc.data.episodes import Dataset
from wm_mpc.data.extending import check_extends
from wm_mpc.spec import CameraSpec

PERIOD, STEPS, START = 0.1, 20, 100.0
ACTION = {"low": [-1.0, -1.0], "high": [1.0, 1.0]}
CAMERAS = [
    {"name": "front", "topic": "/image", "height": 20, "width": 20},
    {"name": "side", "topic": "/side/image/compressed", "height": 16, "width": 24},
]


def stamp(k):
    return START + k * PERIOD


def recorded(bags, *, late=0.0, steps=range(STEPS + 1), apart=0.0):
    """`late`: s after its moment that the second camera's picture arrives; `apart`: s later that it
    is taken."""
    make = bags.Make()
    found = [("/image", stamp(k), make.image(stamp(k), bags.gray(k))) for k in range(STEPS + 1)]
    found += [
        (
            "/side/image/compressed",
            stamp(k) + apart + late,
            make.compressed(stamp(k) + apart, bags.gray(100 + k, 16, 24)),
        )
        for k in steps
    ]
    found += [("/odom", stamp(k), make.odometry(stamp(k), vx=0.01 * k)) for k in range(STEPS + 1)]
    found += [("/cmd_vel", stamp(k), make.twist(vx=0.02 * k, wz=0.1)) for k in range(STEPS)]
    return sorted(found, key=lambda entry: entry[1])


@pytest.fixture
def imported(bags, tmp_path):
    def run(messages, cameras=CAMERAS, **image):
        path = bags.write_bag(tmp_path / "bag", messages)
        settings = {"action": ACTION, "image": {"cameras": cameras, **image}}
        with bags.reading(path, **settings) as read:
            dataset = Dataset.create(tmp_path / "dataset", read.description.spec)
            write_episodes(read.streams, read.drafts, dataset)
        return Dataset(dataset.path), read.report

    return run


def values(dataset, tile):
    """The value that each picture of a camera is filled with."""
    episodes = [tile.of(episode.images) for episode in dataset]
    pictures = np.concatenate(episodes)
    assert (pictures == pictures[:, :1, :1, :1]).all()
    return pictures[:, 0, 0, 0].tolist()


def test_cameras_become_joined_pictures_of_one_moment(bags, imported):
    dataset, report = imported(recorded(bags))
    assert dataset.spec.images == (
        CameraSpec("front", 20, 20, "/image"), CameraSpec("side", 16, 24, "/side/image"),
    )  # fmt: skip
    first, second = dataset.spec.image.tiles
    seen = values(dataset, first)
    assert seen == list(range(STEPS + 1))
    assert values(dataset, second) == [100 + k for k in seen]
    assert "21 pictures of front and side of one moment (read: 21 of front, 21 of side)" in report


@pytest.mark.parametrize("late", [0.03, 0.25])
def test_a_camera_that_arrives_late_is_paired_by_its_stamps(bags, imported, late):
    dataset, _ = imported(recorded(bags, late=late))
    first, second = dataset.spec.image.tiles
    assert values(dataset, second) == [100 + k for k in values(dataset, first)]


def test_steps_without_a_picture_of_one_camera_are_left_out(bags, imported):
    steps = [k for k in range(STEPS + 1) if k < 8 or k >= 18]
    dataset, report = imported(recorded(bags, steps=steps), max_gap=0.15)
    assert "gap in the images" in report
    _, second = dataset.spec.image.tiles
    assert set(values(dataset, second)) <= {100 + k for k in steps}


def test_cameras_without_a_common_moment_are_refused(bags, imported):
    with pytest.raises(BagError, match=r"one moment \(read: 21 of front, 2 of side\)"):
        imported(recorded(bags, steps=[0, 10], apart=30.0))


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        ({"name": "top", "topic": "/top"}, "no topic /top"),
        ({"name": "top"}, "camera top has no topic"),
    ],
)
def test_a_camera_that_the_recording_lacks_is_named(bags, imported, camera, said):
    with pytest.raises(BagError, match=said):
        imported(recorded(bags), [CAMERAS[0], camera])


def test_one_topic_is_not_two_cameras(bags, imported):
    with pytest.raises(BagError, match="topic of two cameras"):
        imported(recorded(bags), [CAMERAS[0], {"name": "side", "topic": "/image"}])


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"cameras": CAMERAS[:1]}, "two or more different"),
        ({"cameras": [CAMERAS[0], CAMERAS[0]]}, "two or more different"),
        ({"cameras": CAMERAS, "topic": "/image"}, "state the topic of each camera"),
        ({"cameras": [CAMERAS[0], {"name": "b", "value_range": [1.0]}]}, "range of camera b"),
    ],
)
def test_settings_of_cameras_that_contradict_are_refused(image, said):

    with pytest.raises(BagConfigError, match=said):
        BagConfig.from_dict({"image": image})


def test_a_dataset_of_two_cameras_is_extended_with_both(bags, imported):

    dataset, _ = imported(recorded(bags))
    check_extends(BagConfig.from_dict({"image": {"cameras": CAMERAS}}), dataset.spec)
    with pytest.raises(BagConfigError, match=r"image\.cameras is camera, but front, side"):
        check_extends(BagConfig(), dataset.spec)
