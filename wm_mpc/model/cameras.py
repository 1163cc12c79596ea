"""Encoders and decoders of several cameras, one pair for each camera, on joined pictures.

They have the interfaces of `KeypointEncoder` and `BlobDecoder`, so the rest of a model does not
know how many cameras there are. The keypoints of a camera lie in its own picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.encoder import BlobDecoder, KeypointEncoder, joined_points
from wm_mpc.model.map_encoder import MapDecoder, MapEncoder
from wm_mpc.model.vision_transformer import TransformerEncoder
from wm_mpc.spec import ImageSpec


class CameraEncoders(nn.Module):
    """Maps joined pictures to keypoints, K in the picture of each camera.

    Args:
        image: The joined picture of several cameras.
        sizes: Kind and sizes of each encoder.

    Attributes:
        keypoints: Number of keypoints of all cameras together.
    """

    def __init__(self, image: ImageSpec, sizes: Architecture) -> None:
        super().__init__()
        self._tiles = image.tiles
        self.keypoints = sizes.keypoints * len(self._tiles)
        self.cameras = nn.ModuleList(
            _encoder(tile.height, tile.width, sizes) for tile in self._tiles
        )

    def trained(self) -> list[nn.Parameter]:
        """See `KeypointEncoder.trained`."""
        return list(self.parameters())

    def forward(self, image: Tensor) -> Tensor:
        """Find the keypoints.

        Args:
            image: float (batch, 3, height, width) in [0, 1], joined pictures.

        Returns:
            (batch, 2 K n), the x of every point of every camera, then the y, each in [-1, 1] of
            the picture of its camera.
        """
        pairs = zip(self.cameras, self._tiles, strict=True)
        return joined_points([encoder(tile.of_planes(image)) for encoder, tile in pairs])


class CameraDecoders(nn.Module):
    """Maps keypoints and the robot state to joined pictures.

    Args:
        image: The joined picture of several cameras.
        sizes: Kind and sizes of each decoder.
        state_size: Size of the normalised state.
    """

    def __init__(self, image: ImageSpec, sizes: Architecture, state_size: int) -> None:
        super().__init__()
        self._tiles, self._height = image.tiles, image.height
        self.cameras = nn.ModuleList(
            _decoder(tile.height, tile.width, sizes, state_size) for tile in self._tiles
        )

    def forward(self, points: Tensor, state: Tensor) -> Tensor:
        """Draw joined pictures.

        Args:
            points: (batch, 2 K n), as from `CameraEncoders`.
            state: Normalised states, (batch, state size).

        Returns:
            float (batch, 3, height, width), about in [0, 1]; 0 below a lower picture.
        """
        count = len(self._tiles)
        x, y = (part.chunk(count, -1) for part in points.chunk(2, -1))
        drawn = [
            decoder(torch.cat([x[place], y[place]], -1), state)
            for place, decoder in enumerate(self.cameras)
        ]
        return self._joined(drawn)

    def _joined(self, pictures: Sequence[Tensor]) -> Tensor:
        below = [(0, 0, 0, self._height - picture.shape[-2]) for picture in pictures]
        return torch.cat([pad(*each) for each in zip(pictures, below, strict=True)], -1)

    @property
    def _blobs(self) -> list[BlobDecoder]:
        return [decoder for decoder in self.cameras if isinstance(decoder, BlobDecoder)]

    def still(self) -> Tensor:
        """See `BlobDecoder.still`; as `forward` joins pictures."""
        return self._joined([decoder.still() for decoder in self._blobs])

    @torch.no_grad()
    def set_background(self, pictures: Tensor) -> None:
        """See `BlobDecoder.set_background`."""
        for decoder, tile in zip(self._blobs, self._tiles, strict=True):
            decoder.set_background(tile.of_planes(pictures))


def encoder_of(
    image: ImageSpec, sizes: Architecture
) -> KeypointEncoder | MapEncoder | CameraEncoders | TransformerEncoder:
    """Make the encoder of a robot's picture.

    Args:
        image: The picture of one camera, or the joined picture of several.
        sizes: Kind and sizes of the encoder.

    Raises:
        SpecError: The vision transformer cannot be made.
    """
    if sizes.encoder == "vit":
        return TransformerEncoder(
            image, sizes.keypoints, sizes.encoder_width, sizes.vit, sizes.vit_patches
        )
    if image.cameras:
        return CameraEncoders(image, sizes)
    return _encoder(image.height, image.width, sizes)


def decoder_of(
    image: ImageSpec, sizes: Architecture, state_size: int
) -> BlobDecoder | CameraDecoders:
    """Make the decoder of a robot's picture.

    Args:
        image: As for `encoder_of`.
        sizes: Kind and sizes of the decoder.
        state_size: Size of the normalised state.
    """
    if image.cameras:
        return CameraDecoders(image, sizes, state_size)
    return _decoder(image.height, image.width, sizes, state_size)


def _encoder(height: int, width: int, sizes: Architecture) -> KeypointEncoder | MapEncoder:
    if sizes.encoder == "map":
        return MapEncoder(sizes.keypoints, sizes.encoder_width, height, width)
    return KeypointEncoder(sizes.keypoints, sizes.encoder_width)


def _decoder(height: int, width: int, sizes: Architecture, state_size: int) -> BlobDecoder:
    kind = MapDecoder if sizes.encoder == "map" else BlobDecoder
    return kind(
        sizes.keypoints, state_size, height, width, sizes.decoder_width, sizes.robot_points,
        robot_from_state=sizes.robot_from_state,
    )  # fmt: skip
