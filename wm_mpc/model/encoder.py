"""From an image to keypoints and back: the keypoint encoder and the blob decoder.

The encoder finds K points by a spatial softmax over learned feature maps (Finn et al. 2016, arXiv
1509.06113). The decoder must redraw the image from Gaussian blobs at these points and from a
learned static background (after Jakab et al. 2018, arXiv 1806.07823). Because the image must be
redrawn, the representation cannot collapse, and needs no labels. Because it consists of
coordinates, it is metric: the distance of latents grows with the true distance, and a planner
descends on it. The decoder also gets the measured robot state, and draws the robot from it. So the
points are free for the rest of the scene.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def convolution(
    inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Make a convolution with padding, normalisation and activation.

    Args:
        inputs: Channels that go in.
        outputs: Channels that come out, a multiple of 4.
        size: Rows and columns of the kernel.
        stride: Pixels from one place of the kernel to the next.
        dilation: Pixels from one number of the kernel to the next.
    """
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding, dilation),
        nn.GroupNorm(4, outputs),
        nn.SiLU(),
    )


class KeypointEncoder(nn.Module):
    """Maps images to K keypoints.

    Args:
        keypoints: Number of keypoints, K.
        width: Channels of the layers, a multiple of 4.
    """

    def __init__(self, keypoints: int = 8, width: int = 16) -> None:
        super().__init__()
        self.keypoints = keypoints
        self.features = nn.Sequential(
            convolution(3, width, 5, stride=2),
            convolution(width, width, 3),
            convolution(width, width, 3, dilation=2),
            convolution(width, width, 3, dilation=4),
            nn.Conv2d(width, keypoints, 1),
        )
        self.log_temperature = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        # Channels last gives the same numbers in half the time on a CPU.
        """Find the keypoints.

        Args:
            image: float (batch, 3, height, width) in [0, 1].

        Returns:
            (batch, 2 K), the x of every point, then the y, in [-1, 1] from the left and from the
            top.
        """
        image = image.contiguous(memory_format=torch.channels_last)
        return spatial_softmax(self.features(image) * self.log_temperature.exp())

    def trained(self) -> list[nn.Parameter]:
        """Return the weights that the phase `representation` trains: all."""
        return list(self.parameters())


def spatial_softmax(maps: Tensor) -> Tensor:
    """Find the mean place of each map, weighed by its softmax.

    Args:
        maps: (batch, K, rows, columns).

    Returns:
        (batch, 2 K), the x of every map, then the y, in [-1, 1] from the left and from the top.
    """
    batch, points, rows, columns = maps.shape
    weights = maps.flatten(2).softmax(-1).view(batch, points, rows, columns)
    x = (weights.sum(2) * _axis(columns, maps)).sum(-1)
    y = (weights.sum(3) * _axis(rows, maps)).sum(-1)
    return torch.cat([x, y], -1)


def joined_points(cameras: Sequence[Tensor]) -> Tensor:
    """Join the points of several cameras.

    Args:
        cameras: (batch, 2 K) of each, as from `spatial_softmax`.

    Returns:
        (batch, 2 K n), the x of every point of every camera, then the y.
    """
    pairs = [points.chunk(2, -1) for points in cameras]
    return torch.cat([x for x, _ in pairs] + [y for _, y in pairs], -1)


class BlobDecoder(nn.Module):
    """Maps K keypoints and the robot state to images.

    Blobs are drawn on a grid of half the resolution. The blobs of the scene and those of the robot
    are on different maps. A network places the robot's blobs from the state. A learned static map
    of the scene joins them.

    Args:
        keypoints: Number of keypoints, K.
        state_size: Size of the normalised state.
        height: Height of the image, pixels.
        width: Width of the image, pixels.
        channels: Channels of the layers, a multiple of 4.
        robot_points: Number of blobs for the robot.
        robot_from_state: Whether to draw the robot from the state. If not, the state is not used,
            and the keypoints must see the robot, too.
    """

    def __init__(
        self,
        keypoints: int,
        state_size: int,
        height: int,
        width: int,
        channels: int = 16,
        robot_points: int = 8,
        *,
        robot_from_state: bool = True,
    ) -> None:
        super().__init__()
        self._sees_state = robot_from_state
        self.grid = ((height + 1) // 2, (width + 1) // 2)
        # Blobs are wide at first, so that distant things attract a point, too.
        self.log_sharpness = nn.Parameter(torch.full((keypoints,), 3.0))
        self.robot_log_sharpness = nn.Parameter(torch.full((robot_points,), 3.0))
        self.static = nn.Parameter(torch.zeros(1, 8, *self.grid))
        self.background = nn.Parameter(torch.full((1, 3, height, width), 0.5))
        with warnings.catch_warnings():  # PyTorch warns about a robot without a state
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")
            first = nn.Linear(state_size, 64)
        if not robot_from_state:
            nn.init.zeros_(first.weight)  # it stays zero, because it never gets a gradient
        self.robot = nn.Sequential(
            first, nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2 * robot_points)
        )
        self.draw_scene = _drawing(keypoints, channels)
        self.draw_robot = _drawing(robot_points + 8, channels)
        self.join = nn.Sequential(
            convolution(2 * channels, 2 * channels, 1),
            nn.Conv2d(2 * channels, 12, 1),
            nn.PixelShuffle(2),
        )

    def forward(self, points: Tensor, state: Tensor) -> Tensor:
        """Draw images.

        Args:
            points: (batch, 2 K), as from `KeypointEncoder`.
            state: Normalised states, (batch, state size).

        Returns:
            float (batch, 3, height, width), about in [0, 1].
        """
        scene = self.scene_maps(points)
        state = state if self._sees_state else torch.zeros_like(state)
        robot = self._blobs(self.robot(state), self.robot_log_sharpness)
        static = self.static.expand(len(points), -1, -1, -1)
        drawn = self.join(
            torch.cat([self.draw_scene(scene), self.draw_robot(torch.cat([robot, static], 1))], 1)
        )
        height, width = self.background.shape[-2:]
        return self.background + drawn[..., :height, :width]

    def scene_maps(self, points: Tensor) -> Tensor:
        """Return the maps of the scene without the robot: one Gaussian blob for each keypoint.

        Args:
            points: (batch, 2 K), as from the encoder.

        Returns:
            (batch, maps, rows, columns) on the grid of half the resolution.
        """
        return self._blobs(points, self.log_sharpness)

    def still(self) -> Tensor:
        """Return the learned background, (1, 3, height, width), about in [0, 1]."""
        return self.background.detach()

    @torch.no_grad()
    def set_background(self, picture: Tensor) -> None:
        """Set the learned background.

        Args:
            picture: float (1, 3, height, width) in [0, 1].
        """
        self.background.copy_(picture)

    def _blobs(self, points: Tensor, log_sharpness: Tensor) -> Tensor:
        """Maps (batch, K, rows, columns) with one Gaussian blob each, from points (batch, 2 K)."""
        x, y = points.chunk(2, -1)
        rows, columns = self.grid
        sharpness = log_sharpness.exp()[:, None]
        along_x = torch.exp(-sharpness * (_axis(columns, points) - x[..., None]) ** 2)
        along_y = torch.exp(-sharpness * (_axis(rows, points) - y[..., None]) ** 2)
        blobs = along_y[..., :, None] * along_x[..., None, :]
        return blobs.contiguous(memory_format=torch.channels_last)


def _drawing(inputs: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        convolution(inputs, channels, 3),
        convolution(channels, channels, 3, dilation=2),
        convolution(channels, channels, 3),
    )


def _axis(size: int, like: Tensor) -> Tensor:
    """Pixel centres of a row, in [-1, 1]."""
    step = 2.0 / size
    return torch.arange(size, device=like.device, dtype=like.dtype) * step + (step / 2 - 1)
