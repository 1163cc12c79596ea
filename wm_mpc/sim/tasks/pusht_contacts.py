"""Contacts of pymunk as numbers: what a picture shows of them, and what they do next.

The environment draws the present points of contact. And bodies that overlap are pushed apart in the
next step by a velocity that pymunk keeps from sight. pymunk has no public way to read and set both,
other than pickling a whole space; its functions for that are used here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_PAIRS = 6  # most pairs of shapes in contact that are kept
_POINTS = 2  # most points of contact of two convex shapes
_ARMS = ("r1", "r2")  # from each of two bodies to the point
_PAIR = 5 + _POINTS * 2 * len(_ARMS)
SIZE = _PAIRS * _PAIR
_STAMP = 1  # step of a restored space
_TOUCHING = 1  # state of a pair that touched in the step before, too


def read(space: Any, body: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the present contacts.

    Args:
        space: A `pymunk.Space`.
        body: The moving body whose velocity is asked for.

    Returns:
        The contacts, float64 (SIZE,); and the velocity (x, y, angular) by which the next step
        pushes the body out of what it overlaps.
    """
    from pymunk._chipmunk_cffi import lib
    from pymunk.arbiter import _arbiter_to_dict

    number = {shape: index for index, shape in enumerate(space.shapes)}
    now = lib.cpSpaceGetTimestamp(space._space)
    found, apart = [], np.zeros(3)
    for arbiter in space._get_arbiters():
        kept = _arbiter_to_dict(arbiter, space)
        if kept["stamp"] != now:  # touched some steps ago
            continue
        row = [number[kept["a"]] + 1, number[kept["b"]], kept["count"], *kept["n"]]
        for point in kept["contacts"][:_POINTS]:
            row += [value for arm in _ARMS for value in point[arm]]
        found.append(row)
        apart += _apart(kept, body)
    pairs = np.zeros((_PAIRS, _PAIR))
    for line, row in zip(pairs, sorted(found), strict=False):
        line[: len(row)] = row
    return pairs.reshape(-1), apart


def _apart(kept: dict[str, Any], body: Any) -> np.ndarray:
    """By how much one pair changes the velocity that pushes a body out."""
    total = np.zeros(3)
    for side, arm, sign in (("a", "r1", -1.0), ("b", "r2", 1.0)):
        if kept[side].body is not body:
            continue
        for point in kept["contacts"]:
            x, y = (sign * point["jBias"] * n for n in kept["n"])
            turning = point[arm][0] * y - point[arm][1] * x
            total += (x / body.mass, y / body.mass, turning / body.moment)
    return total


def write(space: Any, contacts: np.ndarray) -> None:
    """Give contacts to a space that has just been built.

    Args:
        space: A `pymunk.Space` with the same shapes in the same order.
        contacts: From `read`.
    """
    from pymunk._chipmunk_cffi import lib
    from pymunk.arbiter import _arbiter_from_dict

    shapes = list(space.shapes)
    lib.cpSpaceSetTimestamp(space._space, _STAMP)
    for row in np.asarray(contacts, np.float64).reshape(_PAIRS, _PAIR).tolist():
        if row[0] == 0:
            continue
        points = np.array(row[5:]).reshape(_POINTS, len(_ARMS), 2)[: int(row[2])].tolist()
        kept = {
            **dict.fromkeys(("e", "u", "swapped"), 0),
            "a": shapes[int(row[0]) - 1],
            "b": shapes[int(row[1])],
            "surface_vr": (0.0, 0.0),
            "count": int(row[2]),
            "contacts": [_point(point) for point in points],
            "n": tuple(row[3:5]),
            "stamp": _STAMP,
            "state": _TOUCHING,
        }
        lib.cpSpaceAddCachedArbiter(space._space, _arbiter_from_dict(kept, space))


def _point(arms: list[list[float]]) -> dict[str, Any]:
    """One point. The solver computes all but its place again."""
    unknown = ("nMass", "tMass", "bounce", "jnAcc", "jtAcc", "jBias", "bias", "hash")
    places = {name: tuple(arm) for name, arm in zip(_ARMS, arms, strict=True)}
    return {**dict.fromkeys(unknown, 0), **places}
