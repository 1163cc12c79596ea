"""Keypoints are pulled to what moves, and know how far away it is."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.spec import Tile
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.motion import distance_to_motion, share_on_motion
from wm_mpc.training.phases.phase import PhaseInputs
from wm_mpc.training.phases.representation import RepresentationPhase
from wm_mpc.training.preparation import new_model, split_episodes

SIZE = 64
ONE = (Tile("", SIZE, SIZE, 0),)
MEAN = torch.zeros(3, SIZE, SIZE)


def pictures(*spots):
    """Black pictures with one white square of 6 pixels each, from (row, column)."""
    made = torch.zeros(len(spots), 3, SIZE, SIZE)
    for picture, spot in zip(made, spots, strict=True):
        if spot is not None:
            row, column = spot
            picture[:, row : row + 6, column : column + 6] = 1.0
    return made


def points(*pairs):
    """Keypoints (1, 2 K) at these (x, y)."""
    x, y = zip(*pairs, strict=True)
    return torch.tensor([[*x, *y]])


def test_distance_is_that_of_the_nearest_moving_pixel():
    images = pictures((30, 10))  # the moving area reaches to column 17, 2 pixels beside the square
    on_it = 2 * 12.5 / SIZE - 1, 2 * 32.5 / SIZE - 1
    beside = 2 * 47.5 / SIZE - 1, 2 * 32.5 / SIZE - 1  # 30 columns to the right of the area
    assert distance_to_motion(points(on_it), images, MEAN, ONE) == 0.0
    found = float(distance_to_motion(points(beside), images, MEAN, ONE))
    assert found == pytest.approx(2 * 30 / SIZE, rel=0.05)
    both = float(distance_to_motion(points(on_it, beside), images, MEAN, ONE))
    assert both == pytest.approx(found / 2)


@pytest.mark.parametrize("start", [(-0.9, -0.9), (0.8, -0.2), (0.0, 0.95)])
def test_descent_brings_a_point_to_what_moves(start):
    images = pictures((40, 44))
    point = points(start).requires_grad_()
    assert share_on_motion(point.detach(), images, MEAN, ONE) == 0.0
    descent = torch.optim.SGD([point], lr=0.05)
    for _ in range(100):
        descent.zero_grad()
        distance_to_motion(point, images, MEAN, ONE).backward()
        descent.step()
    assert share_on_motion(point.detach(), images, MEAN, ONE) == 1.0


def test_pictures_in_which_nothing_moves_pull_nowhere():
    point = points((0.3, 0.3)).requires_grad_()
    far = distance_to_motion(point, pictures(None), MEAN, ONE)
    far.backward()
    assert far == 0.0
    assert point.grad.abs().max() == 0.0


def test_points_of_a_camera_are_measured_in_its_own_picture():
    tiles = Tile("left", SIZE, 32, 0), Tile("right", SIZE, 32, 32)
    images = pictures((30, 40))  # only in the picture on the right, at its column 8
    there = 2 * 11 / 32 - 1, 2 * 33 / SIZE - 1
    own = points((0.0, 0.0), there)  # the first point is that of the camera on the left
    assert distance_to_motion(own, images, MEAN, tiles) == 0.0
    assert share_on_motion(own, images, MEAN, tiles) == 0.5


def test_a_representation_trains_with_it_and_a_run_without_it_is_that_of_older_versions(
    brief_recording,
):
    images = np.zeros_like(brief_recording.images)
    images[::2, 2:6, 2:6] = 255  # in a corner, while untrained keypoints are in the middle
    recording = copy.copy(brief_recording)
    recording.images = images
    config = dataclasses.replace(TrainConfig(), representation_batch=4)
    episodes, _ = split_episodes(recording, config)
    terms = {}
    for weight in (0.0, 0.5):
        changed = dataclasses.replace(config, motion_weight=weight)
        model = new_model(recording, changed, episodes)
        phase = RepresentationPhase(PhaseInputs(model, recording, changed, episodes))
        terms[weight] = phase.forward(*phase.batch(np.random.default_rng(0)))
    assert "still_points" not in terms[0.0]
    assert terms[0.5]["still_points"] > 0.0
    assert terms[0.5]["reconstruction"] == terms[0.0]["reconstruction"]
    assert "motion_weight" not in config.representation_settings()
    assert dataclasses.replace(config, motion_weight=0.5).representation_settings()[
        "motion_weight"
    ] == pytest.approx(0.5)
