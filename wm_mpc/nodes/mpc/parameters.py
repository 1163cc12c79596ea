"""The parameters of the node `mpc`: one table, from which the README's is made too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wm_mpc.control.settings import ControlSettings
from wm_mpc.ros.parameters import Parameter, parameters_of
from wm_mpc.settings.build import build, nested

# Topics on which plans are sent if the parameter `output.<topic>` says so.
OUTPUTS = ("cmd_vel", "commands", "joint_trajectory")

TABLE = (
    Parameter(
        "checkpoint",
        "wall",
        "World model: the path of a .safetensors file, or the name of a shipped one",
        only_inactive=True,
    ),
    *parameters_of(ControlSettings),
    Parameter(
        "image.transport", "raw", "Listen to raw or to compressed images",
        choices=("raw", "compressed"), only_inactive=True,
    ),
    Parameter(
        "state.type", "auto", "Topic of the robot's state; auto: as the checkpoint says",
        choices=("auto", "odom", "joint_states"), only_inactive=True,
    ),
    Parameter("output.cmd_vel", False, "Also send the plan on cmd_vel, one action at a time"),
    Parameter(
        "output.cmd_vel_type", "twist_stamped",
        "Message type of cmd_vel: TwistStamped, or Twist for robots that take no stamp",
        choices=("twist_stamped", "twist"), only_inactive=True,
    ),
    Parameter(
        "output.commands", False,
        "Also send the plan on commands, one action at a time, as Float64MultiArray for the "
        "forward controllers of ros2_control",
    ),
    Parameter(
        "output.joint_trajectory", False,
        "Also send each plan on joint_trajectory, for a joint_trajectory_controller",
    ),
    Parameter("frame_id", "odom", "Frame of the plan markers and of cmd_vel"),
    Parameter(
        "auto_reload", False,
        "Change to each checkpoint that is announced on learner/checkpoint",
    ),
    Parameter("autostart", True, "Configure and activate at start-up", read_only=True),
    Parameter(
        "lockstep", False, "Answer each observation with a plan, and take as long as that needs",
        read_only=True,
    ),
    Parameter("seed", 0, "Seed of the random numbers of the planner", "", 0, 2**31 - 1,
              only_inactive=True),
    Parameter(
        "threads", 1, "Threads for PyTorch; the compiled inner loop always uses one", "", 1, 64,
        only_inactive=True,
    ),
)  # fmt: skip


_CONTROL = frozenset(parameter.name for parameter in parameters_of(ControlSettings))


def control_settings(values: Mapping[str, Any]) -> ControlSettings:
    """From a snapshot of the parameters. Raises SettingError when they contradict each other."""
    own = {name: value for name, value in values.items() if name in _CONTROL}
    return build(ControlSettings, nested(own))


class Settings:
    """`control_settings` of a snapshot of the parameters, made once as long as it stays the same
    object."""

    def __init__(self) -> None:
        self._values: Mapping[str, Any] | None = None
        self._made: ControlSettings

    def of(self, values: Mapping[str, Any]) -> ControlSettings:
        """values: an immutable snapshot. Raises SettingError as `control_settings` does."""
        if values is not self._values:
            self._made, self._values = control_settings(values), values
        return self._made


def validate(values: Mapping[str, Any]) -> None:
    """What concerns several parameters at once. Raises SettingError with the reason."""
    control_settings(values)
