"""Values that may be given either directly or as a substitution with a known type."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import yaml

from ..substitution import Substitution

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

SCALARS = (bool, int, float, str)


def extract_type(data_type: Any) -> tuple[type | None, bool]:
    """Return (scalar type, whether a list of it is meant); (None, False) for no type."""
    if data_type is None:
        return None, False
    if typing.get_origin(data_type) is list:
        return typing.get_args(data_type)[0], True
    if data_type in SCALARS:
        return data_type, False
    raise ValueError(
        f"unsupported value type {data_type!r}; supported: bool, int, float, str, List of these"
    )


def is_substitution(value: Any) -> bool:
    """Return whether ``value`` is a substitution or a list of text with one in it."""
    if isinstance(value, Substitution):
        return True
    if isinstance(value, str) or not isinstance(value, Iterable):
        return False
    parts = list(value)
    return all(isinstance(part, (str, Substitution)) for part in parts) and any(
        isinstance(part, Substitution) for part in parts
    )


def coerce_to_type(text: str, data_type: Any) -> Any:
    """Convert ``text`` to ``data_type`` by YAML rules; ValueError if it does not fit."""
    scalar, is_list = extract_type(data_type)
    if scalar is str and not is_list:
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"cannot read '{text}' as YAML: {error}") from error
    if scalar is None:
        return value
    if is_list:
        if not isinstance(value, list):
            raise ValueError(f"cannot convert '{text}' to a list of {scalar.__name__}")
        return [_coerce_scalar(item, scalar, text) for item in value]
    return _coerce_scalar(value, scalar, text)


def _coerce_scalar(value: Any, scalar: type, text: str) -> Any:
    if isinstance(value, scalar) and not (scalar is int and isinstance(value, bool)):
        return value
    if scalar in (int, float) and not isinstance(value, bool):
        try:
            return scalar(value)
        except (TypeError, ValueError):
            pass
    raise ValueError(f"cannot convert '{text}' to {scalar.__name__}")


def normalize_typed_substitution(value: Any, data_type: Any) -> Any:
    """Check and normalise a value given directly or as a substitution."""
    from . import normalize_to_list_of_substitutions

    if is_substitution(value):
        return normalize_to_list_of_substitutions(value)
    scalar, is_list = extract_type(data_type)
    if not is_list and isinstance(value, SCALARS):
        if scalar is not None and not isinstance(value, scalar):
            raise TypeError(f"value {value!r} is not of type {scalar.__name__}")
        return value
    if isinstance(value, (list, tuple)):
        return [normalize_typed_substitution(item, scalar) for item in value]
    raise TypeError(f"expected a value, a list of values or a substitution, got {value!r}")


def perform_typed_substitution(context: LaunchContext, value: Any, data_type: Any) -> Any:
    """Return the value of what ``normalize_typed_substitution`` returned."""
    from . import perform_substitutions

    scalar, _ = extract_type(data_type)
    if isinstance(value, list):
        if value and all(isinstance(item, Substitution) for item in value):
            return coerce_to_type(perform_substitutions(context, value), data_type)
        return [perform_typed_substitution(context, item, scalar) for item in value]
    return value
