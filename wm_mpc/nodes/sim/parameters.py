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
        "Robot and scene",
        choices=tuple(sorted(TASKS)),
        read_only=True,
    ),
    Parameter("seed", 0, "Seed of the starts and goals of all episodes", low=0, read_only=True),
    Parameter("goals", "", "How goals are drawn; empty: the default of the task", read_only=True),
    Parameter(
        "episode_stream",
        "node",
        "Which episodes belong to a seed; evaluate: the same as those of the command evaluate",
        choices=tuple(STREAMS),
        read_only=True,
    ),
    Parameter("episodes", 0, "Exit after this number of episodes; 0: never", low=0),
    Parameter(
        "episode_steps", 100, "Control steps after which an episode ends without success", low=1
    ),
    Parameter(
        "lockstep",
        False,
        "Wait for the plan of each observation before the next control step",
        read_only=True,
    ),
    Parameter(
        "real_time_factor",
        1.0,
        "Speed of simulated time; unless it is 1.0, this node publishes /clock",
        low=0.01,
        high=100.0,
        read_only=True,
    ),
    Parameter("camera_info", True, "Publish camera/camera_info with the images", read_only=True),
    Parameter("gui", False, "Open the window of PyBullet", read_only=True),
    Parameter(
        "plan_timeout",
        1.0,
        "Hold when no plan has come for this time",
        unit="s",
        low=0.01,
        high=60.0,
    ),
    Parameter(
        "lockstep_timeout",
        10.0,
        "In lockstep, send an observation again when no plan has come for this time",
        unit="s",
        low=0.1,
        high=3600.0,
    ),
    Parameter(
        "settle",
        0.5,
        "Hold at the start of an episode, while plans of the last one still arrive (not in "
        "lockstep)",
        unit="s",
        low=0.0,
        high=60.0,
    ),
    Parameter(
        "disturbance.friction",
        1.0,
        "Factor on the friction of the robot in task maze, as if the robot had changed since it "
        "was recorded",
        low=0.01,
        high=100.0,
        read_only=True,
    ),
    Parameter(
        "disturbance.camera",
        0.0,
        "How far the camera has been moved along x since the recording",
        unit="m",
        low=-10.0,
        high=10.0,
        read_only=True,
    ),
    Parameter("record", "", "Film to write, a .gif or .mp4; empty: none", read_only=True),
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
