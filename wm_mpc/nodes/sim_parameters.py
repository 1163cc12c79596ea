"""The parameters of the node `sim`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wm_mpc.ros.parameters import Parameter, ParameterError
from wm_mpc.sim.bullet import STREAMS
from wm_mpc.sim.disturbance import Disturbance
from wm_mpc.sim.recorder import SUFFIXES
from wm_mpc.sim.task import Task
from wm_mpc.sim.tasks import TASKS, make_task

PARAMETERS = (
    Parameter(
        "task",
        "wall",
        "which robot and scene",
        choices=tuple(sorted(TASKS)),
        read_only=True,
    ),
    Parameter("seed", 0, "starts and goals of all episodes follow from it", low=0, read_only=True),
    Parameter("goals", "", "how goals are drawn; empty: the task's default way", read_only=True),
    Parameter(
        "episode_stream",
        "node",
        "which episodes belong to a seed; evaluate: those of the evaluation in one process",
        choices=tuple(STREAMS),
        read_only=True,
    ),
    Parameter("episodes", 0, "exit after so many episodes; 0: never", low=0),
    Parameter("episode_steps", 100, "control steps after which an episode is given up", low=1),
    Parameter(
        "lockstep",
        False,
        "step only when the plan for the present observation has arrived",
        read_only=True,
    ),
    Parameter(
        "real_time_factor",
        1.0,
        "speed of simulated time; other than 1.0, this node publishes the clock",
        low=0.01,
        high=100.0,
        read_only=True,
    ),
    Parameter("camera_info", True, "publish camera/camera_info beside the images", read_only=True),
    Parameter("gui", False, "open PyBullet's window", read_only=True),
    Parameter(
        "plan_timeout", 1.0, "hold when no plan has come for so long", unit="s", low=0.01, high=60.0
    ),
    Parameter(
        "lockstep_timeout",
        10.0,
        "in lockstep, repeat an observation that nobody has answered for so long",
        unit="s",
        low=0.1,
        high=3600.0,
    ),
    Parameter(
        "settle",
        0.5,
        "hold at the start of an episode, while plans for the last one still arrive "
        "(not in lockstep)",
        unit="s",
        low=0.0,
        high=60.0,
    ),
    Parameter(
        "disturbance.friction",
        1.0,
        "factor on the friction the robot moves against, as if it had changed since it was "
        "recorded; task maze",
        low=0.01,
        high=100.0,
        read_only=True,
    ),
    Parameter(
        "disturbance.camera",
        0.0,
        "how far the camera was moved since then, along x",
        unit="m",
        low=-10.0,
        high=10.0,
        read_only=True,
    ),
    Parameter("record", "", "film to write, a .gif or .mp4; empty: none", read_only=True),
)


def validate(values: Mapping[str, Any]) -> None:
    """What the table cannot say. Raises ParameterError."""
    if values["record"] and not values["record"].lower().endswith(SUFFIXES):
        raise ParameterError(f"record is {values['record']!r}; accepted: a .gif, a .mp4 or empty")


def disturbed_task(values: Mapping[str, Any]) -> Task:
    """The task that the parameters name. Raises ParameterError."""
    task = make_task(str(values["task"]))
    disturbance = Disturbance(values["disturbance.friction"], values["disturbance.camera"])
    try:
        return disturbance.apply(task)
    except ValueError as error:
        raise ParameterError(f"disturbance.friction: {error}") from None
