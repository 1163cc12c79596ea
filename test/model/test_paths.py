"""Where predicted paths are drawn."""

from __future__ import annotations

import numpy as np
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.paths import ABOVE_FLOOR, in_space, paths, places
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.tasks.wall import Wall


def test_things_are_found_by_their_axes():
    assert places(("x", "y")) == {"": [0, 1]}
    assert places(("block_x", "block_y", "block_cos", "tip_x", "tip_y", "tip_z")) == {
        "block_": [0, 1],
        "tip_": [3, 4, 5],
    }
    assert places(("angle", "x")) == {}


def test_what_has_no_height_is_drawn_a_little_above_the_floor():
    flat, solid = np.ones((4, 2)), np.ones((4, 3))
    assert in_space(flat)[:, 2].tolist() == [ABOVE_FLOOR] * 4
    assert in_space(solid) is solid


def test_paths_are_the_read_out_poses_in_space():
    names = ("tip_x", "tip_y", "tip_z", "x", "y")
    model = WorldModel(Wall.spec, Architecture(3, hidden=8, pose_names=names))
    model.pose_weight.normal_()
    latents = torch.randn(5, model.latent_size)
    pose = model.read_pose(latents).numpy()
    found = paths(model, latents)
    np.testing.assert_array_equal(found["tip_"], pose[:, :3])
    np.testing.assert_array_equal(found[""][:, :2], pose[:, 3:])
