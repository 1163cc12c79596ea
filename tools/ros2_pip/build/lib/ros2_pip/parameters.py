"""Parameters of other nodes, through their parameter services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rclpy.parameter
import yaml
from rcl_interfaces.msg import Parameter, ParameterDescriptor, ParameterType, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
)
from rclpy.node import Node

from .graph import call_service

# Parameter type: (its name, the label in front of a value, the field that holds it).
TYPES: dict[int, tuple[str, str, str | None]] = {
    ParameterType.PARAMETER_NOT_SET: ("not set", "Parameter not set.", None),
    ParameterType.PARAMETER_BOOL: ("boolean", "Boolean value is:", "bool_value"),
    ParameterType.PARAMETER_INTEGER: ("integer", "Integer value is:", "integer_value"),
    ParameterType.PARAMETER_DOUBLE: ("double", "Double value is:", "double_value"),
    ParameterType.PARAMETER_STRING: ("string", "String value is:", "string_value"),
    ParameterType.PARAMETER_BYTE_ARRAY: ("byte array", "Byte values are:", "byte_array_value"),
    ParameterType.PARAMETER_BOOL_ARRAY: (
        "boolean array",
        "Boolean values are:",
        "bool_array_value",
    ),
    ParameterType.PARAMETER_INTEGER_ARRAY: (
        "integer array",
        "Integer values are:",
        "integer_array_value",
    ),
    ParameterType.PARAMETER_DOUBLE_ARRAY: (
        "double array",
        "Double values are:",
        "double_array_value",
    ),
    ParameterType.PARAMETER_STRING_ARRAY: (
        "string array",
        "String values are:",
        "string_array_value",
    ),
}


def type_name(parameter_type: int) -> str:
    """Return the name of a parameter type."""
    return TYPES[parameter_type][0]


def raw_value(value: ParameterValue) -> Any:
    """Return the value as the message holds it, None if not set."""
    field = TYPES[value.type][2]
    return None if field is None else getattr(value, field)


def plain_value(value: ParameterValue) -> Any:
    """Return the value with arrays as lists, None if not set."""
    raw = raw_value(value)
    return raw if raw is None or isinstance(raw, (bool, int, float, str)) else list(raw)


def list_names(node: Node, target: str, prefixes: Sequence[str] = ()) -> list[str]:
    """Return the names of the parameters of ``target``, sorted."""
    request = ListParameters.Request(prefixes=list(prefixes))
    response = call_service(node, ListParameters, f"{target}/list_parameters", request)
    return sorted(response.result.names)


def get_values(node: Node, target: str, names: Sequence[str]) -> list[ParameterValue]:
    """Return the values of parameters."""
    request = GetParameters.Request(names=list(names))
    return list(call_service(node, GetParameters, f"{target}/get_parameters", request).values)


def describe(node: Node, target: str, names: Sequence[str]) -> list[ParameterDescriptor]:
    """Return the descriptors of parameters."""
    request = DescribeParameters.Request(names=list(names))
    response = call_service(node, DescribeParameters, f"{target}/describe_parameters", request)
    return list(response.descriptors)


def set_values(node: Node, target: str, parameters: Sequence[Parameter]) -> list[Any]:
    """Set parameters; return a result (successful, reason) for each."""
    request = SetParameters.Request(parameters=list(parameters))
    return list(call_service(node, SetParameters, f"{target}/set_parameters", request).results)


def from_file(path: str, target: str, *, wildcard: bool) -> list[Parameter]:
    """Return all parameters that a YAML file holds, whatever nodes it names, for ``target``.

    This is what the genuine command does: the node itself refuses what it does not have. What is
    given for all ('/**') comes first, and what is given by name overrides it.
    Raises RuntimeError for what is no parameter file.
    """
    try:
        with open(path) as file:
            content = yaml.safe_load(file)
    except (OSError, yaml.YAMLError) as error:
        raise RuntimeError(f"cannot read the parameter file '{path}': {error}") from error
    if not isinstance(content, dict):
        raise RuntimeError(f"'{path}' is not a ROS parameter file: it is not a dictionary")
    present = [key for key in ["/**"] if wildcard and key in content]
    present += [key for key in content if key not in ("/**", target)]
    present += [key for key in [target] if key in content]
    if not present:
        raise RuntimeError("Param file does not contain selected parameters")
    values: dict[str, Any] = {}
    for key in present:
        section = content[key]
        if not isinstance(section, dict) or not isinstance(section.get("ros__parameters"), dict):
            raise RuntimeError(f"YAML file is not a valid ROS parameter file for node {key}")
        values.update(_flattened(section["ros__parameters"]))
    return [
        rclpy.parameter.Parameter(name, value=value).to_parameter_msg()
        for name, value in values.items()
    ]


def _flattened(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested dictionaries into names joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flattened(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
