"""An import adds all of its episodes to a dataset, or none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from wm_mpc.data.episodes import Dataset, DatasetError, Episode
from wm_mpc.data.import_journal import remove_unfinished, whole_import
from wm_mpc.sim.tasks.wall import Wall


def episode():
    return Episode(
        np.zeros((3, 64, 64, 3), np.uint8), np.zeros((3, 2), np.float32),
        np.zeros((2, 2), np.float32),
    )  # fmt: skip


@pytest.fixture
def dataset(tmp_path):
    dataset = Dataset.create(tmp_path / "data", Wall.spec)
    for index in range(2):
        dataset.append(index, episode())
    return dataset


def fail(dataset, index, error):
    with whole_import(dataset):
        dataset.append(index, episode())
        raise error


def indexed(dataset):
    lines = (dataset.path / "index.jsonl").read_text().splitlines()
    return [json.loads(line)["episode"] for line in lines]


def test_episodes_stay_when_the_import_ends_well(dataset):
    with whole_import(dataset):
        dataset.append(2, episode())
    assert dataset.indices() == indexed(dataset) == [0, 1, 2]
    assert remove_unfinished(dataset) == 0


@pytest.mark.parametrize("error", [DatasetError, KeyboardInterrupt])
def test_episodes_go_when_the_import_fails(dataset, error):
    with pytest.raises(error):
        fail(dataset, 2, error)
    assert dataset.indices() == indexed(dataset) == [0, 1]
    assert remove_unfinished(dataset) == 0


def test_what_a_killed_import_left_is_removed_at_the_next_start(dataset):
    killed = whole_import(dataset)
    killed.__enter__()
    dataset.append(2, episode())
    assert remove_unfinished(Dataset(dataset.path)) == 1
    assert dataset.indices() == indexed(dataset) == [0, 1]


def test_a_dataset_that_was_empty_goes_with_its_description(tmp_path):
    dataset = Dataset.create(tmp_path / "data", Wall.spec)
    with pytest.raises(DatasetError):
        fail(dataset, 0, DatasetError)
    assert not (dataset.path / "dataset.json").exists()


def test_a_note_that_cannot_be_read_is_told(dataset):
    (dataset.path / "importing.json").write_text("{")
    with pytest.raises(DatasetError, match=r"importing.json cannot be read"):
        remove_unfinished(dataset)
    assert dataset.indices() == [0, 1]
