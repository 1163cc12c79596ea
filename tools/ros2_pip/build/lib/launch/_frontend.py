"""Launch files in XML and YAML: the tags that bring-ups use to start and include things.

Both formats become the same tree of entities, which become the same actions as in Python. An
entity or attribute that is not provided is refused by name.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ._substitution_text import parse_text
from .action import Action
from .actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    SetEnvironmentVariable,
    SetLaunchConfiguration,
    Shutdown,
    TimerAction,
    UnsetEnvironmentVariable,
)
from .conditions import IfCondition, UnlessCondition
from .launch_description import LaunchDescription
from .substitution import Substitution

__all__ = ["InvalidFrontendLaunchFileError", "read_xml", "read_yaml"]


class InvalidFrontendLaunchFileError(Exception):
    """A launch file in XML or YAML that cannot be read."""


class Entity:
    """A tag with its attributes and children; whatever is not asked for is refused by `end`."""

    def __init__(self, kind: str, attributes: dict[str, Any], children: list[Entity]) -> None:
        self.kind = kind
        self._attributes = dict(attributes)
        self._children = children
        self._used: list[Entity] = []

    def text(self, name: str, *, optional: bool = False) -> list[Substitution] | None:
        """Return an attribute with its substitutions; None if it is not there and may lack."""
        value = self.plain(name, optional=optional)
        return None if value is None else parse_text(value)

    def plain(self, name: str, *, optional: bool = True) -> str | None:
        """Return an attribute as it is written."""
        if name not in self._attributes:
            if optional:
                return None
            raise InvalidFrontendLaunchFileError(f"'{self.kind}' lacks the attribute '{name}'")
        value = self._attributes.pop(name)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def children(self, *kinds: str) -> list[Entity]:
        """Return the children of these kinds, and of all kinds for none."""
        found = [child for child in self._children if not kinds or child.kind in kinds]
        self._children = [child for child in self._children if child not in found]
        self._used += found
        return found

    def end(self) -> None:
        """Refuse what was not asked for."""
        left = [*self._attributes, *(child.kind for child in self._children)]
        if left:
            raise InvalidFrontendLaunchFileError(
                f"'{self.kind}': ros2_pip does not provide {', '.join(map(repr, left))}"
            )
        for child in self._used:
            child.end()


def read_xml(path: str) -> LaunchDescription:
    """Read a launch file in XML."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise InvalidFrontendLaunchFileError(f"'{path}' is not XML: {error}") from error
    return _description(_from_xml(root))


def read_yaml(path: str) -> LaunchDescription:
    """Read a launch file in YAML."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InvalidFrontendLaunchFileError(f"'{path}' is not YAML: {error}") from error
    if not isinstance(content, dict) or set(content) != {"launch"}:
        raise InvalidFrontendLaunchFileError(f"'{path}' must have the one key 'launch'")
    return _description(_from_yaml("launch", content["launch"]))


def _from_xml(element: ElementTree.Element) -> Entity:
    return Entity(element.tag, dict(element.attrib), [_from_xml(child) for child in element])


def _from_yaml(kind: str, value: Any) -> Entity:
    """A list holds children: of any kind in `launch` and `children`, else of the list's kind."""
    if isinstance(value, list):
        children = [_from_yaml(key, item) for each in value for key, item in each.items()]
        return Entity(kind, {}, children)
    attributes = {key: item for key, item in value.items() if not isinstance(item, list)}
    children = []
    for key, items in value.items():
        if not isinstance(items, list):
            continue
        if key == "children":
            children += _from_yaml(key, items).children()
        else:
            children += [_from_yaml(key, item) for item in items]
    return Entity(kind, attributes, children)


def _description(root: Entity) -> LaunchDescription:
    if root.kind != "launch":
        raise InvalidFrontendLaunchFileError(f"the root is '{root.kind}'; it must be 'launch'")
    root.plain("version")
    return LaunchDescription(_actions(root))


def _actions(entity: Entity) -> list[Action]:
    return [_action(child) for child in entity.children()]


def _action(entity: Entity) -> Action:
    makers: dict[str, Callable[..., Action]] = {**_MAKERS, **_ros_makers()}
    if entity.kind not in makers:
        raise InvalidFrontendLaunchFileError(
            f"ros2_pip does not provide '{entity.kind}'; provided: {', '.join(sorted(makers))}"
        )
    condition = None
    for name, kind in (("if", IfCondition), ("unless", UnlessCondition)):
        text = entity.text(name, optional=True)
        condition = condition if text is None else kind(text)
    action = makers[entity.kind](entity, condition)
    entity.end()
    return action


def _truth(text: str | None, default: bool) -> bool:
    if text is not None and text.lower() not in ("true", "false"):
        raise InvalidFrontendLaunchFileError(f"{text!r} is neither true nor false")
    return default if text is None else text.lower() == "true"


def _arg(entity: Entity, condition: Any) -> Action:
    choices = [child.plain("value") or "" for child in entity.children("choice")]
    return DeclareLaunchArgument(
        entity.plain("name", optional=False) or "",
        default_value=entity.text("default", optional=True),
        description=entity.plain("description"),
        choices=choices or None,
        condition=condition,
    )


def _pairs(entity: Entity, kind: str) -> list[tuple[Any, Any]]:
    # Names as they are: what is required is looked for among them before anything is launched.
    return [(child.plain("name"), child.text("value")) for child in entity.children(kind)]


def _include(entity: Entity, condition: Any) -> Action:
    return IncludeLaunchDescription(
        entity.text("file") or [],
        launch_arguments=[*_pairs(entity, "arg"), *_pairs(entity, "let")],
        condition=condition,
    )


def _group(entity: Entity, condition: Any) -> Action:
    scoped = _truth(entity.plain("scoped"), True)
    forwarding = _truth(entity.plain("forwarding"), True)
    kept = {child.plain("name"): child.text("value") for child in entity.children("keep")}
    return GroupAction(
        _actions(entity),
        scoped=scoped,
        forwarding=forwarding,
        launch_configurations=kept,
        condition=condition,
    )


def process_arguments(entity: Entity) -> dict[str, Any]:
    """What an executable has in common with a node."""
    env = {child.plain("name"): child.text("value") for child in entity.children("env")}
    delay = entity.plain("respawn_delay")
    found: dict[str, Any] = {
        "cwd": entity.text("cwd", optional=True),
        "prefix": entity.text("launch-prefix", optional=True),
        "output": entity.text("output", optional=True) or "log",
        "respawn": entity.text("respawn", optional=True) or False,
        "respawn_delay": None if delay is None else float(delay),
        "additional_env": env or None,
    }
    on_exit = entity.plain("on_exit")
    if on_exit is not None:
        if on_exit != "shutdown":
            raise InvalidFrontendLaunchFileError(f"on_exit is {on_exit!r}; accepted: shutdown")
        found["on_exit"] = [Shutdown()]
    return found


def _executable(entity: Entity, condition: Any) -> Action:
    import shlex

    parts = shlex.split(entity.plain("cmd", optional=False) or "")
    return ExecuteProcess(
        cmd=[parse_text(part) for part in parts],
        name=entity.text("name", optional=True),
        shell=_truth(entity.plain("shell"), False),
        condition=condition,
        **process_arguments(entity),
    )


def _let(entity: Entity, condition: Any) -> Action:
    name, value = entity.text("name"), entity.text("value")
    return SetLaunchConfiguration(name or [], value or [], condition=condition)


def _set_env(entity: Entity, condition: Any) -> Action:
    name, value = entity.text("name"), entity.text("value")
    return SetEnvironmentVariable(name or [], value or [], condition=condition)


_MAKERS: dict[str, Callable[..., Action]] = {
    "arg": _arg,
    "executable": _executable,
    "group": _group,
    "include": _include,
    "let": _let,
    "log": lambda entity, condition: LogInfo(msg=entity.text("message") or [], condition=condition),
    "set_env": _set_env,
    "shutdown": lambda entity, condition: Shutdown(
        reason=entity.plain("reason") or "reason not given", condition=condition
    ),
    "timer": lambda entity, condition: TimerAction(
        period=entity.text("period") or [], actions=_actions(entity), condition=condition
    ),
    "unset_env": lambda entity, condition: UnsetEnvironmentVariable(
        entity.text("name") or [], condition=condition
    ),
}


def _ros_makers() -> dict[str, Callable[..., Action]]:
    from launch_ros._frontend import MAKERS

    return MAKERS
