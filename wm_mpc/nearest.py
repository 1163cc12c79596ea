"""The name that somebody meant who mistyped it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like a mistyped one; None if none is near.

    Args:
        name: The mistyped name.
        known: Names that exist.
        cutoff: How alike they have to be, from 0 to 1 (`difflib.SequenceMatcher.ratio`).
    """
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], where: str = "", cutoff: float = 0.7) -> str:
    """Return the end of an error, such as "; did you mean wall?"; empty if no name is near.

    Args:
        name: The mistyped name.
        known: Names that exist.
        where: Beginning of all names, for example "planner.".
        cutoff: As for `nearest`.
    """
    near = nearest(name, known, cutoff)
    return f"; did you mean {where}{near}?" if near else ""
