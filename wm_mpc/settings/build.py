"""Build dataclasses from plain tables, as files and parameters hold them. The only such builder."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import yaml

from wm_mpc.nearest import did_you_mean
from wm_mpc.settings.fields import SettingError

Config = TypeVar("Config")
_SHOWN = 99  # most characters of a value in an error, because a file may hold anything
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def build(
    kind: type[Config], data: Mapping[str, Any], where: str = "", *, base: Config | None = None
) -> Config:
    """Build a dataclass from a table of its fields. A field that is a dataclass is a table in the
    table.

    Args:
        kind: The dataclass. Its annotations say which values are accepted. A whole number is
            accepted for a float, a list for a tuple, and the text 1e-3 (which YAML does not read as
            a number) for a float.
        data: Values by name.
        where: Beginning of all names in errors, for example "planner.".
        base: Source of the values that `data` lacks; by default, the defaults of the dataclass.

    Raises:
        SettingError: A name is unknown, or a value is not accepted.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            raise SettingError(unknown(str(name)[:_SHOWN], known, where))
        inner = getattr(base, name, None)
        values[name] = _converted(f"{where}{name}", value, hints[name], inner)
    try:
        if base is not None:
            return dataclasses.replace(base, **values)  # type: ignore[type-var]
        return kind(**values)
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(str(error)) from None


def unknown(name: str, known: Iterable[str], where: str = "") -> str:
    """Say that a setting is unknown; suggest the nearest one, or list all if none is near.

    Args:
        name: The unknown name.
        known: Known names.
        where: Beginning of all names, for example "planner.".
    """
    names = sorted(known)
    hint = did_you_mean(name, names, where)
    listed = ", ".join(f"{where}{entry}" for entry in names)
    return f"unknown setting {where}{name}{hint or f'; known: {listed}'}"


@contextlib.contextmanager
def raised_as(error: type[SettingError]) -> Iterator[None]:
    """Within the block, a SettingError becomes an error of another type, with the same text.

    Args:
        error: The type.
    """
    try:
        yield
    except SettingError as original:
        raise error(str(original)) from None


def load_table(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the table in a YAML file. An empty file is an empty table.

    Args:
        path: Path of the file.

    Raises:
        SettingError: The file cannot be read, or holds no table.
    """
    try:
        with open(path, encoding="utf-8") as file:
            data = yaml.safe_load(file)
    except OSError as error:
        raise SettingError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise SettingError(f"cannot read {path}: {error}") from None
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise SettingError(f"{path} must hold a table of settings")
    return {str(name): value for name, value in data.items()}


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted names into tables in tables: {"planner.horizon": 5} -> {"planner": {"horizon":
    5}}.

    Args:
        flat: Values by dotted name.
    """
    tables: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        table = tables
        for part in path:
            table = table.setdefault(part, {})
        table[last] = value
    return tables


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    """Annotations by field, cached because reading them takes longer than all the rest."""
    return typing.get_type_hints(kind)


def _converted(name: str, value: Any, hint: Any, base: Any = None) -> Any:
    """Convert a value to the type of an annotation. `base`: see `build`, if that type is a
    dataclass."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return _one_of(name, value, typing.get_args(hint))
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise SettingError(f"{name} is {_shown(value)}; a table of settings is needed")
        return build(hint, value, f"{name}.", base=base)  # type: ignore[arg-type]
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise SettingError(f"{name} is {_shown(value)}; a list is needed")
        return tuple(_converted(name, item, typing.get_args(hint)[0]) for item in value)
    if hint is float and isinstance(value, str):
        value = _number(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number and math.isfinite(value):
        return float(value)
    if hint is int and is_number and math.isfinite(value) and value == int(value):
        return int(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    raise SettingError(f"{name} is {_shown(value)}; {_KINDS.get(hint, str(hint))} is needed")


def _one_of(name: str, value: Any, hints: tuple[Any, ...]) -> Any:
    """Convert a value to the first of several annotations that accepts it."""
    if value is None and type(None) in hints:
        return None
    problems = []
    for hint in hints:
        if hint is type(None):
            continue
        try:
            return _converted(name, value, hint)
        except SettingError as error:
            problems.append(error)
    raise problems[0]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
