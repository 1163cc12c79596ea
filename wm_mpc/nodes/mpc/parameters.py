"""The settings of the node `mpc`, which are its parameters."""

from __future__ import annotations

import dataclasses

from wm_mpc.control.settings import ControlSettings
from wm_mpc.settings.fields import check, section, setting

# Topics on which plans are sent if the parameter `output.<topic>` says so.
OUTPUTS = ("cmd_vel", "commands", "joint_trajectory")


@dataclasses.dataclass(frozen=True)
class OutputSettings:
    """The settings `output.*`: what is sent besides `planned_actions`."""

    cmd_vel: bool = setting(False, "Also send the plan on cmd_vel, one action at a time")
    cmd_vel_type: str = setting(
        "twist_stamped",
        "Message type of cmd_vel: TwistStamped, or Twist for robots that take no stamp",
        choices=("twist_stamped", "twist"),
        only_inactive=True,
    )
    commands: bool = setting(
        False,
        "Also send the plan on commands, one action at a time, as Float64MultiArray for the "
        "forward controllers of ros2_control",
    )
    joint_trajectory: bool = setting(
        False, "Also send each plan on joint_trajectory, for a joint_trajectory_controller"
    )

    def __post_init__(self) -> None:
        check(self, "output.")


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
