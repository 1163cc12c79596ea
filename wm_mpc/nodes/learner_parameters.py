"""The parameters of the node `learner`, and the command line of `train` they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wm_mpc.ros.parameters import Parameter

TABLE = (
    Parameter("task", "wall", "Names the default directories of dataset and results"),
    Parameter("dataset", "", "Directory of recorded episodes; empty: ./data/<task>"),
    Parameter(
        "run", "", "Directory of results; a run found there goes on. Empty: ./runs/<task>"
    ),
    Parameter(
        "config", "", "Training settings (YAML file); empty: the installed ones of the task"
    ),
    Parameter("seed", -1, "Seed of the training; -1: the one of the settings", "", -1, 2**31 - 1),
    Parameter(
        "synthesis", "",
        "Out of random, online, adversarial, separated by commas, or none; empty: as in the "
        "settings",
    ),
    Parameter(
        "workers", "", "Simulators at once while synthesising, as for train; empty: one per core"
    ),
    Parameter(
        "nice", 10, "How readily training leaves the processor to others, 19 the most", "", 0, 19
    ),
    Parameter("autostart", True, "Start training at once", read_only=True),
    Parameter(
        "exit_when_done", False,
        "End the node with the training: code 0 when it is finished, 1 when it failed",
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
