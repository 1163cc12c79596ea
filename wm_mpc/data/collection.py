"""Record exploration episodes of a simulated task into a dataset, on all cores, resumably."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable

import numpy as np

from wm_mpc.data.episodes import Dataset, Episode
from wm_mpc.sim.bullet import Simulation, episode_rng
from wm_mpc.sim.tasks import make_task


def record_episode(simulation: Simulation, seed: int, index: int, steps: int) -> Episode:
    """Explore for `steps` low-level steps. The same arguments give the same episode."""
    rng = episode_rng(seed, "collect", index)
    observation = simulation.reset(rng)
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
    workers: int,
    progress: Callable[[int], None] = lambda _: None,
) -> float:
    """Add the episodes 0..episodes-1 that are not there yet; returns seconds taken.

    `progress` is called with 1 for each episode finished. An interrupted call continues where it
    stopped when called again.
    """
    missing = sorted(set(range(episodes)) - set(dataset.indices()))
    started = time.perf_counter()
    if not missing:
        return 0.0
    jobs = [(str(dataset.path), seed, index, steps) for index in missing]
    if workers <= 1:
        for job in jobs:
            _collect_one(job)
            progress(1)
    else:
        context = multiprocessing.get_context("spawn")
        with context.Pool(min(workers, len(jobs))) as pool:
            for _ in pool.imap_unordered(_collect_one, jobs, chunksize=4):
                progress(1)
    return time.perf_counter() - started


_simulations: dict[str, Simulation] = {}


def _collect_one(job: tuple[str, int, int, int]) -> int:
    path, seed, index, steps = job
    dataset = Dataset(path)
    name = dataset.spec.task
    if name not in _simulations:
        _simulations[name] = Simulation(make_task(name))
    dataset.append(index, record_episode(_simulations[name], seed, index, steps))
    return index
