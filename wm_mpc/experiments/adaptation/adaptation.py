"""Measure whether learning from its own control helps a changed robot: one process, lockstep,
seeded.

The model controls the robot; what happens is recorded as the node `learner` does; the model keeps
learning from it; and the same episodes are scored before and after.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wm_mpc.control.receding_horizon import ControlPlan, RecedingHorizon
from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.experiments.common.episodes import run_episode
from wm_mpc.experiments.common.settings import task_settings
from wm_mpc.experiments.common.statistics import wilson_interval
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.disturbance import Disturbance
from wm_mpc.sim.engine import Observation, episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.synthesis.live import LiveRecorder
from wm_mpc.training.calibration import renewed_familiarity
from wm_mpc.training.finetune import FineTuneConfig, fine_tune, split
from wm_mpc.units import SECOND

Tell = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class Score:
    """Success on some episodes.

    Attributes:
        successes: Number of successes.
        episodes: Number of episodes.
        steps: Mean control steps over all episodes, including failures.
    """

    successes: int
    episodes: int
    steps: float

    def to_dict(self) -> dict[str, Any]:
        """Return successes, rate, interval and mean steps for the results."""
        low, high = wilson_interval(self.successes, self.episodes)
        rate = self.successes / self.episodes
        return {**dataclasses.asdict(self), "rate": round(rate, 4),
                "ci95": [round(low, 4), round(high, 4)]}  # fmt: skip


def score(model: WorldModel, disturbance: Disturbance, episodes: int, seed: int) -> Score:
    """Score a model on episodes of `evaluate`, with a new plan every control step.

    Args:
        model: The model.
        disturbance: The change of the robot.
        episodes: Number of episodes.
        seed: Seed of the episodes.
    """
    settings, task = task_settings(model.spec.task), disturbance.apply(make_task(model.spec.task))
    results = []
    with simulate(task) as simulation:
        for number in range(episodes):
            results.append(
                run_episode(
                    simulation,
                    RecedingHorizon(model, seed),
                    episode_rng(seed, "evaluate", number),
                    planner=settings.planners["adam"],
                    objective=settings.objective,
                )
            )
    return Score(
        sum(result.success for result in results), episodes,
        float(np.mean([result.steps for result in results])),
    )  # fmt: skip


def drive(
    model: WorldModel, disturbance: Disturbance, episodes: int, seed: int, dataset: Dataset
) -> int:
    """Control the robot on episodes of the stream "node", which are never scored, and record them.

    Args:
        model: The model.
        disturbance: The change of the robot.
        episodes: Number of episodes.
        seed: Seed of the episodes.
        dataset: Receives the episodes.

    Returns:
        Number of control steps.
    """
    settings, task = task_settings(model.spec.task), disturbance.apply(make_task(model.spec.task))
    recorder = LiveRecorder(dataset.spec)
    period = round(model.spec.control_period * SECOND)
    clock = SECOND

    def watch(step: int, observation: Observation, plan: ControlPlan | None, left: Any) -> None:
        stamp = clock + step * period
        if plan is not None and len(left):
            recorder.plan(stamp, left)
        recorder.observe(stamp, observation.image, observation.state)

    count = len(dataset)
    with simulate(task) as simulation:
        for number in range(episodes):
            result = run_episode(
                simulation, RecedingHorizon(model, seed), episode_rng(seed, "node", number),
                planner=settings.planners["adam"], objective=settings.objective, watch=watch,
            )  # fmt: skip
            recorder.cut()
            clock += (result.steps + 1000) * period
            for episode in recorder.take():
                dataset.append(count, episode)
                count += 1
    return recorder.steps


def adapt(
    model: WorldModel,
    disturbance: Disturbance,
    folder: Path,
    config: FineTuneConfig,
    *,
    rounds: int = 2,
    drives: int = 20,
    episodes: int = 100,
    seed: int = 31,
    tell: Tell = lambda _: None,
) -> tuple[WorldModel, dict[str, Any]]:
    """Score a model; then drive, learn and score again, round after round.

    Args:
        model: The model.
        disturbance: The change of the robot.
        folder: Folder of the recordings.
        config: Settings of the learning.
        rounds: Number of rounds, each with the model of the round before.
        drives: Episodes from which each round learns.
        episodes: Episodes that measure success.
        seed: Seed of the episodes.
        tell: Receives progress as text.

    Returns:
        The last model and all results.
    """
    first = model
    before = score(model, Disturbance(), episodes, seed)
    tell(f"as it was: {before}")
    disturbed = score(model, disturbance, episodes, seed)
    tell(f"{disturbance}: {disturbed}")
    rows, steps = [], 0
    for number in range(rounds):
        dataset = Dataset.create(
            folder, model.spec, {"disturbance": dataclasses.asdict(disturbance)}
        )
        steps += drive(model, disturbance, drives, seed + number, dataset)
        began = time.monotonic()
        parts = config if number == 0 else dataclasses.replace(config, parts="dynamics")
        recording = Recording(dataset)
        tuned, comparison = fine_tune(model, recording, parts, first=first)
        seconds = time.monotonic() - began
        if comparison.accepted:
            tuned.familiarity = renewed_familiarity(tuned, model, recording, split(recording)[1])
            model = tuned
        after = score(model, disturbance, episodes, seed)
        rows.append(
            {
                "round": number + 1,
                "low_level_steps": steps,
                "seconds": round(seconds, 1),
                **dataclasses.asdict(comparison),
                **after.to_dict(),
            }
        )
        tell(f"round {number + 1}, {steps} steps, {seconds:.0f} s: {comparison}, {after}")
    return model, {
        "task": model.spec.task,
        "disturbance": dataclasses.asdict(disturbance),
        "config": dataclasses.asdict(config),
        "seed": seed,
        "nominal": before.to_dict(),
        "disturbed": disturbed.to_dict(),
        "rounds": rows,
    }
