"""Types of command-line arguments that several programs share."""

from __future__ import annotations

import argparse


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
