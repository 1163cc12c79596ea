"""The ground plan of `maze`: its walls, its free places, and the way from cell to cell."""

from __future__ import annotations

import functools
from collections import deque

import numpy as np

from wm_mpc.sim.planar import HALF_WIDTH

RADIUS = 0.09  # m; radius of the base
WALL_HALF_THICKNESS = 0.03  # m
CELLS = 4  # along each axis
_CELL = 2 * HALF_WIDTH / CELLS  # m

# The two ends of each wall, m. All walls run along an axis.
WALLS = [
    (np.array(start), np.array(end))
    for start, end in (
        ((-0.5, -1.0), (-0.5, 0.0)),
        ((-0.5, 0.5), (0.0, 0.5)),
        ((0.0, -0.5), (0.0, 0.5)),
        ((0.0, 0.0), (0.5, 0.0)),
        ((0.5, -1.0), (0.5, -0.5)),
        ((0.5, 0.5), (0.5, 1.0)),
    )
]


def is_free(position: np.ndarray) -> bool:
    """Whether a base may stand at a place. It must be 2 cm away from every wall.

    Args:
        position: (2,) m.
    """
    margin = RADIUS + 0.02
    if not np.abs(position).max() <= HALF_WIDTH - margin:  # true for NaN, too
        return False
    for start, end in WALLS:
        low = np.minimum(start, end) - WALL_HALF_THICKNESS - margin
        high = np.maximum(start, end) + WALL_HALF_THICKNESS + margin
        if ((position > low) & (position < high)).all():
            return False
    return True


def cell_of(position: np.ndarray) -> tuple[int, int]:
    """Return column and row of the cell at a place.

    Args:
        position: (2,) m.
    """
    column, row = np.clip(((position + HALF_WIDTH) / _CELL).astype(int), 0, CELLS - 1).tolist()
    return column, row


def centre_of(cell: tuple[int, int]) -> np.ndarray:
    """Return the centre of a cell, (2,) m.

    Args:
        cell: Column and row.
    """
    return (np.array(cell) + 0.5) * _CELL - HALF_WIDTH


def _is_open(one: tuple[int, int], other: tuple[int, int]) -> bool:
    middle = (centre_of(one) + centre_of(other)) / 2
    for start, end in WALLS:
        low, high = np.minimum(start, end) - 1e-6, np.maximum(start, end) + 1e-6
        if ((middle >= low) & (middle <= high)).all():
            return False
    return True


@functools.cache
def way(start: tuple[int, int], end: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Find a shortest way between two cells.

    Args:
        start: Column and row.
        end: Column and row.

    Returns:
        The cells on the way, both ends included.
    """
    came_from: dict[tuple[int, int], tuple[int, int]] = {start: start}
    queue = deque([start])
    while queue:
        cell = queue.popleft()
        if cell == end:
            break
        for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            following = (cell[0] + across, cell[1] + up)
            inside = min(following) >= 0 and max(following) < CELLS
            if inside and following not in came_from and _is_open(cell, following):
                came_from[following] = cell
                queue.append(following)
    cells = [end]
    while cells[-1] != start:
        cells.append(came_from[cells[-1]])
    return tuple(cells[::-1])
