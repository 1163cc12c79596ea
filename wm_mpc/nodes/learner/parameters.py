"""The parameters of the node `learner`, and the command line of `train` they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wm_mpc.ros.parameters import Parameter

MODES = ("recorded", "live")
PARTS = ("dynamics", "all")

TABLE = (
    Parameter("task", "wall", "Task; it names the default directories of dataset and run"),
    Parameter("dataset", "", "Directory of recorded episodes; empty: ./data/<task>"),
    Parameter(
        "run", "", "Directory of the run; a run in it is continued. Empty: ./runs/<task>"
    ),
    Parameter(
        "config", "", "Training settings (YAML); empty: the installed ones of the task"
    ),
    Parameter("seed", -1, "Seed of the training; -1: as in the settings", "", -1, 2**31 - 1),
    Parameter(
        "synthesis", "",
        "Methods of data synthesis, separated by commas: random, online, adversarial; or none. "
        "Empty: as in the settings",
    ),
    Parameter(
        "workers", "", "Who runs the simulators, as for train; empty: one process per core"
    ),
    Parameter(
        "nice", 10,
        "Priority of the training: 0 is normal, 19 leaves the processor to all others", "", 0, 19,
    ),
    Parameter(
        "mode", "recorded",
        "Learn from recorded episodes, or live from the running robot",
        choices=MODES, read_only=True,
    ),
    Parameter(
        "checkpoint", "",
        "Live: world model to begin with, a path or a shipped name; empty: the one of the task",
        read_only=True,
    ),
    Parameter(
        "live.every", 600,
        "Live: number of new control steps after which a round of learning begins",
        "steps", 50, 10**6,
    ),
    Parameter(
        "live.parts", "dynamics",
        "Live: what learns; all: also where the camera is and what things look like", choices=PARTS,
    ),
    Parameter(
        "live.updates", 400, "Live: number of updates of the dynamics in a round", "", 1, 10**6
    ),
    Parameter(
        "image.transport", "raw", "Live: listen to raw or to compressed images",
        choices=("raw", "compressed"), read_only=True,
    ),
    Parameter("autostart", True, "Start training at once", read_only=True),
    Parameter(
        "exit_when_done", False,
        "Exit when the training ends, with code 0 if it is finished and 1 if it failed",
        read_only=True,
    ),
)  # fmt: skip


def train_arguments(values: Mapping[str, Any]) -> list[str]:
    """What `ros2 run wm_mpc train` is given for these values of the parameters."""
    arguments = [f"--task={values['task']}"]
    for name in ("dataset", "run", "config"):
        if values[name]:
            arguments.append(f"--{name}={Path(values[name]).expanduser()}")
    if values["seed"] >= 0:
        arguments.append(f"--seed={values['seed']}")
    for name in ("synthesis", "workers"):
        if values[name]:
            arguments.append(f"--{name}={values[name]}")
    return arguments
