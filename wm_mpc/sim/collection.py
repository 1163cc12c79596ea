"""Record exploration episodes of a simulated task into a dataset, with many workers, resumably."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable

import numpy as np

from wm_mpc.atomic import remove_leftovers
from wm_mpc.data.dataset_lock import writing
from wm_mpc.data.episodes import Dataset, Episode
from wm_mpc.sim.engine import EngineError, Simulation, episode_rng
from wm_mpc.sim.workers import Workers, kept_simulation

_MOVED = 1e-3  # smallest change of a pose entry (m, or cosine or sine) that counts as motion


def record_episode(
    simulation: Simulation, seed: int, index: int, steps: int, explorer: str = ""
) -> Episode:
    """Record one episode of exploration. The same arguments give the same episode.

    Args:
        simulation: The simulation.
        seed: Seed of the dataset.
        index: Number of the episode.
        steps: Length, control steps; less if the world itself ends the episode.
        explorer: Name of an exploration policy; empty: the usual one of the task.

    Raises:
        EngineError: The world fails, or its explorer gives no action.
        ValueError: The task has no explorer of that name.
    """
    rng = episode_rng(seed, "collect", index)
    observation = simulation.reset(rng, goal=False)
    explore = simulation.explorer(rng, explorer)
    images, states, actions = [observation.image], [observation.state], []
    full_states, poses = [_state(simulation)], [simulation.pose()]
    for _ in range(steps):
        action = _finite(explore(), simulation)
        observation = simulation.step(action)
        images.append(observation.image)
        states.append(observation.state)
        actions.append(action)
        full_states.append(_state(simulation))
        poses.append(simulation.pose())
        if simulation.is_over:
            break
    return Episode(
        np.stack(images),
        np.stack(states),
        np.stack(actions),
        np.stack(full_states) if simulation.is_restorable else None,
        simulation.layout.copy(),
        np.stack(poses),
        (seed, index),
    )


def _state(simulation: Simulation) -> np.ndarray:
    """The complete state, or nothing where there is none to have."""
    return simulation.state() if simulation.is_restorable else np.zeros(0)


def _finite(action: np.ndarray, simulation: Simulation) -> np.ndarray:
    spec = simulation.task.spec
    given = np.asarray(action)
    if given.shape != (spec.action.size,) or not np.isfinite(given).all():
        raise EngineError(
            f"the explorer of task {spec.task!r} gave the action {given}; {spec.action.size} "
            "finite numbers are needed"
        )
    return given.astype(np.float32)


def collect(
    dataset: Dataset,
    *,
    episodes: int,
    steps: int,
    seed: int,
    workers: Workers,
    explorer: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> float:
    """Record the missing episodes of 0 to episodes - 1.

    Call this again after an interruption, even after a kill, and it goes on where it stopped. Only
    the episodes in progress are lost.

    Args:
        dataset: The dataset.
        episodes: Number of episodes.
        steps: Length of an episode, control steps.
        seed: Seed of the dataset.
        workers: Workers that simulate.
        explorer: As for `record_episode`.
        progress: Called with 1 for each episode when it is safe in the dataset.

    Returns:
        Time taken, s.

    Raises:
        DatasetError: Another process writes into the dataset.
    """
    with writing(dataset.path, "collect"):
        record = functools.partial(_record, dataset.spec.task, seed, steps, explorer)
        return _collect(dataset, episodes, record, workers, progress)


def _collect(
    dataset: Dataset,
    episodes: int,
    record: Callable[[int], tuple[int, Episode]],
    workers: Workers,
    progress: Callable[[int], None],
) -> float:
    _clean_up(dataset)
    missing = sorted(set(range(episodes)) - set(dataset.indices()))
    if not missing:
        return 0.0
    started = time.perf_counter()
    for index, episode in workers.map(record, missing, ordered=False):
        dataset.append(index, episode)
        progress(1)
    return time.perf_counter() - started


def _record(task: str, seed: int, steps: int, explorer: str, index: int) -> tuple[int, Episode]:
    """Record an episode in a worker."""
    return index, record_episode(kept_simulation(task), seed, index, steps, explorer)


def _clean_up(dataset: Dataset) -> None:
    """Clean up after a killed process: delete its half-written files, and complete the index."""
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
    """Return the share of windows in which the scene moves.

    The scene moves if one of the pose entries changes by more than 0.001 within the window.

    Args:
        dataset: The dataset.
        names: Names of pose entries.
        steps: Length of a window, control steps.

    Returns:
        A share from 0 to 1; NaN if no window fits into an episode.

    Raises:
        DatasetError: An episode is damaged.
        ValueError: A name was not recorded.
    """
    unknown = sorted(set(names) - set(dataset.pose_names))
    if unknown:
        raise ValueError(f"poses {unknown} were not recorded; recorded: {dataset.pose_names}")
    columns = [dataset.pose_names.index(name) for name in names]
    windows = moving = 0
    for index in dataset.indices():
        poses = dataset.read_without_images(index).poses
        if poses is not None and len(poses) > steps:
            views = np.lib.stride_tricks.sliding_window_view(poses[:, columns], steps + 1, axis=0)
            windows += len(views)
            moving += int((np.ptp(views, axis=-1) > _MOVED).any(-1).sum())
    return moving / windows if windows else float("nan")
