"""A robot moved by positions, in closed loop: no two commands are further apart than its rate limit
allows, and the first is no further from where it is measured.

`WM_MPC_STARTS=50` looks at so many starts instead of a few.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.experiments.common.episodes import run_episode
from wm_mpc.experiments.common.settings import task_settings
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.reach_joints import ReachJoints

torch.set_num_threads(1)
SPEC = ReachJoints.spec
CHANGE = np.array(SPEC.action.rate_limit) * SPEC.control_period
STARTS = int(os.environ.get("WM_MPC_STARTS", "4"))
ROUNDING = 1e-6  # rad; plans are float32


@pytest.fixture(scope="module")
def simulation():
    with simulate(ReachJoints()) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def model():
    return load_checkpoint(resolve_checkpoint("reach_joints"))[0]


def commands_of(simulation, model, number, planner, replan):
    """Where the joints were measured at the start, all commands of an episode, and its result."""
    settings = task_settings("reach_joints")
    measured, commands = [], []

    def watch(step, observation, plan, left):
        measured.append(observation.state)
        commands.extend(left[:1])

    result = run_episode(
        simulation,
        RecedingHorizon(model, number),
        episode_rng(11, "evaluate", number),
        planner=settings.planners[planner],
        objective=settings.objective,
        replan=replan,
        watch=watch,
    )
    return measured[0], np.array(commands), result


@pytest.mark.parametrize("replan", [1, 5])
@pytest.mark.parametrize("number", range(STARTS))
def test_commands_never_jump(simulation, model, number, replan):
    start, commands, result = commands_of(simulation, model, number, "adam", replan)
    steps = np.abs(np.diff(np.vstack([start, commands]), axis=0))
    print(f"first {steps[0].max():.4f} rad, largest {steps.max():.4f} rad, {result.steps} steps")
    assert (steps <= CHANGE + ROUNDING).all()
    assert result.holds == 0
    assert len(commands) > 1
