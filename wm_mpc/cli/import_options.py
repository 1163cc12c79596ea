"""What the command lines of both imports share: types of options, and the settings they select."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from typing import Any

from wm_mpc.arguments import positive
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.spec import STATE_SOURCES

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


# Options that are the same in both commands.
_COMMON: tuple[Option, ...] = (
    ("--no-state", None, None, None, "use the camera alone, without a measured state"),
    ("--frame-skip", "frame_skip", positive, "N",
     "control steps in a model step; default: 5"),
    ("--history", None, positive, "N",
     "model steps of the past that the dynamics sees; default: 1"),
    ("--image-size", None, size, "HxW",
     "size of the image that the model sees; default: 64x64"),
    ("--state-source", "state.source", STATE_SOURCES, None,
     "topic from which mpc reads the state at run time"),
    ("--action-unit", "action.unit", None, "UNIT", "unit of the action"),
    ("--action-low", "action.low", numbers, "LIST",
     "lowest value of each entry of the action; write '=' before a list that begins with a "
     "minus"),
    ("--action-high", "action.high", numbers, "LIST",
     "highest value of each entry of the action; write '=' before a list that begins with a "
     "minus"),
    ("--action-rate-limit", "action.rate_limit", numbers, "LIST",
     "largest change per second of each entry of the action; default: none"),
    ("--min-steps", "min_steps", positive, "N",
     "drop episodes that are shorter; default: 3 model steps"),
    ("--max-steps", "max_steps", positive, "N",
     "cut longer episodes into equal parts; default: 300"),
)  # fmt: skip
COMMON = {option[0]: option for option in _COMMON}


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
