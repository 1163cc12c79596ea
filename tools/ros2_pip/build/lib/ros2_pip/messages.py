"""Messages and services by name, as YAML or CSV, and filled in from YAML."""

from __future__ import annotations

import array
import importlib
import sys
from typing import Any

import numpy
import yaml

SEQUENCES = (list, tuple, array.array, numpy.ndarray)


def get_interface(name: str, kind: str) -> Any:
    """Return the class of an interface such as 'std_msgs/msg/String' (kind: msg, srv).

    Raises RuntimeError that names the type if there is no such class.
    """
    package, _, rest = name.partition("/")
    _, _, short = rest.rpartition("/")
    if rest not in (short, f"{kind}/{short}") or not package or not short:
        raise RuntimeError(f"'{name}' is not the name of a {kind}: expected package/{kind}/Name")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), short)
    except (ImportError, AttributeError) as error:
        raise RuntimeError(f"The {kind} type '{name}' is invalid: {error}") from error


def is_message(value: Any) -> bool:
    """Return whether ``value`` is a ROS message."""
    return hasattr(value, "get_fields_and_field_types")


# --- out: YAML and CSV ----------------------------------------------------------------------


def to_plain(message: Any, **options: Any) -> dict[str, Any]:
    """Return the fields of a message as dictionaries, lists and scalars.

    Options: ``truncate`` (length of arrays and texts, None: all), ``no_arr``, ``no_str``.
    """
    return {
        name: _plain(getattr(message, name), slot, **options)
        for name, slot in zip(message.get_fields_and_field_types(), message.SLOT_TYPES, strict=True)
    }


def _plain(
    value: Any,
    slot: Any = None,
    *,
    truncate: int | None = None,
    no_arr: bool = False,
    no_str: bool = False,
) -> Any:
    options = {"truncate": truncate, "no_arr": no_arr, "no_str": no_str}
    if isinstance(value, SEQUENCES):
        if no_arr and slot is not None:
            return _array_summary(value, slot)
        cut = truncate is not None and len(value) > truncate
        shown = value[:truncate] if cut else value
        if isinstance(shown, (array.array, numpy.ndarray)):
            items = shown.tolist()
        else:
            items = [_plain(item, **options) for item in shown]
        return [*items, "..."] if cut else items
    if isinstance(value, str) and no_str:
        return f"<string length: <{len(value)}>>"
    if isinstance(value, (bytes, str)):
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        cut = truncate is not None and len(text) > truncate
        return text[:truncate] + "..." if cut else text
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, numpy.generic):
        return value.item()
    return to_plain(value, **options)


def _array_summary(value: Any, slot: Any) -> str:
    item = slot.value_type
    if hasattr(item, "namespaced_name"):
        name = "/".join(item.namespaced_name())
    elif hasattr(item, "typename"):
        name = item.typename
    else:
        name = "wstring" if "WString" in type(item).__name__ else "string"
    if hasattr(slot, "size"):
        return f"<array type: {name}[{slot.size}]>"
    if getattr(slot, "maximum_size", None) is not None:
        return f"<sequence type: {name}[{slot.maximum_size}], length: {len(value)}>"
    return f"<sequence type: {name}, length: {len(value)}>"


def to_yaml(message: Any, *, flow_style: bool = False, **options: Any) -> str:
    """Return a message as YAML."""
    return yaml.dump(
        to_plain(message, **options),
        allow_unicode=True,
        sort_keys=False,
        width=sys.maxsize,
        default_flow_style=flow_style,
    )


def to_csv(message: Any, **options: Any) -> str:
    """Return all values of a message, separated by commas."""

    def values(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in values(item)]
        if isinstance(value, list):
            return [text for item in value for text in values(item)]
        return [str(value)]

    return ",".join(values(to_plain(message, **options)))


# --- in: YAML -------------------------------------------------------------------------------


def fill(message: Any, values: dict[str, Any], now: Any = None) -> None:
    """Set fields of a message from nested dictionaries.

    With ``now`` (a time message), the text 'now' fills a time, and 'auto' a header.
    Raises ValueError or another exception that names the field.
    """
    fields = message.get_fields_and_field_types()
    for name, value in values.items():
        if name not in fields:
            raise ValueError(
                f"'{type(message).__name__}' has no field '{name}'; it has: {', '.join(fields)}"
            )
        present = getattr(message, name)
        try:
            setattr(message, name, _converted(present, fields[name], value, now))
        except (AssertionError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error


def _converted(present: Any, field_type: str, value: Any, now: Any) -> Any:
    if is_message(present):
        if now is not None and value == "now" and field_type == "builtin_interfaces/Time":
            return now
        if now is not None and value == "auto" and field_type == "std_msgs/Header":
            return type(present)(stamp=now)
        if not isinstance(value, dict):
            raise ValueError(f"expected a dictionary for {field_type}, got {value!r}")
        fill(present, value, now)
        return present
    if isinstance(present, SEQUENCES) and not isinstance(present, (str, bytes)):
        return _converted_list(present, field_type, value, now)
    if isinstance(present, bytes):
        return value if isinstance(value, bytes) else bytes([value])
    if isinstance(present, bool) or not isinstance(value, (dict, list)):
        return type(present)(value)
    raise ValueError(f"expected a value for {field_type}, got {value!r}")


def _converted_list(present: Any, field_type: str, value: Any, now: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list for {field_type}, got {value!r}")
    item_type = field_type.removeprefix("sequence<").split(",")[0].split("[")[0].rstrip(">")
    if "/" in item_type:
        item_class = get_interface(item_type, "msg")
        items = []
        for entry in value:
            item = item_class()
            fill(item, entry, now)
            items.append(item)
        return items
    if item_type in ("float", "double"):
        return [float(entry) for entry in value]
    if item_type.startswith(("string", "wstring")):
        return [str(entry) for entry in value]
    return list(value)
