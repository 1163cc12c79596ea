"""Launch arguments that stand for parameters of nodes.

Default, type, choices and sentence of an argument are those of the parameter. They come from
`parameters.json`, which `tools/update_docs.py` makes from the settings of the nodes: those import
PyTorch and PyBullet, which a launch file that only starts nodes does without.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument

from wm_mpc.nearest import did_you_mean
from wm_mpc.ros.launching import Given, value

_TABLES = Path(__file__).with_name("parameters.json")


@functools.cache
def known_parameters() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """What is known of each parameter ("default", "text", "unit", "choices"), by node and name."""
    tables: Mapping[str, Mapping[str, Mapping[str, Any]]]
    tables = json.loads(_TABLES.read_text(encoding="utf-8"))
    return tables


def outputs() -> tuple[str, ...]:
    """Names of the outputs of `mpc`, each that of a topic and of a parameter `output.<name>`."""
    known = known_parameters()["mpc"].items()
    on_off = (name for name, parameter in known if isinstance(parameter["default"], bool))
    return tuple(n.removeprefix("output.") for n in on_off if n.startswith("output."))


@dataclasses.dataclass(frozen=True)
class ParameterArgument:
    """A launch argument that stands for a parameter of one node, or of several.

    Attributes:
        name: Of the argument.
        parameters: Each as "node:parameter". The first one gives default, type and sentence.
        default: In place of the parameter's: a text, or what `launch` makes a text of.
        text: In place of the parameter's sentence.
        more: A sentence that comes after it.
    """

    name: str
    parameters: tuple[str, ...]
    default: Any = None
    text: str = ""
    more: str = ""

    def __post_init__(self) -> None:
        for parameter in self.parameters:
            node, _, name = parameter.partition(":")
            if name not in known_parameters().get(node, {}):
                raise LookupError(f"{self.name} stands for {parameter}, which does not exist")

    @property
    def _known(self) -> Mapping[str, Any]:
        node, _, name = self.parameters[0].partition(":")
        return known_parameters()[node][name]

    @property
    def kind(self) -> type:
        """Type of the value: bool, int, float or str."""
        return type(self._known["default"])

    def declared(self) -> DeclareLaunchArgument:
        """As a launch description has it."""
        default = self.default
        if default is None:
            known = self._known["default"]
            default = str(known).lower() if self.kind is bool else str(known)
        return DeclareLaunchArgument(
            self.name, default_value=default, description=self.description()
        )

    def description(self) -> str:
        """For `ros2 launch --show-args`."""
        known, node = self._known, self.parameters[0].partition(":")[0]
        text = self.text or known["text"].replace("this node", node)
        if known["unit"] and not self.text:
            text += f" ({known['unit']})"
        sentences = [text]
        if "choices" in known:
            sentences.append(f"One of {', '.join(known['choices'])}")
        if self.more:
            sentences.append(self.more)
        return " ".join(f"{sentence.removesuffix('.')}." for sentence in sentences)

    def values(self, given: Given, node: str) -> dict[str, Any]:
        """The parameters of a node that the argument stands for, by name. Raises RuntimeError when
        what was given is of another type, or none of the choices."""
        text, choices = given[self.name], self._known.get("choices")
        if choices and text not in choices:
            hint = did_you_mean(text, choices)
            raise RuntimeError(f"{self.name} is {text!r}{hint}; accepted: {', '.join(choices)}")
        names = [p.partition(":")[2] for p in self.parameters if p.partition(":")[0] == node]
        return {name: value(self.name, text, self.kind) for name in names}


def values_of(arguments: tuple[ParameterArgument, ...], given: Given, node: str) -> dict[str, Any]:
    """The parameters of a node that arguments stand for; see `ParameterArgument.values`."""
    return {
        name: found
        for argument in arguments
        for name, found in argument.values(given, node).items()
    }
