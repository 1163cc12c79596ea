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
        "World model to plan with: a .safetensors path, or the name of a shipped one",
        only_inactive=True,
    ),
    *parameters_of(ControlSettings),
    Parameter(
        "image.transport", "raw", "Which image topic to use", choices=("raw", "compressed"),
        only_inactive=True,
    ),
    Parameter(
        "state.type", "auto", "Topic of the robot state; auto: what the checkpoint says",
        choices=("auto", "odom", "joint_states"), only_inactive=True,
    ),
    Parameter("output.cmd_vel", False, "Also stream the plan on cmd_vel"),
    Parameter(
        "output.cmd_vel_type", "twist_stamped",
        "Type of cmd_vel: geometry_msgs/TwistStamped, or Twist for robots that want no stamp",
        choices=("twist_stamped", "twist"), only_inactive=True,
    ),
    Parameter(
        "output.commands", False,
        "Also stream the plan as Float64MultiArray on commands (ros2_control forward controllers)",
    ),
    Parameter(
        "output.joint_trajectory", False,
        "Also send each plan on joint_trajectory as a joint_trajectory_controller wants it",
    ),
    Parameter("frame_id", "odom", "Frame of the plan markers and of cmd_vel"),
    Parameter(
        "auto_reload", False,
        "Plan with every checkpoint announced on learner/checkpoint as soon as it is loaded",
    ),
    Parameter("autostart", True, "Configure and activate at start-up", read_only=True),
    Parameter(
        "lockstep", False, "Answer every observation with a plan, without time limit",
        read_only=True,
    ),
    Parameter("seed", 0, "Seed of the planner's random numbers", "", 0, 2**31 - 1,
              only_inactive=True),
    Parameter(
        "threads", 1, "Threads of what PyTorch computes; compiled arithmetic uses one", "", 1, 64,
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
