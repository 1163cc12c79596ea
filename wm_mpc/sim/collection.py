"""Record exploration episodes of a simulated task into a dataset, by many workers, resumably."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable

import numpy as np

from wm_mpc.atomic import remove_leftovers
from wm_mpc.data.dataset_lock import writing
from wm_mpc.data.episodes import Dataset, Episode
from wm_mpc.sim.bullet import Simulation, episode_rng
from wm_mpc.sim.workers import Workers, kept_simulation

_MOVED = 1e-3  # least change of a pose entry (m, or cosine and sine of an angle) that is a motion


def record_episode(simulation: Simulation, seed: int, index: int, steps: int) -> Episode:
    """Explore for `steps` low-level steps. The same arguments give the same episode."""
    rng = episode_rng(seed, "collect", index)
    observation = simulation.reset(rng, goal=False)
    explore = simulation.task.explorer(rng)
    images, states, actions = [observation.image], [observation.state], []
    full_states, poses = [simulation.task.get_state()], [simulation.task.pose()]
    for _ in range(steps):
        action = explore().astype(np.float32)
        observation = simulation.step(action)
        images.append(observation.image)
        states.append(observation.state)
        actions.append(action)
        full_states.append(simulation.task.get_state())
        poses.append(simulation.task.pose())
    return Episode(
        np.stack(images),
        np.stack(states),
        np.stack(actions),
        np.stack(full_states),
        simulation.layout.copy(),
        np.stack(poses),
        (seed, index),
    )


def collect(
    dataset: Dataset,
    *,
    episodes: int,
    steps: int,
    seed: int,
    workers: Workers,
    progress: Callable[[int], None] = lambda _: None,
) -> float:
    """Add the episodes 0..episodes-1 that are not there yet; returns seconds taken.

    `progress` is called with 1 for each episode that is in the dataset to stay. An interrupted
    call, even a killed one, continues where it stopped when called again: lost are the episodes the
    workers were recording. Raises DatasetError while something else writes into the dataset.
    """
    with writing(dataset.path, "collect"):
        return _collect(dataset, episodes, steps, seed, workers, progress)


def _collect(
    dataset: Dataset,
    episodes: int,
    steps: int,
    seed: int,
    workers: Workers,
    progress: Callable[[int], None],
) -> float:
    _clean_up(dataset)
    missing = sorted(set(range(episodes)) - set(dataset.indices()))
    if not missing:
        return 0.0
    started = time.perf_counter()
    record = functools.partial(_record, dataset.spec.task, seed, steps)
    for index, episode in workers.map(record, missing, ordered=False):
        dataset.append(index, episode)
        progress(1)
    return time.perf_counter() - started


def _record(task: str, seed: int, steps: int, index: int) -> tuple[int, Episode]:
    """In a worker."""
    return index, record_episode(kept_simulation(task), seed, index, steps)


def _clean_up(dataset: Dataset) -> None:
    """Finish what a killed process left: delete its half-written files, complete the index."""
    for folder in (dataset.path, dataset.path / "episodes", dataset.path / "cache"):
        remove_leftovers(folder)
    index_file = dataset.path / "index.jsonl"
    lines = index_file.read_text().splitlines() if index_file.exists() else []
    unlisted = set(dataset.indices()) - {json.loads(line)["episode"] for line in lines}
    with open(index_file, "a") as file:
        for index in sorted(unlisted):
            episode = dataset.read_without_images(index)
            line = {"episode": index, "steps": len(episode), "seed": episode.seed}
            file.write(json.dumps(line) + "\n")


def moving_share(dataset: Dataset, names: tuple[str, ...], steps: int) -> float:
    """Share of all windows of `steps` low-level steps in which the scene moves: one of the pose
    entries `names` differs by more than 0.001 within the window. NaN when no window fits.

    Raises DatasetError for damaged episodes and ValueError for names that were not recorded.
    """
    unknown = sorted(set(names) - set(dataset.pose_names))
    if unknown:
        raise ValueError(f"poses {unknown} were not recorded; there are {dataset.pose_names}")
    columns = [dataset.pose_names.index(name) for name in names]
    windows = moving = 0
    for index in dataset.indices():
        poses = dataset.read_without_images(index).poses
        if poses is not None and len(poses) > steps:
            views = np.lib.stride_tricks.sliding_window_view(poses[:, columns], steps + 1, axis=0)
            windows += len(views)
            moving += int((np.ptp(views, axis=-1) > _MOVED).any(-1).sum())
    return moving / windows if windows else float("nan")
