"""Short texts for what is wrong with many files or episodes of a LeRobot dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SAID = 5  # reasons of one sort that are said one by one


def few(reasons: Sequence[str], more: str) -> list[str]:
    """Return the first reasons, and how many there are beside them.

    Args:
        reasons: A sentence each.
        more: What the others are, such as "files cannot be read".
    """
    if len(reasons) <= _SAID + 1:
        return list(reasons)
    return [*reasons[:_SAID], f"{len(reasons) - _SAID} more {more}"]


def spans(numbers: Iterable[int]) -> str:
    """Return numbers as text, such as "0 to 4, 7".

    Args:
        numbers: In any order.
    """
    ends: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ends and number == ends[-1][1] + 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in ends)


def short(error: BaseException) -> str:
    """Return the first line of an error.

    Args:
        error: The error.
    """
    return (str(error) or type(error).__name__).splitlines()[0]
