"""The tags of ROS in launch files of XML and YAML."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml
from launch._substitution_text import parse_text
from launch.action import Action

from .actions import Node, PushROSNamespace, SetParameter, SetRemap
from .parameter_descriptions import ParameterFile, ParameterValue

if TYPE_CHECKING:
    from launch._frontend import Entity


def _node(entity: Entity, condition: Any) -> Action:
    from launch._frontend import process_arguments

    arguments = entity.plain("args")
    ros_arguments = entity.plain("ros_args")
    return Node(
        package=entity.text("pkg"),
        executable=entity.text("exec"),
        name=entity.text("name", optional=True),
        namespace=entity.text("namespace", optional=True),
        parameters=[_parameter(child) for child in entity.children("param")],
        remappings=[(child.text("from"), child.text("to")) for child in entity.children("remap")],
        arguments=None if arguments is None else list(map(parse_text, arguments.split())),
        ros_arguments=None
        if ros_arguments is None
        else list(map(parse_text, ros_arguments.split())),
        condition=condition,
        **process_arguments(entity),
    )


def _parameter(entity: Entity) -> Any:
    """A file, or a value by YAML's rules."""
    path = entity.text("from", optional=True)
    if path is not None:
        return ParameterFile(path)
    name = entity.plain("name", optional=False)
    written = entity.plain("value", optional=False) or ""
    if "$(" in written:
        return {name: ParameterValue(parse_text(written))}
    return {name: yaml.safe_load(written) if written else ""}


def _push(entity: Entity, condition: Any) -> Action:
    return PushROSNamespace(entity.text("namespace") or [], condition=condition)


def _set_parameter(entity: Entity, condition: Any) -> Action:
    name, value = entity.text("name"), entity.text("value")
    return SetParameter(name or [], ParameterValue(value), condition=condition)


def _set_remap(entity: Entity, condition: Any) -> Action:
    return SetRemap(entity.text("from") or [], entity.text("to") or [], condition=condition)


MAKERS: dict[str, Callable[..., Action]] = {
    "node": _node,
    "push_ros_namespace": _push,
    "push-ros-namespace": _push,
    "set_parameter": _set_parameter,
    "set_remap": _set_remap,
}
