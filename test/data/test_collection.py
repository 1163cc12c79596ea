"""Exploration in the real simulator, interrupted as rudely as possible."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

from wm_mpc.data.collection import collect
from wm_mpc.data.episodes import Dataset
from wm_mpc.sim.tasks import make_task

STEPS = 12
COLLECT = """
import sys
from wm_mpc.data.collection import collect
from wm_mpc.data.episodes import Dataset
from wm_mpc.sim.tasks import make_task

dataset = Dataset.create(sys.argv[1], make_task("wall").spec)
report = lambda _: print("episode", flush=True)
collect(dataset, episodes=int(sys.argv[2]), steps=12, seed=5, workers=1, progress=report)
"""


def make_dataset(path):
    return Dataset.create(path, make_task("wall").spec)


def contents(dataset):
    return {
        index: {
            name: getattr(episode, name).tobytes()
            for name in ("images", "states", "actions", "simulator_states", "layout", "poses")
        }
        for index, episode in zip(dataset.indices(), dataset, strict=True)
    }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    dataset = make_dataset(tmp_path_factory.mktemp("uninterrupted"))
    collect(dataset, episodes=8, steps=STEPS, seed=5, workers=1)
    return contents(dataset)


def test_every_episode_is_collected_whole(uninterrupted):
    assert list(uninterrupted) == list(range(8))
    assert {len(episode["actions"]) for episode in uninterrupted.values()} == {STEPS * 2 * 4}


def test_episodes_differ(uninterrupted):
    assert len({episode["actions"] for episode in uninterrupted.values()}) == 8
    assert len({episode["layout"] for episode in uninterrupted.values()}) == 8


def test_other_seed_gives_other_episodes(uninterrupted, tmp_path):
    dataset = make_dataset(tmp_path)
    collect(dataset, episodes=1, steps=STEPS, seed=6, workers=1)
    assert contents(dataset)[0]["actions"] != uninterrupted[0]["actions"]


def test_same_seed_gives_same_episodes_with_two_workers(uninterrupted, tmp_path):
    dataset = make_dataset(tmp_path)
    done = []
    collect(dataset, episodes=8, steps=STEPS, seed=5, workers=2, progress=done.append)
    assert contents(dataset) == uninterrupted
    assert sum(done) == 8


def test_killed_collection_continues_to_the_same_dataset(uninterrupted, tmp_path):
    command = [sys.executable, "-c", COLLECT, str(tmp_path), "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        for _ in range(3):
            assert child.stdout.readline() == b"episode\n"
        child.kill()
        assert child.wait() == -signal.SIGKILL
    dataset = Dataset(tmp_path)
    assert 3 <= len(dataset) < 100
    for episode in dataset:  # whatever is there is whole
        assert len(episode) == STEPS
        assert len(episode.images) == STEPS + 1
    present = len(dataset)
    done = []
    collect(dataset, episodes=8, steps=STEPS, seed=5, workers=1, progress=done.append)
    assert sum(done) == max(0, 8 - present)
    found = contents(dataset)
    assert {index: found[index] for index in range(8)} == uninterrupted
    assert len(found) == max(8, present)


def test_half_written_episode_counts_as_absent(uninterrupted, tmp_path):
    """What a kill in the middle of a file leaves behind."""
    dataset = make_dataset(tmp_path)
    (tmp_path / "episodes" / "000000.4711.tmp").write_bytes(b"\x89HDF\r\n\x1a\n half of it")
    assert dataset.indices() == []
    collect(dataset, episodes=1, steps=STEPS, seed=5, workers=1)
    assert contents(dataset)[0] == uninterrupted[0]


def test_missing_episode_is_filled_in(uninterrupted, tmp_path):
    """Workers finish in any order, so a killed collection has holes."""
    dataset = make_dataset(tmp_path)
    collect(dataset, episodes=3, steps=STEPS, seed=5, workers=1)
    (tmp_path / "episodes" / "000001.h5").unlink()
    collect(dataset, episodes=3, steps=STEPS, seed=5, workers=1)
    assert contents(dataset) == {index: uninterrupted[index] for index in range(3)}


def test_finished_collection_does_nothing(tmp_path):
    dataset = make_dataset(tmp_path)
    collect(dataset, episodes=2, steps=STEPS, seed=5, workers=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "episodes").iterdir()}
    done = []
    seconds = collect(dataset, episodes=2, steps=STEPS, seed=5, workers=1, progress=done.append)
    assert (seconds, done) == (0.0, [])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "episodes").iterdir()} == before


def test_recorded_actions_are_inside_the_limits_and_explore(uninterrupted):
    limits = make_task("wall").spec.action
    actions = np.concatenate(
        [
            np.frombuffer(episode["actions"], np.float32).reshape(-1, 2)
            for episode in uninterrupted.values()
        ]
    )
    assert (actions >= limits.low).all()
    assert (actions <= limits.high).all()
    assert actions.std(0).min() > 0.2
