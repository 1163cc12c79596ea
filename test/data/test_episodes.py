"""The dataset: what goes in comes out, complete or not at all."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import tempfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wm_mpc.data.episodes import Dataset, DatasetError, Episode, Recording
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

SPEC = RobotSpec(
    "toy",
    ActionSpec(("a", "b"), "velocity", "m/s", (-1.0, -2.0), (1.0, 4.0)),
    StateSpec(("x", "y", "yaw"), ("m", "m", "rad"), "odom"),
    ImageSpec(16, 20),
    control_period=0.1,
    frame_skip=2,
)
ARRAYS = ("images", "states", "actions", "simulator_states", "layout", "poses")


def make_episode(steps=7, seed=0, spec=SPEC, simulated=True):
    rng = np.random.default_rng([seed, steps])
    size = (steps + 1, spec.image.height, spec.image.width, 3)
    return Episode(
        rng.integers(0, 256, size, np.uint8),
        rng.normal(size=(steps + 1, spec.state.size)).astype(np.float32),
        rng.uniform(spec.action.low, spec.action.high, (steps, 2)).astype(np.float32),
        rng.normal(size=(steps + 1, 4)) if simulated else None,
        rng.normal(size=1) if simulated else None,
        rng.normal(size=(steps + 1, 2)) if simulated else None,
        (seed, 3) if simulated else None,
    )


def assert_same(first, second):
    for name in ARRAYS:
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert one.dtype == other.dtype, name
            assert np.array_equal(one, other), name
    assert first.seed == second.seed


@pytest.fixture
def dataset(tmp_path):
    return Dataset.create(tmp_path / "data", SPEC, {"pose_names": ("x", "y"), "seed": 4})


def episode_file(dataset, index):
    return dataset.path / "episodes" / f"{index:06d}.h5"


@pytest.mark.parametrize("simulated", [True, False])
def test_episode_round_trip_is_exact(dataset, simulated):
    episode = make_episode(simulated=simulated)
    dataset.append(12, episode)
    assert_same(Dataset(dataset.path).read(12), episode)


def test_episode_without_images_is_the_rest_of_it(dataset):
    episode = make_episode()
    dataset.append(0, episode)
    rest = dataset.read_without_images(0)
    assert len(rest.images) == 0
    assert_same(dataclasses.replace(rest, images=episode.images), episode)


def test_dataset_describes_itself(dataset):
    again = Dataset(dataset.path)
    assert again.spec == SPEC
    assert again.provenance["seed"] == 4
    assert again.pose_names == ("x", "y")


def test_episodes_are_listed_and_read_in_order(dataset):
    for index in (10, 2, 0):
        dataset.append(index, make_episode(steps=index + 1))
    assert dataset.indices() == [0, 2, 10]
    assert len(dataset) == 3
    assert [len(episode) for episode in dataset] == [1, 3, 11]


def test_index_has_one_line_per_episode(dataset):
    for index in range(3):
        dataset.append(index, make_episode(steps=4 + index))
    lines = (dataset.path / "index.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"episode": index, "steps": 4 + index, "seed": [0, 3]} for index in range(3)
    ]


def test_append_that_fails_leaves_nothing(dataset):
    with pytest.raises(TypeError):
        dataset.append(0, make_episode_that_cannot_be_stored())
    assert dataset.indices() == []
    assert list((dataset.path / "episodes").iterdir()) == []


def make_episode_that_cannot_be_stored():
    return dataclasses.replace(make_episode(), layout=np.array([object()]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((8, 16, 16, 3), np.uint8)}, r"images have shape .*wanted \(8, 16, 20"),
        ({"images": np.zeros((7, 16, 20, 3), np.uint8)}, "images have shape"),
        ({"images": np.zeros((8, 16, 20, 3))}, "images are float64; wanted uint8"),
        ({"states": np.zeros((8, 2), np.float32)}, r"states have shape \(8, 2\); wanted \(8, 3\)"),
        ({"actions": np.zeros((7, 3), np.float32)}, r"actions have shape \(7, 3\); wanted \(7, 2"),
        ({"states": np.full((8, 3), np.nan, np.float32)}, "states contain NaN or infinity"),
        ({"actions": np.full((7, 2), np.inf, np.float32)}, "actions contain NaN or infinity"),
        ({"simulator_states": np.zeros((7, 4))}, "simulator_states have 7 rows; wanted 8"),
        ({"poses": np.zeros((9, 2))}, "poses have 9 rows; wanted 8"),
    ],
)
def test_episode_of_wrong_shape_or_content_is_refused(dataset, changes, message):
    with pytest.raises(DatasetError, match=message):
        dataset.append(0, dataclasses.replace(make_episode(), **changes))
    assert len(dataset) == 0


@pytest.mark.parametrize("keep", [0.0, 0.05, 0.5, 0.95])
def test_truncated_episode_is_named(dataset, keep):
    dataset.append(5, make_episode(steps=20))
    path = episode_file(dataset, 5)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    for read in (dataset.read, dataset.read_without_images, lambda _: Recording(dataset)):
        with pytest.raises(DatasetError, match=r"000005\.h5 cannot be read"):
            read(5)


def test_episode_with_damaged_pictures_is_named(dataset):
    dataset.append(5, make_episode(steps=20))
    path = episode_file(dataset, 5)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1000] = bytes(1000)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"000005\.h5 cannot be read"):
        dataset.read(5)


@pytest.mark.parametrize("name", ["images", "states", "actions"])
def test_episode_without_a_needed_array_is_named(dataset, name):
    dataset.append(5, make_episode())
    with h5py.File(episode_file(dataset, 5), "a") as file:
        del file[name]
    with pytest.raises(DatasetError, match=r"000005\.h5 cannot be read"):
        dataset.read(5)


def test_missing_episode_is_named(dataset):
    with pytest.raises(DatasetError, match=r"000007\.h5 cannot be read"):
        dataset.read(7)


def test_existing_dataset_is_opened_again(dataset):
    dataset.append(0, make_episode())
    again = Dataset.create(dataset.path, SPEC)
    assert again.indices() == [0]
    assert again.provenance["seed"] == 4


def test_dataset_of_another_robot_is_refused(dataset):
    with pytest.raises(DatasetError, match="another robot"):
        Dataset.create(dataset.path, dataclasses.replace(SPEC, control_period=0.2))


def test_missing_dataset_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"no dataset at .*nothing"):
        Dataset(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "has format None"),
        ('{"format": 99}', "has format 99; this version reads format 1"),
        ('{"format": 1}', "does not describe a usable robot: .*'task'"),
        ('{"format": 1, "spec": {"task": ""}}', "does not describe a usable robot"),
    ],
)
def test_damaged_or_foreign_header_is_refused(dataset, header, message):
    (dataset.path / "dataset.json").write_text(header)
    with pytest.raises(DatasetError, match=message):
        Dataset(dataset.path)


def test_dataset_cannot_be_where_a_file_is(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(DatasetError, match="file"):
            Dataset.create(path, SPEC)


def test_hash_changes_with_the_episodes_and_not_with_the_place(dataset, tmp_path):
    hashes = [dataset.content_hash()]
    for index in range(2):
        dataset.append(index, make_episode(steps=3, seed=index))
        hashes.append(dataset.content_hash())
    assert len(set(hashes)) == 3
    moved = dataset.path.rename(tmp_path / "elsewhere")
    assert Dataset(moved).content_hash() == hashes[-1]


def test_recording_is_all_episodes_one_after_another(dataset):
    episodes = [make_episode(steps, seed=steps) for steps in (3, 1, 6)]
    for index, episode in enumerate(episodes):
        dataset.append(index, episode)
    recording = Recording(dataset)
    assert np.array_equal(recording.images, np.concatenate([e.images for e in episodes]))
    assert np.array_equal(recording.states, np.concatenate([e.states for e in episodes]))
    assert np.array_equal(recording.poses, np.concatenate([e.poses for e in episodes]))
    assert np.array_equal(
        recording.simulator_states, np.concatenate([e.simulator_states for e in episodes])
    )
    assert recording.episode_of.tolist() == [0] * 4 + [1] * 2 + [2] * 7
    ends = np.isnan(recording.actions).all(1)
    assert ends.nonzero()[0].tolist() == [3, 5, 12]
    assert np.array_equal(recording.actions[~ends], np.concatenate([e.actions for e in episodes]))


def test_recording_of_a_robot_has_no_simulator_states(dataset):
    dataset.append(0, make_episode())
    dataset.append(1, make_episode(simulated=False))
    recording = Recording(dataset)
    assert recording.simulator_states is None
    assert recording.poses is None


def test_recording_of_no_episode_is_refused(dataset):
    with pytest.raises(DatasetError, match="no complete episode yet"):
        Recording(dataset)


def test_recording_can_be_of_the_first_episodes_only(dataset):
    for index in range(3):
        dataset.append(index, make_episode(4, seed=index))
    assert len(Recording(dataset).images) == 15
    assert len(Recording(dataset, limit=2).images) == 10


def test_cached_pictures_are_used_again(dataset):
    dataset.append(0, make_episode())
    first = Recording(dataset)
    (cache,) = (dataset.path / "cache").iterdir()
    with open(cache, "r+b") as file:  # only a reader of the cache sees this
        file.seek(-1, 2)
        file.write(bytes([first.images[-1, -1, -1, -1] ^ 255]))
    assert not np.array_equal(Recording(dataset).images, dataset.read(0).images)


def test_cache_is_rebuilt_when_episodes_are_added(dataset):
    episodes = [make_episode(5, seed=seed) for seed in range(2)]
    dataset.append(0, episodes[0])
    assert len(Recording(dataset).images) == 6
    dataset.append(1, episodes[1])
    assert np.array_equal(Recording(dataset).images, np.concatenate([e.images for e in episodes]))


def test_cache_may_be_deleted(dataset):
    dataset.append(0, make_episode())
    Recording(dataset)
    for file in (dataset.path / "cache").iterdir():
        file.unlink()
    assert np.array_equal(Recording(dataset).images, dataset.read(0).images)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    skip=st.integers(1, 3),
    steps=st.integers(0, 4),
)
def test_windows_never_cross_episode_borders(lengths, skip, steps):
    spec = dataclasses.replace(SPEC, frame_skip=skip)
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset.create(pathlib.Path(folder), spec)
        for index, length in enumerate(lengths):
            dataset.append(index, make_episode(length, seed=index, spec=spec))
        recording = Recording(dataset)
        starts = recording.window_starts(steps)
        frames, actions = recording.window(starts, steps)
    assert len(starts) == sum(max(0, length + 1 - steps * skip) for length in lengths)
    assert frames.shape == (len(starts), steps + 1)
    episodes = recording.episode_of[frames]
    assert (episodes == episodes[:, :1]).all()
    assert (np.diff(frames, axis=1) == skip).all()
    assert actions.shape == (len(starts), steps, spec.block_size)
    assert np.isfinite(actions).all()


def test_window_holds_the_normalised_actions_between_its_frames(dataset):
    dataset.append(0, make_episode(4))
    dataset.append(1, make_episode(6))
    recording = Recording(dataset)
    frames, actions = recording.window(np.array([6]), 2)
    expected = SPEC.normalise_action(dataset.read(1).actions[1:5])
    assert frames.tolist() == [[6, 8, 10]]
    assert np.array_equal(actions[0], expected.reshape(2, 4))


def test_windows_can_be_drawn_from_some_episodes_only(dataset):
    for index in range(3):
        dataset.append(index, make_episode(6, seed=index))
    recording = Recording(dataset)
    starts = recording.window_starts(2, np.array([0, 2]))
    assert set(recording.episode_of[starts]) == {0, 2}
