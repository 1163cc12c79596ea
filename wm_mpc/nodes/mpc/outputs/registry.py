"""The outputs of the node `mpc` by name. A new output is one file, and one entry here.

An entry makes the parameter `output.<name>`, the launch argument `<name>_topic`, and the rows of
the pages. The name is that of the topic. `planned_actions` is no entry: the node always sends it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from wm_mpc.nodes.mpc.outputs.cmd_vel import CmdVel
from wm_mpc.nodes.mpc.outputs.commands import Commands
from wm_mpc.nodes.mpc.outputs.joint_trajectory import JointTrajectories
from wm_mpc.nodes.mpc.outputs.output import Output
from wm_mpc.settings.fields import check, described, setting

# In the order in which they are sent, but those that stream before the others.
OUTPUTS: dict[str, type[Output]] = {
    "commands": Commands,
    "cmd_vel": CmdVel,
    "joint_trajectory": JointTrajectories,
}


def _with_outputs(kind: type) -> type:
    """A dataclass to be, with a field for each output, and for its further settings."""
    for name, output in OUTPUTS.items():
        fields = {name: setting(False, f"On {name}, also send {output.text}")}
        fields |= {f"{name}_{key}": field for key, field in output.settings.items()}
        if any(isinstance(field.default, bool) for field in output.settings.values()):
            raise TypeError(f"output {name}: a further setting is true or false, like the output")
        fixed = all(described(field).only_inactive for field in output.settings.values())
        if not fixed and output.use is Output.use:
            raise TypeError(
                f"output {name}: a further setting is neither made with only_inactive=True nor "
                "read in a method `use`, so a change of it would do nothing"
            )
        for field_name, field in fields.items():
            kind.__annotations__[field_name] = type(field.default)
            setattr(kind, field_name, field)
    return kind


@dataclasses.dataclass(frozen=True)
@_with_outputs
class OutputSettings:
    """The settings `output.*`: what is sent besides `planned_actions`. Its fields come from
    `OUTPUTS`."""

    __annotations__ = {}

    if TYPE_CHECKING:

        def __init__(self, **values: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    def __post_init__(self) -> None:
        check(self, "output.")

    @property
    def on(self) -> frozenset[str]:
        """Names of the outputs that are on."""
        return frozenset(name for name in OUTPUTS if getattr(self, name))

    @property
    def fixed(self) -> tuple[Any, ...]:
        """The further settings that publishers are made for."""
        further = [
            f"{name}_{key}"
            for name, output in OUTPUTS.items()
            for key, field in output.settings.items()
            if described(field).only_inactive
        ]
        return tuple(getattr(self, name) for name in further)
