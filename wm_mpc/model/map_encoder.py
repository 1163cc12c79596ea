"""From an image to a code and back, for scenes of many equal things: the map encoder and decoder.

A keypoint follows one thing. In a heap of equal cubes, no cube is a keypoint's own, so keypoints
jump. Here, convolutions make coarse feature maps, and a linear map projects them to a code of
fixed size. Even linear models of such pictures predict heaps that are swept (arXiv
2002.09093). The decoder goes the same way back, and draws the robot from its measured state, as
`BlobDecoder` does. The code has as many numbers as the coordinates of K keypoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wm_mpc.model.encoder import BlobDecoder, convolution

_COARSE = 4  # pixels of the picture for each place of a coarse map
_MAPS = 4  # coarse maps


def _coarse(height: int, width: int) -> tuple[int, int]:
    return -(-height // _COARSE), -(-width // _COARSE)


class MapEncoder(nn.Module):
    """Maps images to codes.

    Args:
        keypoints: Half the numbers of a code, K.
        channels: Channels of the layers, a multiple of 4.
        height: Height of the image, pixels.
        width: Width of the image, pixels.
    """

    def __init__(self, keypoints: int, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.keypoints = keypoints
        self.features = nn.Sequential(
            convolution(3, channels, 5, stride=2),
            convolution(channels, channels, 3),
            convolution(channels, channels, 3, stride=2),
            nn.Conv2d(channels, _MAPS, 1),
        )
        rows, columns = _coarse(height, width)
        self.project = nn.Linear(_MAPS * rows * columns, 2 * keypoints)

    def forward(self, image: Tensor) -> Tensor:
        """Encode images.

        Args:
            image: float (batch, 3, height, width) in [0, 1].

        Returns:
            (batch, 2 K).
        """
        image = image.contiguous(memory_format=torch.channels_last)
        code: Tensor = self.project(self.features(image).flatten(1))
        return code

    def trained(self) -> list[nn.Parameter]:
        """Return the weights that the phase `representation` trains: all."""
        return list(self.parameters())


class MapDecoder(BlobDecoder):
    """Maps codes and the robot state to images; see `BlobDecoder`, which draws the robot.

    Args:
        keypoints: Half the numbers of a code, K.
        state_size: Size of the normalised state.
        height: Height of the image, pixels.
        width: Width of the image, pixels.
        sizes: Channels of the layers and number of blobs for the robot, as for `BlobDecoder`.
        robot_from_state: As for `BlobDecoder`.
    """

    def __init__(
        self, keypoints: int, state_size: int, height: int, width: int, *sizes: int,
        robot_from_state: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(
            _MAPS, state_size, height, width, *sizes, robot_from_state=robot_from_state
        )
        del self.log_sharpness  # of the keypoints' blobs
        self._coarse = _coarse(height, width)
        self.expand = nn.Linear(2 * keypoints, _MAPS * self._coarse[0] * self._coarse[1])

    def scene_maps(self, points: Tensor) -> Tensor:
        """See `BlobDecoder.scene_maps`."""
        maps = self.expand(points).view(-1, _MAPS, *self._coarse)
        maps = interpolate(maps, self.grid, mode="bilinear", align_corners=False)
        return maps.contiguous(memory_format=torch.channels_last)
