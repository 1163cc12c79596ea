"""The settings of the node `learner`, which are its parameters, and the command line of `train`
they stand for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from wm_mpc.settings.fields import check, section, setting

MODES = ("recorded", "live")
PARTS = ("dynamics", "all")


@dataclasses.dataclass(frozen=True)
class LiveSettings:
    """The settings `live.*`, of mode live."""

    every: int = setting(
        600,
        "Live: number of new control steps after which a round of learning begins",
        "steps",
        50,
        10**6,
    )
    parts: str = setting(
        "dynamics",
        "Live: what learns; all: also where the camera is and what things look like",
        choices=PARTS,
    )
    updates: int = setting(400, "Live: number of updates of the dynamics in a round", "", 1, 10**6)

    def __post_init__(self) -> None:
        check(self, "live.")


@dataclasses.dataclass(frozen=True)
class LiveImageSettings:
    """The settings `image.*`, of mode live."""

    transport: str = setting(
        "raw",
        "Live: listen to raw or to compressed images",
        choices=("raw", "compressed"),
        read_only=True,
    )

    def __post_init__(self) -> None:
        check(self, "image.")


@dataclasses.dataclass(frozen=True)
class LearnerSettings:
    """Of the node `learner`. Raises SettingError when they are not accepted."""

    task: str = setting("wall", "Task; it names the default directories of dataset and run")
    dataset: str = setting("", "Directory of recorded episodes; empty: ./data/<task>")
    run: str = setting("", "Directory of the run; a run in it is continued. Empty: ./runs/<task>")
    config: str = setting("", "Training settings (YAML); empty: the installed ones of the task")
    seed: int = setting(-1, "Seed of the training; -1: as in the settings", "", -1, 2**31 - 1)
    synthesis: str = setting(
        "",
        "Methods of data synthesis, separated by commas: random, online, adversarial; or none. "
        "Empty: as in the settings",
    )
    workers: str = setting("", "Who runs the simulators, as for train; empty: one process per core")
    nice: int = setting(
        10,
        "Priority of the training: 0 is normal, 19 leaves the processor to all others",
        "",
        0,
        19,
    )
    mode: str = setting(
        "recorded",
        "Learn from recorded episodes, or live from the running robot",
        choices=MODES,
        read_only=True,
    )
    checkpoint: str = setting(
        "",
        "Live: world model to begin with, a path or a shipped name; empty: the one of the task",
        read_only=True,
    )
    live: LiveSettings = section(LiveSettings)
    image: LiveImageSettings = section(LiveImageSettings)
    autostart: bool = setting(True, "Start training at once", read_only=True)
    exit_when_done: bool = setting(
        False,
        "Exit when the training ends, with code 0 if it is finished and 1 if it failed",
        read_only=True,
    )

    def __post_init__(self) -> None:
        check(self)


def train_arguments(settings: LearnerSettings) -> list[str]:
    """What `ros2 run wm_mpc train` is given for these settings."""
    arguments = [f"--task={settings.task}"]
    paths = {"dataset": settings.dataset, "run": settings.run, "config": settings.config}
    arguments += [f"--{name}={Path(path).expanduser()}" for name, path in paths.items() if path]
    if settings.seed >= 0:
        arguments.append(f"--seed={settings.seed}")
    words = {"synthesis": settings.synthesis, "workers": settings.workers}
    return arguments + [f"--{name}={word}" for name, word in words.items() if word]
