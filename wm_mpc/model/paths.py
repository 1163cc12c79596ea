"""Where latents lie in the world, for pictures: poses as points in space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from wm_mpc.model.world_model import WorldModel

ABOVE_FLOOR = 0.05  # m; height at which a path on the floor is drawn


def places(names: Sequence[str]) -> dict[str, list[int]]:
    """Find the columns of x, y and (if there is one) z of each thing in a pose.

    For example, ("tip_x", "tip_y", "tip_z") gives {"tip_": [0, 1, 2]}, and ("x", "y") gives {"":
    [0, 1]}.

    Args:
        names: Names of the numbers of a pose.

    Returns:
        Columns by thing.
    """
    found = {}
    for name in names:
        thing = name[:-1]
        if name.endswith("x") and f"{thing}y" in names:
            axes = [f"{thing}{axis}" for axis in "xyz"]
            found[thing] = [names.index(axis) for axis in axes if axis in names]
    return found


def in_space(points: np.ndarray) -> np.ndarray:
    """Turn points into points in space.

    Args:
        points: (n, 2) on the floor, or (n, 3), m.

    Returns:
        (n, 3), m. Points on the floor are lifted a little.
    """
    if points.shape[1] == 3:
        return points
    return np.column_stack([points, np.full(len(points), ABOVE_FLOOR)])


def paths(model: WorldModel, latents: Tensor) -> dict[str, np.ndarray]:
    """Read the path of each thing out of latents.

    Args:
        model: The world model.
        latents: (n, latent size).

    Returns:
        The path (n, 3), m, by thing.
    """
    poses = model.read_pose(latents).detach().numpy()
    things = places(model.architecture.pose_names)
    return {thing: in_space(poses[:, columns]) for thing, columns in things.items()}
