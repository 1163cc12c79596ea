"""The name that somebody meant who mistyped it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], where: str = "") -> str:
    """Return the end of an error, such as "; did you mean wall?"; empty if no name is near.

    Args:
        name: The mistyped name.
        known: Names that exist.
        where: Beginning of all names, for example "planner.".
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {where}{near[0]}?" if near else ""
