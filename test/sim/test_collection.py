"""Exploration in the real simulator, interrupted as rudely as possible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from wm_mpc.data.episodes import Dataset
from wm_mpc.sim.collection import collect, moving_share
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.workers import LocalWorkers

STEPS = 12
COLLECT = """
import sys
from wm_mpc.sim.collection import collect
from wm_mpc.data.episodes import Dataset
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.workers import make_workers

dataset = Dataset.create(sys.argv[1], make_task("wall").spec)
report = lambda _: print("episode", flush=True)
with make_workers(sys.argv[2]) as workers:
    collect(
        dataset, episodes=int(sys.argv[3]), steps=12, seed=5, workers=workers, progress=report
    )
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
    collect(dataset, episodes=8, steps=STEPS, seed=5, workers=LocalWorkers(1))
    return contents(dataset)


def test_explorer_that_the_task_does_not_have_is_refused(tmp_path, capsys):
    from wm_mpc.cli.collect import main

    path = tmp_path / "data"
    wall = ["--task", "wall", "--explorer", "weak", "--dataset", str(path)]
    assert main(wall) == 2
    assert "task 'wall' has no explorer 'weak'; accepted: none beside" in capsys.readouterr().err
    pusht = ["--task", "pusht", "--explorer", "strong", "--dataset", str(path)]
    assert main(pusht) == 2
    assert "'pusht' has no explorer 'strong'; accepted: weak" in capsys.readouterr().err
    assert not path.exists()


def test_other_explorer_does_not_go_into_the_same_dataset(tmp_path, capsys):
    from wm_mpc.cli.collect import main
    from wm_mpc.sim.tasks.pusht import PushTWorld

    provenance = {"seed": 0, "steps": 80, "explorer": "weak"}
    Dataset.create(tmp_path, PushTWorld.spec, provenance)
    assert main(["--task", "pusht", "--episodes", "1", "--dataset", str(tmp_path)]) == 1
    assert "was recorded with {'seed': 0, 'steps': 80, 'explorer': 'weak'}" in (
        capsys.readouterr().err
    )


def test_every_episode_is_collected_whole(uninterrupted):
    assert list(uninterrupted) == list(range(8))
    assert {len(episode["actions"]) for episode in uninterrupted.values()} == {STEPS * 2 * 4}


def test_episodes_differ(uninterrupted):
    assert len({episode["actions"] for episode in uninterrupted.values()}) == 8
    assert len({episode["layout"] for episode in uninterrupted.values()}) == 8


def test_other_seed_gives_other_episodes(uninterrupted, tmp_path):
    dataset = make_dataset(tmp_path)
    collect(dataset, episodes=1, steps=STEPS, seed=6, workers=LocalWorkers(1))
    assert contents(dataset)[0]["actions"] != uninterrupted[0]["actions"]


@pytest.mark.parametrize("workers", ["two_workers", "ray_workers"])
def test_same_seed_gives_same_episodes_with_any_workers(uninterrupted, tmp_path, workers, request):
    dataset = make_dataset(tmp_path)
    done = []
    workers = request.getfixturevalue(workers)
    collect(dataset, episodes=8, steps=STEPS, seed=5, workers=workers, progress=done.append)
    assert contents(dataset) == uninterrupted
    assert sum(done) == 8


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_collection_continues_to_the_same_dataset(uninterrupted, tmp_path, workers):
    """Killed again and again, at moments that nobody chose, until it is through."""
    rng = np.random.default_rng(0)
    kills = 0
    while True:
        present = len(Dataset(tmp_path)) if (tmp_path / "dataset.json").exists() else 0
        command = [sys.executable, "-c", COLLECT, str(tmp_path), workers, "8"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            reported = 0
            for _ in range(rng.integers(1, 4)):
                reported += child.stdout.readline() == b"episode\n"
            time.sleep(rng.uniform(0.0, 0.05))
            child.kill()
            if child.wait() == 0:
                break
            kills += 1
        dataset = Dataset(tmp_path)
        assert len(dataset) >= present + reported  # what was reported is there to stay
        for episode in dataset:  # and whatever is there is whole
            assert len(episode) == STEPS
            assert len(episode.images) == STEPS + 1
    assert kills >= 2
    assert contents(Dataset(tmp_path)) == uninterrupted
    assert [path.name for path in tmp_path.rglob("*") if ".tmp" in path.name] == []
    lines = (tmp_path / "index.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["episode"] for line in lines) == list(range(8))


def test_what_a_killed_process_left_is_cleaned_up(uninterrupted, tmp_path):
    dataset = make_dataset(tmp_path)
    collect(dataset, episodes=2, steps=STEPS, seed=5, workers=LocalWorkers(1))
    index = tmp_path / "index.jsonl"
    lines = index.read_text().splitlines(keepends=True)
    index.write_text(lines[0])
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    left = [f"episodes/000007.{process.pid}.tmp", f"dataset.json.{process.pid}.tmp"]
    kept = [f"episodes/000008.{os.getppid()}.tmp", "episodes/mine.tmp"]
    for name in left + kept:
        (tmp_path / name).write_bytes(b"half of it")
    collect(dataset, episodes=2, steps=STEPS, seed=5, workers=LocalWorkers(1))
    assert index.read_text().splitlines(keepends=True) == lines
    assert [name for name in left + kept if (tmp_path / name).exists()] == kept


def test_half_written_episode_counts_as_absent(uninterrupted, tmp_path):
    """What a kill in the middle of a file leaves behind."""
    dataset = make_dataset(tmp_path)
    (tmp_path / "episodes" / "000000.4711.tmp").write_bytes(b"\x89HDF\r\n\x1a\n half of it")
    assert dataset.indices() == []
    collect(dataset, episodes=1, steps=STEPS, seed=5, workers=LocalWorkers(1))
    assert contents(dataset)[0] == uninterrupted[0]


def test_missing_episode_is_filled_in(uninterrupted, tmp_path):
    """Workers finish in any order, so a killed collection has holes."""
    dataset = make_dataset(tmp_path)
    collect(dataset, episodes=3, steps=STEPS, seed=5, workers=LocalWorkers(1))
    (tmp_path / "episodes" / "000001.h5").unlink()
    collect(dataset, episodes=3, steps=STEPS, seed=5, workers=LocalWorkers(1))
    assert contents(dataset) == {index: uninterrupted[index] for index in range(3)}


def test_finished_collection_does_nothing(tmp_path):
    dataset = make_dataset(tmp_path)
    collect(dataset, episodes=2, steps=STEPS, seed=5, workers=LocalWorkers(1))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "episodes").iterdir()}
    done = []
    seconds = collect(
        dataset, episodes=2, steps=STEPS, seed=5, workers=LocalWorkers(1), progress=done.append
    )
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


def test_share_of_windows_in_which_the_scene_moves(uninterrupted, tmp_path):
    """The block of this made-up scene moves in steps 2 and 7, by more and by less than counts."""
    dataset = Dataset.create(tmp_path, make_task("wall").spec, {"pose_names": ["robot", "block"]})
    simulated = make_dataset(tmp_path / "simulated")
    collect(simulated, episodes=1, steps=STEPS, seed=5, workers=LocalWorkers(1))
    episode = simulated.read(0)
    episode.poses = np.zeros((STEPS + 1, 2))
    episode.poses[:, 0] = np.arange(STEPS + 1)
    episode.poses[3:, 1] += 0.002
    episode.poses[8:, 1] += 0.0005
    dataset.append(0, episode)
    assert moving_share(dataset, ("block",), 1) == 1 / 12
    assert moving_share(dataset, ("block",), 4) == 3 / 9
    assert moving_share(dataset, ("robot", "block"), 4) == 1.0
    assert np.isnan(moving_share(dataset, ("block",), STEPS + 1))
    with pytest.raises(ValueError, match=r"poses \['arm'\] were not recorded"):
        moving_share(dataset, ("arm",), 1)
