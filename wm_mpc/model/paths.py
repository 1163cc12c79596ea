"""Where latents lie in the world, for pictures: the read-out of a pose as points in space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from wm_mpc.model.world_model import WorldModel

ABOVE_FLOOR = 0.05  # m, where paths of what moves on the floor are drawn


def places(names: Sequence[str]) -> dict[str, list[int]]:
    """Things by name, and where their x, y and, where there is one, z stand in a pose: ("tip_x",
    "tip_y", "tip_z") has {"tip_": [0, 1, 2]}, ("x", "y") has {"": [0, 1]}."""
    found = {}
    for name in names:
        thing = name[:-1]
        if name.endswith("x") and f"{thing}y" in names:
            axes = [f"{thing}{axis}" for axis in "xyz"]
            found[thing] = [names.index(axis) for axis in axes if axis in names]
    return found


def in_space(points: np.ndarray) -> np.ndarray:
    """(n, 2) on the floor -> (n, 3), a little above it; (n, 3) as they are."""
    if points.shape[1] == 3:
        return points
    return np.column_stack([points, np.full(len(points), ABOVE_FLOOR)])


def paths(model: WorldModel, latents: Tensor) -> dict[str, np.ndarray]:
    """Latents (n, latent size) -> the path (n, 3), m, of each thing whose pose the model reads."""
    poses = model.read_pose(latents).detach().numpy()
    things = places(model.architecture.pose_names)
    return {thing: in_space(poses[:, columns]) for thing, columns in things.items()}
