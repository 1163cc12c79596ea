"""Random rollouts (arXiv 2512.09929): what really happens after actions the data never showed.

Real recorded states are restored in the simulator and random action blocks executed from there;
the transitions train the model next to the recorded ones, with a multi-step loss. A gradient
planner visits such states and actions; an exploration policy alone does not.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from wm_mpc.data.episodes import Recording
from wm_mpc.settings.fields import check, setting
from wm_mpc.sim.engine import Simulation, episode_rng
from wm_mpc.sim.workers import Workers, kept_simulation
from wm_mpc.synthesis.method import Material, RolloutMethod, Rollouts

_CHUNK = 16  # rollouts of a job: enough work to be worth sending


@dataclasses.dataclass(frozen=True)
class RandomRolloutConfig:
    """The settings `random.*`. Raises SettingError when they are not accepted."""

    count: int = setting(3000, "Number of rollouts", low=1)
    steps: int = setting(
        5, "Model steps of each rollout; short ones stay near the data", "steps", low=1
    )

    def __post_init__(self) -> None:
        check(self, "random.")


def random_actions(rng: np.random.Generator, steps: int, frame_skip: int, size: int) -> np.ndarray:
    """Normalised actions by control step (steps * frame_skip, size): each rollout draws how long an
    action is held, from every step to the whole rollout, and how much noise rides on it."""
    total = steps * frame_skip
    hold = int(rng.choice([1, 2, frame_skip, 2 * frame_skip, total]))
    corners = rng.uniform(-1.3, 1.3, size=(total // hold + 1, size))
    actions = np.repeat(corners, hold, axis=0)[:total]
    actions = actions + rng.normal(0.0, rng.choice([0.0, 0.2, 0.6]), size=actions.shape)
    return np.clip(actions, -1.0, 1.0)


def execute(
    simulation: Simulation, layout: np.ndarray, state: np.ndarray, actions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Run normalised actions, one per control step, from a restored state. Return what was seen at
    each model step: images (steps + 1, height, width, 3) and states (steps + 1, state size)."""
    spec = simulation.task.spec
    observations = [simulation.restore(layout, state)]
    for number, action in enumerate(spec.denormalise_action(actions), start=1):
        simulation.advance(action)
        if number % spec.frame_skip == 0:
            observations.append(simulation.observe())
    return np.stack([o.image for o in observations]), np.stack([o.state for o in observations])


def random_rollouts(
    recording: Recording,
    config: RandomRolloutConfig,
    seed: int,
    workers: Workers,
    progress: Callable[[int], None] = lambda _: None,
    episodes: np.ndarray | None = None,
) -> Rollouts:
    """Execute random rollouts from recorded states of `episodes` (all when None).

    Raises ValueError when the recording holds no simulator states (a real robot's bag).
    """
    if recording.simulator_states is None:
        raise ValueError(
            "random rollouts restore recorded simulator states, but this dataset has none (it "
            "comes from a bag, or its world cannot return to a state); use another synthesis method"
        )
    spec = recording.spec
    rng = episode_rng(seed, "synthesis", 0)
    starts = rng.choice(recording.window_starts(0, episodes), size=config.count)
    jobs = []
    for start in starts:
        layout = recording.layouts[recording.episode_of[start]]
        actions = random_actions(rng, config.steps, spec.frame_skip, spec.action.size)
        if spec.rest_is_measured:
            rest = spec.normalised_rest(recording.states[start])
            actions = spec.positions_of(actions, rest)
        jobs.append((layout, recording.simulator_states[start], actions))
    results = []
    chunks = [jobs[first : first + _CHUNK] for first in range(0, len(jobs), _CHUNK)]
    for chunk in workers.map(functools.partial(_execute_chunk, spec.task), chunks):
        for result in chunk:
            results.append(result)
            progress(1)
    blocks = np.stack([actions for *_, actions in jobs]).reshape(config.count, config.steps, -1)
    return Rollouts(
        np.stack([images for images, _ in results]),
        np.stack([states for _, states in results]),
        blocks.astype(np.float32),
    )


def _execute_chunk(
    task: str, chunk: list[tuple[Any, np.ndarray, np.ndarray]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """In a worker."""
    return [execute(kept_simulation(task), *job) for job in chunk]


def _round(config: RandomRolloutConfig, material: Material) -> Rollouts:
    # A rollout brings its own history.
    steps = config.steps + material.history - 1
    return random_rollouts(
        material.recording,
        dataclasses.replace(config, steps=steps),
        material.seed,
        material.workers,
        material.progress,
        material.episodes,
    )


METHOD = RolloutMethod(
    RandomRolloutConfig,
    _round,
    count=lambda config: config.count,
    steps=lambda config: config.steps,
    by_default=True,
)
