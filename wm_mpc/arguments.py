"""What the command lines of several programs share: the parser, and types of arguments."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from wm_mpc.nearest import did_you_mean

_UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, and accepts no abbreviated options.

    Args:
        options: Go to `argparse.ArgumentParser`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Print the error and end the program with code 2.

        Args:
            message: What is wrong.
        """
        if message.startswith(_UNKNOWN):
            word = message.removeprefix(_UNKNOWN).split()[0]
            if word.startswith("-"):
                message += did_you_mean(word.partition("=")[0], self._option_string_actions)
        self.exit(2, f"{self.prog}: {message} (--help explains the options)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            hint = did_you_mean(str(value), names)
            raise argparse.ArgumentError(
                action, f"invalid choice: {value!r}{hint}; accepted: {', '.join(names)}"
            )


def positive(text: str) -> int:
    """An argparse type: an integer above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not above zero")
    return value


def seed(text: str) -> int:
    """An argparse type: an integer, zero or above."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def seeds(text: str) -> list[int]:
    """An argparse type: seeds, separated by commas, each once."""
    try:
        return list(dict.fromkeys(seed(number) for number in text.split(",")))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(
            f"{text!r}; accepted: whole numbers from 0 on, separated by commas"
        ) from None
