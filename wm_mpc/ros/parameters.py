"""ROS parameters from one declarative table: declared, described, validated, documented.

A node lists its parameters once as `Parameter` entries. `declare` gives each a full descriptor,
rejects what is not acceptable with a reason, and keeps an immutable snapshot of all values that
is exchanged in one go: a thread that takes `values()` once never sees half of a change.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from wm_mpc.ros import overrides
from wm_mpc.settings.fields import Setting, entries

Value = bool | int | float | str
_KINDS: dict[type, str] = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
_INTEGER_LIMIT = 2**63 - 1


class ParameterError(ValueError):
    """A value a parameter does not accept; the message names it and what would be accepted."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a node.

    default: its type (bool, int, float or str) is the parameter's type.
    unit: of the value, e.g. "s". low, high: inclusive limits. step: of a slider; 0 means any.
    choices: the accepted values of a text.
    read_only: set at start-up only. only_inactive: may change only while the node is not active.
    """

    name: str
    default: Value
    description: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] | None = None
    read_only: bool = False
    only_inactive: bool = False
    step: float = 0

    def __post_init__(self) -> None:
        if type(self.default) not in _KINDS:
            raise ParameterError(
                f"{self.name}: default {self.default!r} is no bool, number or text"
            )
        self.check(self.default)

    def check(self, value: object) -> Value:
        """The value as it will be stored (an integer given for a number becomes one).

        Raises ParameterError when the type, the range or the choice is not acceptable.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        acceptable = type(value) is kind
        if isinstance(value, float):
            acceptable = acceptable and math.isfinite(value)
        if acceptable and isinstance(value, int | float) and kind is not bool:
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            acceptable = low <= value <= high
        if acceptable and self.choices is not None:
            acceptable = value in self.choices
        if not acceptable:
            raise ParameterError(f"{self.name} is {value!r}; accepted: {self.accepted()}")
        return value  # type: ignore[return-value]

    def accepted(self) -> str:
        """What `check` accepts, for people: e.g. "a number from 0.5 to 100.0 Hz"."""
        if self.choices is not None:
            return ", ".join(choice or '""' for choice in self.choices)
        text = _KINDS[type(self.default)]
        if self.low is not None and self.high is not None:
            text += f" from {self.low} to {self.high}"
        elif self.low is not None:
            text += f" of at least {self.low}"
        elif self.high is not None:
            text += f" of at most {self.high}"
        return f"{text} {self.unit}".rstrip()

    def changes(self) -> str:
        """When the value may change, for people."""
        if self.read_only:
            return "at start-up only"
        return "only while the node is not active" if self.only_inactive else "at any time"

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        unit = f" [{self.unit}]" if self.unit else ""
        descriptor = ParameterDescriptor(
            name=self.name,
            description=self.description + unit,
            additional_constraints=f"accepted: {self.accepted()}; may change {self.changes()}",
            read_only=self.read_only,
        )
        if self.low is None and self.high is None:
            return descriptor
        if type(self.default) is float:
            low = -math.inf if self.low is None else float(self.low)
            high = math.inf if self.high is None else float(self.high)
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=low, to_value=high, step=float(self.step))
            ]
        else:
            low = -_INTEGER_LIMIT if self.low is None else int(self.low)
            high = _INTEGER_LIMIT if self.high is None else int(self.high)
            descriptor.integer_range = [
                IntegerRange(from_value=low, to_value=high, step=int(self.step))
            ]
        return descriptor


def parameters_of(kind: type, prefix: str = "") -> tuple[Parameter, ...]:
    """The parameters that the settings of a dataclass are, in their order."""
    return tuple(
        Parameter(name, default, **_described(entry))
        for name, default, entry in entries(kind, prefix)
    )


def _described(entry: Setting) -> dict[str, Any]:
    """A setting's description, as `Parameter` takes it."""
    values = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    return {"description": values.pop("text"), **values}


class Parameters:
    """The declared parameters of a node; made by `declare`."""

    def __init__(
        self,
        table: Sequence[Parameter],
        values: Mapping[str, Value],
        is_active: Callable[[], bool],
        validate: Callable[[Mapping[str, Value]], None] | None,
    ) -> None:
        self._table = {entry.name: entry for entry in table}
        self._values: Mapping[str, Value] = MappingProxyType(dict(values))
        self._is_active = is_active
        self._validate = validate
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Mapping[str, Value]], None]] = []

    def values(self) -> Mapping[str, Any]:
        """All values as they are now: an immutable snapshot. Thread-safe, does not block."""
        return self._values

    def on_change(self, listener: Callable[[Mapping[str, Value]], None]) -> None:
        """Have `listener` called with the new snapshot after every accepted change."""
        self._listeners.append(listener)

    def _known(self, parameters: Iterable[RosParameter]) -> list[RosParameter]:
        return [parameter for parameter in parameters if parameter.name in self._table]

    def _convert(self, parameters: list[RosParameter]) -> list[RosParameter]:
        """Before rclpy checks types: `ros2 param set /node rate 10` means 10.0."""
        return [
            RosParameter(p.name, value=float(p.value))
            if p.name in self._table
            and type(self._table[p.name].default) is float
            and p.type_ == RosParameter.Type.INTEGER
            else p
            for p in parameters
        ]

    def _accept(self, parameters: list[RosParameter]) -> SetParametersResult:
        changes: dict[str, Value] = {}
        try:
            for parameter in self._known(parameters):
                entry = self._table[parameter.name]
                value = entry.check(parameter.value)
                # Loading a file that repeats the present value changes nothing, so it may pass.
                if entry.only_inactive and value != self._values[entry.name] and self._is_active():
                    raise ParameterError(
                        f"{entry.name} stays {self._values[entry.name]!r}: it may change "
                        f"{entry.changes()}; deactivate the node first"
                    )
                changes[entry.name] = value
            if changes and self._validate is not None:
                self._validate({**self._values, **changes})
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _store(self, parameters: list[RosParameter]) -> None:
        changes = {parameter.name: parameter.value for parameter in self._known(parameters)}
        if not changes:
            return
        with self._lock:
            self._values = MappingProxyType({**self._values, **changes})
        for listener in self._listeners:
            listener(self._values)


def declare(
    node: Node,
    table: Sequence[Parameter],
    *,
    is_active: Callable[[], bool] = lambda: False,
    validate: Callable[[Mapping[str, Value]], None] | None = None,
) -> Parameters:
    """Declare every entry of the table on the node and keep its values valid from then on.

    is_active: whether `only_inactive` parameters are locked at present.
    validate: checks that concern several values at once; gets all values as they would become and
    raises ValueError with the reason to reject them.

    Raises ParameterError when a value from the command line or a parameter file is not acceptable,
    and OverrideError when something there fits no parameter of the node.
    """
    values: dict[str, Value] = {}
    for entry in table:
        # Declared loosely first: the override may be an integer where a number is wanted, or a
        # mistake that deserves a better message than rclpy's.
        loose = ParameterDescriptor(dynamic_typing=True)
        given = node.declare_parameter(entry.name, entry.default, loose).value
        node.undeclare_parameter(entry.name)
        values[entry.name] = entry.check(given)
    if validate is not None:
        try:
            validate(values)
        except ValueError as error:
            raise ParameterError(str(error)) from None
    for entry in table:
        node.declare_parameter(
            entry.name, values[entry.name], entry.descriptor(), ignore_override=True
        )
    overrides.check(node)
    parameters = Parameters(table, values, is_active, validate)
    node.add_pre_set_parameters_callback(parameters._convert)
    node.add_on_set_parameters_callback(parameters._accept)
    node.add_post_set_parameters_callback(parameters._store)
    return parameters


def markdown_table(table: Sequence[Parameter]) -> str:
    """The parameters as a Markdown table for the README."""
    lines = [
        "| parameter | default | accepted | may change | meaning |",
        "|---|---|---|---|---|",
    ]
    for entry in table:
        default = entry.default if isinstance(entry.default, str) else repr(entry.default)
        if isinstance(entry.default, bool):
            default = str(entry.default).lower()
        cells = [
            f"`{entry.name}`",
            f"`{default}`" if default else "(empty)",
            entry.accepted(),
            entry.changes(),
            entry.description,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
