"""What the command lines of both imports share: types of options, and the settings they select."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from typing import Any

from wm_mpc.data.bag_config import BagConfig

# Its names; the setting, if that has another name; the type or the accepted values (None without a
# metavar: a switch); the metavar; and the help.
Option = tuple[str, str | None, Any, str | None, str]
_NOT_SETTINGS = {
    "list", "config", "dataset", "append", "accept_damaged", "image_size", "max_gap", "no_state",
}  # fmt: skip


def names(text: str) -> list[str]:
    """Read names that are separated by commas."""
    return [name for name in text.split(",") if name]


def numbers(text: str) -> list[float]:
    """Read numbers that are separated by commas."""
    return [float(number) for number in text.split(",")]


def size(text: str) -> tuple[int, int]:
    """Read HEIGHTxWIDTH, or one number for both."""
    height, _, width = text.lower().partition("x")
    return int(height), int(width or height)


def add_groups(parser: argparse.ArgumentParser, groups: Mapping[str, Collection[Option]]) -> None:
    """Add options to a parser.

    Args:
        parser: The parser.
        groups: Options by the title of their group.
    """
    for title, options in groups.items():
        group = parser.add_argument_group(title)
        for flags, dest, value, metavar, text in options:
            name: dict[str, Any] = {} if dest is None else {"dest": dest}
            if value is None and metavar is None:
                group.add_argument(*flags.split(), action="store_true", help=text)
            elif isinstance(value, tuple):
                group.add_argument(*flags.split(), choices=value, help=text, **name)
            else:
                group.add_argument(
                    *flags.split(), type=value, metavar=metavar, help=text, **name
                )  # fmt: skip


def settings_of(options: argparse.Namespace, others: Collection[str]) -> BagConfig:
    """Return the settings that parsed options select.

    Args:
        options: Parsed options.
        others: Names of the options of one command that are no settings.

    Raises:
        BagConfigError: A setting is unknown or not accepted.
    """
    overrides: dict[str, Any] = {"image": {}, "state": {}, "action": {}}
    for name, value in vars(options).items():
        if value is not None and name not in _NOT_SETTINGS and name not in others:
            section, _, entry = name.rpartition(".")
            (overrides[section] if section else overrides)[entry] = value
    if options.image_size is not None:
        overrides["image"] |= dict(zip(("height", "width"), options.image_size, strict=True))
    if options.no_state:
        overrides["state"]["names"] = []
    if options.max_gap is not None:
        overrides["image"]["max_gap"] = overrides["state"]["max_gap"] = options.max_gap
    return BagConfig.load(options.config, overrides)
