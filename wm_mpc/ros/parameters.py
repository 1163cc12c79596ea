"""ROS parameters from a dataclass of settings: declared, described, validated, documented.

A node's parameters are the settings of one dataclass (`wm_mpc.settings`); those of its sections
have dotted names. `declare` gives each a full descriptor, rejects what is not acceptable with a
reason, and keeps an object of that class, which is exchanged as a whole: a thread that takes
`values()` once never sees half of a change.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from wm_mpc.ros import overrides
from wm_mpc.settings.build import build, nested
from wm_mpc.settings.fields import Setting, SettingError, entries, kind_of

Value = bool | int | float | str
Settings = TypeVar("Settings")
_TYPES = (bool, int, float, str)
_INTEGER_LIMIT = 2**63 - 1


class ParameterError(SettingError):
    """A value a parameter does not accept; the message names it and what would be accepted."""


class RefusedError(ParameterNotDeclaredException):
    """A parameter that the node does not have, or a value of another type than the parameter's.

    Of what is raised before rclpy's own checks, its parameter services answer with the message for
    this class of errors only.
    """

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a node.

    Attributes:
        name: Of the parameter, e.g. "planner.horizon".
        default: Its type (bool, int, float or str) is the parameter's type.
        setting: What is known of it.
    """

    name: str
    default: Value
    setting: Setting

    def __post_init__(self) -> None:
        if type(self.default) not in _TYPES:
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
        if type(value) is not kind or not self.setting.accepts(value):
            raise ParameterError(f"{self.name} is {value!r}; accepted: {self.accepted()}")
        return value

    def accepted(self) -> str:
        """What `check` accepts, for people: e.g. "a number from 0.5 to 100.0 Hz"."""
        return self.setting.accepted(kind_of(self.default))

    def changes(self) -> str:
        """When the value may change, for people."""
        if self.setting.read_only:
            return "at start-up only"
        return "only while the node is not active" if self.setting.only_inactive else "at any time"

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        entry = self.setting
        unit = f" [{entry.unit}]" if entry.unit else ""
        descriptor = ParameterDescriptor(
            name=self.name,
            description=entry.text + unit,
            additional_constraints=f"accepted: {self.accepted()}; may change {self.changes()}",
            read_only=entry.read_only,
        )
        if entry.low is None and entry.high is None:
            return descriptor
        if type(self.default) is float:
            low = -math.inf if entry.low is None else float(entry.low)
            high = math.inf if entry.high is None else float(entry.high)
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=low, to_value=high, step=0.0)
            ]
        else:
            low = -_INTEGER_LIMIT if entry.low is None else int(entry.low)
            high = _INTEGER_LIMIT if entry.high is None else int(entry.high)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
        return descriptor


def parameters_of(kind: type) -> tuple[Parameter, ...]:
    """The parameters that the settings of a dataclass are, in their order."""
    return tuple(Parameter(*entry) for entry in entries(kind))


class Parameters(Generic[Settings]):
    """The declared parameters of a node; made by `declare`."""

    def __init__(
        self,
        kind: type[Settings],
        table: Sequence[Parameter],
        values: dict[str, Value],
        is_active: Callable[[], bool],
    ) -> None:
        self._kind = kind
        self._table = {entry.name: entry for entry in table}
        # By name, and as an object: exchanged together, so that no reader needs a lock.
        self._now = values, self._made(values)
        self._is_active = is_active
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Settings], None]] = []

    def _made(self, values: dict[str, Value]) -> Settings:
        """Raises ParameterError where values contradict each other."""
        try:
            return build(self._kind, nested(values))
        except SettingError as error:
            raise ParameterError(str(error)) from None

    def values(self) -> Settings:
        """All values as they are now: an immutable snapshot, the same object until one changes.
        Thread-safe, does not block."""
        return self._now[1]

    def on_change(self, listener: Callable[[Settings], None]) -> None:
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

    def _check_types(self, parameters: list[RosParameter]) -> None:
        """Before rclpy does, which would not say what is accepted. Raises RefusedError."""
        for parameter in self._known(parameters):
            entry, value = self._table[parameter.name], parameter.value
            is_set = parameter.type_ != RosParameter.Type.NOT_SET
            if is_set and type(value) is not type(entry.default):
                raise RefusedError(f"{entry.name} is {value!r}; accepted: {entry.accepted()}")

    def _accept(self, parameters: list[RosParameter]) -> SetParametersResult:
        present, _ = self._now
        changes: dict[str, Value] = {}
        try:
            for parameter in self._known(parameters):
                entry = self._table[parameter.name]
                value, now = entry.check(parameter.value), present[entry.name]
                # Loading a file that repeats the present value changes nothing, so it may pass.
                if entry.setting.only_inactive and value != now and self._is_active():
                    raise ParameterError(
                        f"{entry.name} stays {now!r}: it may change {entry.changes()}; "
                        "deactivate the node first"
                    )
                changes[entry.name] = value
            if changes:
                self._made({**present, **changes})
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _store(self, parameters: list[RosParameter]) -> None:
        changes = {parameter.name: parameter.value for parameter in self._known(parameters)}
        if not changes:
            return
        with self._lock:
            values = {**self._now[0], **changes}
            self._now = values, self._made(values)
        for listener in self._listeners:
            listener(self.values())


def declare(
    node: Node, kind: type[Settings], *, is_active: Callable[[], bool] = lambda: False
) -> Parameters[Settings]:
    """Declare the settings of a dataclass on the node, and keep their values valid from then on.

    Args:
        node: Gets the parameters.
        kind: The dataclass. What concerns several values at once it checks when it is made.
        is_active: Whether `only_inactive` parameters are locked at present.

    Raises:
        ParameterError: A value from the command line or a parameter file is not acceptable.
        OverrideError: Something there fits no parameter of the node.
    """
    table = parameters_of(kind)
    values: dict[str, Value] = {}
    for entry in table:
        # Declared loosely first: the override may be an integer where a number is wanted, or a
        # mistake that deserves a better message than rclpy's.
        loose = ParameterDescriptor(dynamic_typing=True)
        given = node.declare_parameter(entry.name, entry.default, loose).value
        node.undeclare_parameter(entry.name)
        values[entry.name] = entry.check(given)
    parameters = Parameters(kind, table, values, is_active)
    for entry in table:
        node.declare_parameter(
            entry.name, values[entry.name], entry.descriptor(), ignore_override=True
        )
    overrides.check(node)

    def before_types(given: list[RosParameter]) -> list[RosParameter]:
        unknown = [each.name for each in given if not node.has_parameter(each.name)]
        if unknown:
            raise RefusedError(overrides.unknown_names(node, unknown))
        converted = parameters._convert(given)
        parameters._check_types(converted)
        return converted

    node.add_pre_set_parameters_callback(before_types)
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
            entry.setting.text,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
