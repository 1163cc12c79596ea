"""What pymunk remembers of contacts, as numbers.

The solver of pymunk starts each step from the impulses of the step before, and pushes bodies that
overlap apart. Without both, a restored scene in contact would go on differently. pymunk has no
public way to read and set them, other than pickling a whole space; its functions for that are used
here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_PAIRS = 8  # most pairs of shapes in contact that are remembered
_POINTS = 2  # most points of contact of two convex shapes
_POINT = 4  # numbers of a point: two halves of its hash, two impulses
_PAIR = 8 + _POINTS * _POINT
SIZE = _PAIRS * _PAIR
_HALF = 2**32
_STAMP = 100  # of the steps of a new space; contacts remembered are a few steps older


def read(space: Any, body: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return what is remembered.

    Args:
        space: A `pymunk.Space`.
        body: The moving body whose velocity is asked for.

    Returns:
        The contacts, float64 (SIZE,); and the velocity (x, y, angular) by which the next step
        pushes the body out of what it overlaps, which pymunk keeps apart from its velocity.
    """
    from pymunk._chipmunk_cffi import lib
    from pymunk.arbiter import _arbiter_to_dict

    number = {shape: index for index, shape in enumerate(space.shapes)}
    now = lib.cpSpaceGetTimestamp(space._space)
    found, apart = [], np.zeros(3)
    for arbiter in space._get_arbiters():
        kept = _arbiter_to_dict(arbiter, space)
        age = now - kept["stamp"]
        row = [number[kept["a"]] + 1, number[kept["b"]], age, kept["state"], kept["swapped"]]
        row += [kept["count"], *kept["n"]]
        for point in kept["contacts"][:_POINTS]:
            high, low = divmod(point["hash"], _HALF)
            row += [high, low, point["jnAcc"], point["jtAcc"]]
        found.append(row)
        if age == 0:
            apart += _apart(kept, body)
    pairs = np.zeros((_PAIRS, _PAIR))
    # The youngest first: what exceeds the table matters least.
    for line, row in zip(pairs, sorted(found, key=lambda r: (r[2], r[0], r[1])), strict=False):
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


def write(space: Any, contacts: np.ndarray, step: float) -> None:
    """Let a space that has just been built remember contacts.

    Args:
        space: A `pymunk.Space` with the same shapes in the same order.
        contacts: From `read`.
        step: Length of its steps, s.
    """
    from pymunk._chipmunk_cffi import lib
    from pymunk.arbiter import _arbiter_from_dict

    shapes = list(space.shapes)
    lib.cpSpaceSetTimestamp(space._space, _STAMP)
    lib.cpSpaceSetCurrentTimeStep(space._space, step)
    for row in np.asarray(contacts, np.float64).reshape(_PAIRS, _PAIR):
        if row[0] == 0:
            continue
        points = row[8:].reshape(_POINTS, _POINT)[: int(row[5])]
        kept = {
            "a": shapes[int(row[0]) - 1],
            "b": shapes[int(row[1])],
            "e": 0.0,
            "u": 0.0,
            "surface_vr": (0.0, 0.0),
            "count": int(row[5]),
            "contacts": [_point(*point) for point in points.tolist()],
            "n": tuple(row[6:8].tolist()),
            "swapped": int(row[4]),
            "stamp": _STAMP - int(row[2]),
            "state": int(row[3]),
        }
        lib.cpSpaceAddCachedArbiter(space._space, _arbiter_from_dict(kept, space))


def _point(high: float, low: float, normal: float, tangential: float) -> dict[str, Any]:
    """One point. The solver computes all but its hash and its impulses again."""
    rest = dict.fromkeys(("nMass", "tMass", "bounce", "jBias", "bias"), 0.0)
    arms = {"r1": (0.0, 0.0), "r2": (0.0, 0.0)}
    hashed = int(high) * _HALF + int(low)
    return {**rest, **arms, "hash": hashed, "jnAcc": normal, "jtAcc": tangential}
