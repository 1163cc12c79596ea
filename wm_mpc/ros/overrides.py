"""Parameter overrides that fit nothing: a mistyped name, a file that is not for this node.

ROS 2 itself ignores them, so a node would run with its defaults without a word. Here each is
refused, with the nearest right name. What is meant for other nodes, too, is left alone: names under
`/**` that another node of this package knows, sections of other nodes, and what a bring-up sets for
all of its nodes (`COMMON_PARAMETERS`).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from wm_mpc.nearest import nearest
from wm_mpc.settings.fields import entries

# In the environment: names, and paths of files, that a bring-up gives to every node; one per line.
COMMON_PARAMETERS = "WM_MPC_COMMON_PARAMETERS"
_ROS_OWN = re.compile(r"use_sim_time|start_type_description_service|qos_overrides\..*")
_KEY = "ros__parameters"
_tables: dict[str, str] = {}
_given: list[str] | None = None


class OverrideError(ValueError):
    """Overrides that fit nothing; the message names them and what would be right."""


@dataclasses.dataclass(frozen=True)
class Section:
    """Parameters for the nodes whose full name fits `pattern` (`/left/mpc`, `/**`, `/**/mpc`)."""

    pattern: str
    names: tuple[str, ...]

    def fits(self, node: str) -> bool:
        """Whether it is for the node of this full name, as rcl decides it."""
        tokens = [part for part in self.pattern.split("/") if part]
        expression = {"**": r"(/\w+)*", "*": r"/\w+"}
        text = "".join(expression.get(token, "/" + re.escape(token)) for token in tokens)
        return re.fullmatch(text, node) is not None

    @property
    def node(self) -> str:
        """The name without its namespace; `*` or `**` for all nodes."""
        return self.pattern.rpartition("/")[2]

    @property
    def is_for_all(self) -> bool:
        """Whether nodes of any name read it."""
        return self.node in ("*", "**")


@dataclasses.dataclass(frozen=True)
class File:
    """A parameter file."""

    path: str
    sections: tuple[Section, ...]


def register(tables: Mapping[str, str]) -> None:
    """Say which nodes there are: by name, `module:attribute` of their table of parameters, or ""
    for a node without parameters. They are imported only when a name is not this node's own."""
    _tables.update(tables)


def use(arguments: Sequence[str] | None) -> None:
    """Take these command line arguments for those of the nodes made from now on.

    None: those of the process. Raises OverrideError for a parameter file that cannot be read.
    """
    global _given
    _given = None if arguments is None else list(arguments)
    files(_arguments())


def _arguments() -> list[str]:
    return list(sys.argv) if _given is None else _given


def files(arguments: Sequence[str]) -> list[File]:
    """The parameter files among ROS arguments. Raises OverrideError when one cannot be read."""
    found, is_ros = [], False
    words = iter(arguments)
    for word in words:
        if word == "--ros-args":
            is_ros = True
        elif word == "--":
            is_ros = False
        elif is_ros and word == "--params-file":
            found.append(read(next(words, "")))
    return found


def read(path: str) -> File:
    """A parameter file. Raises OverrideError when it is missing, no YAML, or no parameters."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OverrideError(f"parameter file {path!r}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise OverrideError(f"parameter file {path!r} is not YAML: {reason}") from None
    try:
        return File(path, tuple(_sections(content, "")))
    except ValueError as error:
        raise OverrideError(
            f"parameter file {path!r}: {error}; accepted: node name, {_KEY}, then parameters"
        ) from None


def _sections(content: Any, pattern: str) -> Iterable[Section]:
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{pattern or 'it'} holds {content!r} and no {_KEY}")
    for key, value in content.items():
        if key == _KEY:
            if not isinstance(value, dict):
                raise ValueError(f"{_KEY} of {pattern or 'it'} is {value!r}")
            yield Section(pattern, tuple(_names(value, "")))
        else:
            yield from _sections(value, f"{pattern}/{str(key).strip('/')}")


def _names(values: Mapping[Any, Any], prefix: str) -> Iterable[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@functools.cache
def _parameters_of(node: str) -> frozenset[str]:
    """Names of the parameters of a registered node."""
    if not _tables.get(node):
        return frozenset()
    module, _, attribute = _tables[node].partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    return frozenset(name for name, _, _ in entries(kind))


def _rules(arguments: Sequence[str]) -> Iterable[str]:
    """The texts of `-p` and `--param` among ROS arguments."""
    is_ros, words = False, iter(arguments)
    for word in words:
        if word in ("--ros-args", "--"):
            is_ros = word == "--ros-args"
        elif is_ros and word in ("-p", "--param"):
            yield next(words, "")


def check_rules(arguments: Sequence[str], name: str) -> None:
    """Refuse `-p node:parameter:=value` for a node of another name, of which each program has only
    one. Raises OverrideError."""
    for rule in _rules(arguments):
        left = rule.partition(":=")[0]
        node, separator, parameter = left.rpartition(":")
        if separator and node != name:
            raise OverrideError(
                f"-p {rule} is for a node {node}, but this node is {name}; write {parameter} or "
                f"{name}:{parameter}"
            )


def check(node: Any) -> None:
    """Refuse what was given to a node (of rclpy, with all parameters declared) and fits nothing.

    Raises OverrideError. Logs what is merely for other nodes.
    """
    name, full_name = node.get_name(), node.get_fully_qualified_name()
    check_rules(_arguments(), name)
    common = set(os.environ.get(COMMON_PARAMETERS, "").splitlines())
    own = [file for file in files(_arguments()) if file.path not in common]
    for file in own:
        for line in check_sections(file, name, full_name, node._parameters):
            node.get_logger().warning(line)
    shared = {
        parameter
        for file in files(_arguments())
        for section in file.sections
        if section.is_for_all or file not in own
        for parameter in section.names
        if file not in own or _who_knows(parameter, name)
    }
    unknown = [
        each
        for each in sorted(node._parameter_overrides)
        if not (node.has_parameter(each) or _ROS_OWN.fullmatch(each) or each in common | shared)
    ]
    if unknown:
        raise OverrideError(unknown_names(node, unknown))


def unknown_names(node: Any, unknown: Iterable[str]) -> str:
    """Say that a node (of rclpy) does not have parameters, and name the nearest ones."""
    name = node.get_name()
    known = [each for each in node._parameters if not _ROS_OWN.fullmatch(each)]
    return "; ".join(
        f"{name} has no parameter {each}{_hint(each, known, name)}" for each in unknown
    )


def check_sections(file: File, name: str, full_name: str, known: Collection[str] = ()) -> list[str]:
    """What to warn of in a file that the node of this name was given. known: its parameters.

    Raises OverrideError when the file is not for the node although it seems to be meant so.
    """
    fitting = [section for section in file.sections if section.fits(full_name)]
    rest = [section for section in file.sections if section not in fitting]
    is_named = any(not section.is_for_all for section in fitting)
    elsewhere = [section.pattern for section in rest if section.node == name]
    if elsewhere and not is_named and (not fitting or f"/{name}" in elsewhere):
        raise OverrideError(
            f"parameter file {file.path!r} is for {', '.join(elsewhere)}, but this node is "
            f"{full_name}; write {full_name} or /**/{name} there"
        )
    if elsewhere and not is_named:
        return [f"parameter file {file.path!r} has parameters for {', '.join(elsewhere)}, not for "
                f"{full_name}"]  # fmt: skip
    strange = [
        section
        for section in rest
        if section.node not in _tables and (name in section.node or nearest(section.node, [name]))
    ]
    mistyped = [section.pattern for section in strange]
    ours = [s.pattern for s in strange if s.names and all(each in known for each in s.names)]
    if fitting and ours and not is_named:
        raise OverrideError(
            f"parameter file {file.path!r} has parameters of this node for {', '.join(ours)}, but "
            f"this node is {full_name}; write {full_name} or /**/{name} there"
        )
    if fitting and not mistyped:
        return []
    if fitting:
        return [f"parameter file {file.path!r} has parameters for {', '.join(mistyped)}, which is "
                f"not this node: {full_name}"]  # fmt: skip
    if any(section.node in _tables for section in rest):
        return []  # of a launch file that hands one file to several of our nodes
    patterns = ", ".join(section.pattern for section in rest) or "no node"
    raise OverrideError(
        f"parameter file {file.path!r} is for {patterns}, but this node is {full_name}; write "
        f"{full_name} or /**/{name} there"
    )


def _who_knows(parameter: str, name: str) -> str | None:
    """Another node of this package that has the parameter."""
    others = (node for node in _tables if node != name)
    return next((node for node in others if parameter in _parameters_of(node)), None)


def _hint(parameter: str, known: Sequence[str], name: str) -> str:
    other = _who_knows(parameter, name)
    if other:
        return f", which is one of {other}"
    last = {each.rpartition(".")[2]: each for each in known}
    near = nearest(parameter, known) or last.get(nearest(parameter.rpartition(".")[2], last) or "")
    if near:
        return f"; did you mean {near}?"
    return "" if known else "; it has none of its own"
