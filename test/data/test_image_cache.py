"""The images of a dataset are laid out once, however many trainings start at the same time."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import numpy as np
import pytest

from wm_mpc.data.episodes import Dataset, Episode, Recording
from wm_mpc.sim.tasks.wall import Wall

STEPS = 20
TRAINING = """
import sys
from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.data import image_cache

make = image_cache._make
def noted(*arguments):
    print("made", flush=True)
    make(*arguments)
image_cache._make = noted
print("ready", flush=True)
sys.stdin.readline()
recording = Recording(Dataset(sys.argv[1]), limit=int(sys.argv[2]) or None)
print("sum", int(recording.images.sum()), flush=True)
"""


def episode(value, steps=STEPS):
    images = np.full((steps + 1, 64, 64, 3), value, np.uint8)
    return Episode(images, np.zeros((steps + 1, 2), np.float32), np.zeros((steps, 2), np.float32))


@pytest.fixture
def dataset(tmp_path):
    dataset = Dataset.create(tmp_path / "data", Wall.spec)
    for number in range(30):
        dataset.append(number, episode(number))
    return dataset


def total(count):
    return sum(range(count)) * (STEPS + 1) * 64 * 64 * 3


class Trainings:
    """Processes that open the same dataset at the same moment; limits: of each, 0: none."""

    def __init__(self, dataset, limits):
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", TRAINING, str(dataset.path), str(limit)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for limit in limits
        ]  # fmt: skip
        for process in self.processes:
            assert process.stdout.readline() == "ready\n"

    def go(self):
        for process in self.processes:
            process.stdin.write("\n")
            process.stdin.flush()

    def ends(self):
        """What each has said."""
        return [process.communicate()[0].splitlines() for process in self.processes]


def test_trainings_that_start_together_make_the_images_once(dataset):
    trainings = Trainings(dataset, [0, 0, 0])
    trainings.go()
    said = trainings.ends()
    assert [lines[-1] for lines in said] == [f"sum {total(30)}"] * 3
    assert sum("made" in lines for lines in said) == 1
    assert len(list((dataset.path / "cache").iterdir())) == 1


def test_trainings_on_parts_of_a_dataset_take_nothing_from_each_other(dataset):
    trainings = Trainings(dataset, [0, 10])
    trainings.go()
    assert [lines[-1] for lines in trainings.ends()] == [f"sum {total(30)}", f"sum {total(10)}"]
    assert int(Recording(dataset).images.sum()) == total(30)


def test_who_was_killed_while_making_them_stops_nobody(dataset):
    trainings = Trainings(dataset, [0])
    (process,) = trainings.processes
    trainings.go()
    assert process.stdout.readline() == "made\n"
    process.kill()
    process.communicate()
    assert int(Recording(dataset).images.sum()) == total(30)
    (file,) = (dataset.path / "cache").iterdir()
    assert file.suffix == ".npy"


def test_images_that_are_in_use_outlive_a_change_of_the_dataset(dataset):
    recording = Recording(dataset)
    dataset.append(30, episode(30))
    assert int(Recording(dataset).images.sum()) == total(31)
    assert int(recording.images.sum()) == total(30)


def test_an_episode_that_was_replaced_is_seen(dataset):
    Recording(dataset)
    size = (dataset.path / "episodes" / "000003.h5").stat().st_size
    dataset.append(3, episode(7))
    assert (dataset.path / "episodes" / "000003.h5").stat().st_size == size
    assert Recording(dataset).images[3 * (STEPS + 1), 0, 0, 0] == 7


@pytest.mark.parametrize("change", ["cut", "garbage"])
def test_a_cache_that_is_damaged_is_made_again(dataset, change):
    Recording(dataset)
    (file,) = (dataset.path / "cache").iterdir()
    if change == "cut":
        os.truncate(file, file.stat().st_size // 2)
    else:
        file.write_bytes(b"garbage")
    assert int(Recording(dataset).images.sum()) == total(30)


def test_without_locks_each_makes_its_own(dataset, monkeypatch):
    def none(*_):
        raise OSError(38, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    assert int(Recording(dataset).images.sum()) == total(30)
