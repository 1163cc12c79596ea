"""The settings of the node `mpc`, which are its parameters."""

from __future__ import annotations

import dataclasses

from wm_mpc.control.settings import ControlSettings
from wm_mpc.nodes.mpc.outputs.registry import OutputSettings
from wm_mpc.settings.fields import check, section, setting


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """The settings `image.*`."""

    transport: str = setting(
        "raw",
        "Listen to raw or to compressed images",
        choices=("raw", "compressed"),
        only_inactive=True,
    )

    def __post_init__(self) -> None:
        check(self, "image.")


@dataclasses.dataclass(frozen=True)
class StateSettings:
    """The settings `state.*`."""

    type: str = setting(
        "auto",
        "Topic of the robot's state; auto: as the checkpoint says",
        choices=("auto", "odom", "joint_states"),
        only_inactive=True,
    )

    def __post_init__(self) -> None:
        check(self, "state.")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Which world model plans."""

    checkpoint: str = setting(
        "wall",
        "World model: the path of a .safetensors file, or the name of a shipped one",
        only_inactive=True,
    )


@dataclasses.dataclass(frozen=True)
class MpcSettings(ControlSettings, ModelSettings):
    """Of the node `mpc`. Raises SettingError when they are not accepted, or contradict each
    other."""

    image: ImageSettings = section(ImageSettings)
    state: StateSettings = section(StateSettings)
    output: OutputSettings = section(OutputSettings)
    frame_id: str = setting("odom", "Frame of the plan markers and of cmd_vel")
    auto_reload: bool = setting(
        False, "Change to each checkpoint that is announced on learner/checkpoint"
    )
    autostart: bool = setting(True, "Configure and activate at start-up", read_only=True)
    exit_on_failure: bool = setting(
        False, "Exit with an error when autostart does not succeed", read_only=True
    )
    lockstep: bool = setting(
        False,
        "Answer each observation with a plan, and take as long as that needs",
        read_only=True,
    )
    seed: int = setting(
        0, "Seed of the random numbers of the planner", "", 0, 2**31 - 1, only_inactive=True
    )
    threads: int = setting(
        1,
        "Threads for PyTorch; the compiled inner loop always uses one",
        "",
        1,
        64,
        only_inactive=True,
    )
