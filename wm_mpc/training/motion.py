"""Where a picture differs from the mean picture, and how far keypoints are from there.

A keypoint on something that never moves says nothing. So the phase `representation` may pull such
keypoints to the nearest pixel that moves (`motion_weight`). It needs no labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d

from wm_mpc.spec import Tile

_MOVES = 0.06  # of the way from black to white: a pixel that far from the mean picture is moving
_BESIDE = 2  # pixels; a keypoint that near is on a moving pixel


def moving(images: Tensor, mean: Tensor) -> Tensor:
    """Find the pixels that move.

    Args:
        images: float (batch, 3, height, width) in [0, 1].
        mean: Mean picture, of a shape that broadcasts to `images`.

    Returns:
        float (batch, height, width): 1 for a pixel that differs from the mean picture, or is at
        most 2 pixels beside one; else 0.
    """
    differs = ((images - mean).abs().mean(1, keepdim=True) > _MOVES).float()
    return max_pool2d(differs, 2 * _BESIDE + 1, stride=1, padding=_BESIDE)[:, 0]


def points_of(points: Tensor, tiles: Sequence[Tile]) -> list[Tensor]:
    """Split keypoints by camera.

    Args:
        points: (batch, 2 K), the x of every point, then the y.
        tiles: Where the picture of each camera is.

    Returns:
        (batch, 2 k) of each camera, k = K / cameras.
    """
    x, y = (part.chunk(len(tiles), -1) for part in points.chunk(2, -1))
    return [torch.cat(pair, -1) for pair in zip(x, y, strict=True)]


def share_on_motion(points: Tensor, images: Tensor, mean: Tensor, tiles: Sequence[Tile]) -> float:
    """Measure how many keypoints are on moving pixels; those of a camera lie in its own picture.

    Args:
        points: (batch, 2 K) in [-1, 1], as from the encoder.
        images: float (batch, 3, height, width) in [0, 1].
        mean: Mean picture, of a shape that broadcasts to `images`.
        tiles: Where the picture of each camera is.

    Returns:
        The share, 0 to 1.
    """
    shares = []
    for own, tile in zip(points_of(points, tiles), tiles, strict=True):
        moves = moving(tile.of_planes(images), tile.of_planes(mean))
        height, width = moves.shape[-2:]
        x, y = own.chunk(2, -1)
        column = ((x + 1.0) / 2.0 * width).long().clamp(0, width - 1)
        row = ((y + 1.0) / 2.0 * height).long().clamp(0, height - 1)
        every = torch.arange(len(moves), device=moves.device)[:, None]
        shares.append(float(moves[every, row, column].mean()))
    return sum(shares) / len(shares)


def distance_to_motion(
    points: Tensor, images: Tensor, mean: Tensor, tiles: Sequence[Tile]
) -> Tensor:
    """Mean distance of the keypoints from the nearest moving pixel, with a gradient.

    Args:
        points: (batch, 2 K) in [-1, 1], as from the encoder.
        images: float (batch, 3, height, width) in [0, 1], clean.
        mean: Mean picture, of a shape that broadcasts to `images`.
        tiles: Where the picture of each camera is.

    Returns:
        A number in half picture heights: 0 if all keypoints are on moving pixels. Pictures in which
        nothing moves count as 0.
    """
    sums = []
    for own, tile in zip(points_of(points, tiles), tiles, strict=True):
        moves = moving(tile.of_planes(images), tile.of_planes(mean))
        far = _distances(moves.cpu().numpy()).to(points.device) * (2.0 / tile.height)
        x, y = own.chunk(2, -1)
        places = torch.stack([x, y], -1)[:, :, None]  # (batch, k, 1, 2)
        sums.append(
            grid_sample(far[:, None], places, padding_mode="border", align_corners=False).mean()
        )
    return torch.stack(sums).mean()


def _distances(moves: np.ndarray) -> Tensor:
    """Distance of each pixel from the nearest one that moves, pixels; 0 where none moves."""
    still = (moves < 0.5).astype(np.uint8)
    far = [
        cv2.distanceTransform(each, cv2.DIST_L2, 3) if not each.all() else np.zeros_like(each)
        for each in still
    ]
    return torch.from_numpy(np.stack(far).astype(np.float32))
