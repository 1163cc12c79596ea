"""Turn what a Node action is given as ``parameters`` into files and values for the node."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch.utilities.type_utils import is_substitution

from .parameter_descriptions import Parameter, ParameterFile, ParameterValue

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

Evaluated = Path | dict[str, Any] | tuple[str, Any]


class _QuotedDumper(yaml.SafeDumper):
    """Quote every text, so that no YAML reader takes '1e5' or 'on' for something else."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_QuotedDumper.add_representer(str, _quoted)


def evaluate_parameters(context: LaunchContext, parameters: Any) -> list[Evaluated]:
    """Return, for each element: a file path, a flat dictionary, or one (name, value).

    Raises TypeError for anything that is not a dictionary, a path, a ParameterFile or a Parameter.
    """
    if isinstance(parameters, str) or not isinstance(parameters, Sequence):
        raise TypeError(
            f"Node: parameters must be a list of files and dictionaries: {parameters!r}"
        )
    result: list[Evaluated] = []
    for element in parameters:
        if isinstance(element, Mapping):
            result.append(_evaluate_dictionary(context, element))
        elif isinstance(element, (ParameterFile, Parameter)):
            result.append(element.evaluate(context))
        elif isinstance(element, (str, Path)) or is_substitution(element):
            text = perform_substitutions(context, normalize_to_list_of_substitutions(element))
            result.append(Path(text))
        else:
            raise TypeError(
                "Node: each element of parameters must be a dictionary, the path of a YAML file, "
                f"a ParameterFile or a Parameter; got {element!r}"
            )
    return result


def _evaluate_dictionary(
    context: LaunchContext, values: Mapping[Any, Any], prefix: str = ""
) -> dict[str, Any]:
    """Flatten nested dictionaries into names joined by dots, and perform all substitutions."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        part = normalize_to_list_of_substitutions(key)
        name = prefix + perform_substitutions(context, part)
        if isinstance(value, Mapping):
            result.update(_evaluate_dictionary(context, value, name + "."))
        else:
            result[name] = evaluate_value(context, name, value)
    return result


def evaluate_value(context: LaunchContext, name: str, value: Any) -> Any:
    """Return a parameter value: substitutions by YAML rules, everything else as it is.

    A list of text with a substitution in it is one text; a list of lists is a list of texts.
    """
    if isinstance(value, ParameterValue):
        return value.evaluate(context)
    if is_substitution(value):
        text = perform_substitutions(context, normalize_to_list_of_substitutions(value))
        return _checked(name, yaml.safe_load(text))
    if isinstance(value, (list, tuple)):
        items = [evaluate_value(context, name, item) for item in value]
        if any(isinstance(item, (list, tuple, Substitution)) for item in value):
            return _checked(name, items)
        kinds = {type(item) for item in items}
        if kinds == {int, float}:
            return [float(item) for item in items]
        return _checked(name, items)
    return _checked(name, value)


def _checked(name: str, value: Any) -> Any:
    scalars = (bool, int, float, str, bytes)
    if isinstance(value, scalars):
        return value
    if isinstance(value, list) and value:
        kind = type(value[0])
        if kind in scalars and all(type(item) is kind for item in value):
            return value
    raise TypeError(
        f"parameter '{name}' has the value {value!r}; accepted are bool, int, float, str, bytes "
        "and non-empty lists of one of these types"
    )


def write_parameter_file(context: LaunchContext, node: str, values: Mapping[str, Any]) -> str:
    """Write a temporary parameter file for ``node`` ('/**': any); return its path."""
    with tempfile.NamedTemporaryFile("w", prefix="launch_params_", delete=False) as file:
        document = {node: {"ros__parameters": dict(values)}}
        yaml.dump(document, file, Dumper=_QuotedDumper, default_flow_style=False)
    context._clean_ups.append(lambda: Path(file.name).unlink(missing_ok=True))
    return os.path.abspath(file.name)


def rule(value: Any) -> str:
    """Return a value as it is written behind ``-p name:=``."""
    text = yaml.dump(value, Dumper=_QuotedDumper, default_flow_style=True, width=2**30)
    return text.removesuffix("...\n").strip()
