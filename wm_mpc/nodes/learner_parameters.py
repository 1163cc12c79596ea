"""The parameters of the node `learner`, and the command line of `train` they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wm_mpc.ros.parameters import Parameter

MODES = ("recorded", "live")
PARTS = ("dynamics", "all")

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
    Parameter(
        "mode", "recorded",
        "Learn from recorded episodes, or live from the running robot: its camera, its state and "
        "planned_actions",
        choices=MODES, read_only=True,
    ),
    Parameter(
        "checkpoint", "", "Live: world model to begin with, a path or a shipped name; empty: the "
        "task's", read_only=True,
    ),
    Parameter(
        "live.every", 600, "Live: new low-level steps after which a round of learning begins",
        "steps", 50, 10**6,
    ),
    Parameter(
        "live.parts", "dynamics",
        "Live: what learns; all: where the camera is and how things look, too", choices=PARTS,
    ),
    Parameter("live.updates", 400, "Live: updates of the dynamics in a round", "", 1, 10**6),
    Parameter(
        "image.transport", "raw", "Live: which image topic", choices=("raw", "compressed"),
        read_only=True,
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
