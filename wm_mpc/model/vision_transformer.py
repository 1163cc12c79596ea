"""A pretrained vision transformer as the eyes of a world model: frozen, with a trained head.

The transformer is one of the DINO family (Oquab et al. 2024, arXiv 2304.07193; Siméoni et al. 2025,
arXiv 2508.10104), as the package `transformers` makes it. Its weights come from a folder of the
user and become part of the checkpoint, so nothing is ever downloaded. The head turns its patches
into keypoints, so that the latents mean the same as those of `KeypointEncoder`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wm_mpc.model.encoder import convolution, joined_points, spatial_softmax
from wm_mpc.model.tensor_file import LARGEST_FILE
from wm_mpc.model.vit_description import PICTURES, described
from wm_mpc.spec import ImageSpec, SpecError

_INSTALL = "pip install 'wm_mpc[vit]', or pip install 'transformers>=5'"
_WEIGHTS = "model.safetensors"
LEAST_TENSORS = 8  # of a layer of any of these transformers
_FINER = 4  # the head's maps have so many rows for a row of patches
_MOST_PATCHES = 4096  # of one picture


class MissingPackageError(SpecError):
    """The package that makes transformers is not installed, or is too old."""


def version() -> str:
    """Return the version of `transformers`, which gives the weights their names."""
    try:
        return importlib.metadata.version("transformers")
    except importlib.metadata.PackageNotFoundError:
        return "no transformers"


def make(settings: Mapping[str, Any]) -> nn.Module:
    """Make a transformer with random weights, frozen.

    Args:
        settings: Entries of its description, from `described`.

    Raises:
        MissingPackageError: `transformers` cannot be used.
        SpecError: The description is not accepted.
    """
    sizes = {name: value for name, value in settings.items() if name not in PICTURES}
    auto_config, auto_model = _makers()
    try:
        config = auto_config.for_model(**sizes)
        made: nn.Module = auto_model.from_config(config, attn_implementation="sdpa")
        if hasattr(made, "rope_embeddings"):  # it has numbers that no file holds
            with torch.device("cpu"):
                made.rope_embeddings = type(made.rope_embeddings)(made.config)
    except Exception as error:  # sizes that do not fit each other can cause any error
        raise SpecError(f"the vision transformer cannot be made: {str(error)[:300]}") from None
    return made.eval().requires_grad_(False)


def _makers() -> tuple[Any, Any]:
    try:
        from transformers import AutoConfig, AutoModel
    except Exception as error:  # a broken installation can cause any error
        raise MissingPackageError(
            f"the encoder is a vision transformer, and the package transformers cannot be used: "
            f"{str(error)[:200]}; install it: {_INSTALL}"
        ) from None
    if int(version().split(".")[0]) < 5:
        raise MissingPackageError(
            f"the encoder is a vision transformer, and transformers {version()} is too old; "
            f"install it: {_INSTALL}"
        )
    return AutoConfig, AutoModel


class TransformerEncoder(nn.Module):
    """Maps pictures to keypoints, K in the picture of each camera.

    All cameras share the transformer; each has a head of its own.

    Args:
        image: The picture of one camera, or the joined picture of several.
        keypoints: Number of keypoints of each camera, K.
        width: Channels of the head's last layers, a multiple of 4.
        vit: Description of the transformer; see `read_description`.
        patches: Number of patches along the shorter side of a picture.

    Attributes:
        keypoints: Number of keypoints of all cameras together.

    Raises:
        SpecError: As for `make`.
    """

    def __init__(
        self, image: ImageSpec, keypoints: int, width: int, vit: str, patches: int
    ) -> None:
        super().__init__()
        self._tiles = image.tiles
        self.keypoints = keypoints * len(self._tiles)
        self._grids = [_grid(tile.height, tile.width, patches) for tile in self._tiles]
        settings = described(vit)
        self.vit = make(settings)
        self._normalisation = tuple(settings[name] for name in PICTURES)
        self._patch = int(self.vit.config.patch_size)  # type: ignore[union-attr, arg-type]
        size = int(self.vit.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.heads = nn.ModuleList(_Head(size, keypoints, width) for _ in self._tiles)

    def train(self, mode: bool = True) -> TransformerEncoder:
        """Set the mode of the head; the transformer stays in evaluation mode."""
        super().train(mode)
        self.vit.eval()
        return self

    def trained(self) -> list[nn.Parameter]:
        """Return the weights of the heads."""
        return list(self.heads.parameters())

    def hash(self) -> str:
        """Return a short hash of the transformer's weights."""
        found = hashlib.sha256()
        for name, weight in sorted(self.vit.state_dict().items()):
            found.update(name.encode() + weight.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    def take_weights(self, folder: Path) -> None:
        """Take the pretrained weights.

        Args:
            folder: Folder with `model.safetensors`, and with the files of `read_description`.

        Raises:
            SpecError: They are missing or damaged, or do not fit the description.
        """
        path = folder / _WEIGHTS
        if not path.is_file():
            raise SpecError(
                f"there is no {path}; weights in several files, and pytorch_model.bin, are not "
                "accepted: load the folder with transformers, and save it again with "
                "save_pretrained(FOLDER, max_shard_size='2GB')"
            )
        weights = _pretrained(folder, self.vit)
        numbers = sum(weight.numel() for weight in weights.values())
        most = LARGEST_FILE // 8  # four bytes each, and room for the rest of the checkpoint
        if numbers > most:
            raise SpecError(f"{path} has {numbers} weights; accepted: at most {most}")
        if not all(torch.isfinite(weight).all() for weight in weights.values()):
            raise SpecError(f"{path} has weights that are not finite")
        self.vit.load_state_dict(weights)
        picture = torch.zeros(1, 3, self._tiles[0].height, self._tiles[0].width)
        try:
            features = self._patches_of(picture, self._grids[0])
        except Exception as error:  # whatever the sizes cause
            raise SpecError(f"{path} cannot be used: {str(error)[:300]}") from None
        if not torch.isfinite(features).all():
            raise SpecError(f"{path} gives features that are not finite")

    def forward(self, image: Tensor) -> Tensor:
        """Find the keypoints.

        Args:
            image: float (batch, 3, height, width) in [0, 1], joined pictures.

        Returns:
            (batch, 2 K n), the x of every point of every camera, then the y, each in [-1, 1] of
            the picture of its camera.
        """
        parts = zip(self.heads, self._tiles, self._grids, strict=True)
        return joined_points(
            [head(self._patches_of(tile.of_planes(image), grid)) for head, tile, grid in parts]
        )

    @torch.no_grad()
    def _patches_of(self, image: Tensor, grid: tuple[int, int]) -> Tensor:
        """Features (batch, size, rows, columns) of patches."""
        rows, columns = grid
        wanted = (rows * self._patch, columns * self._patch)
        # Filled, not copied from the host, which no captured graph allows.
        mean, spread = (
            torch.cat([image.new_full((1, 1, 1, 1), value) for value in part], 1)
            for part in self._normalisation
        )
        image = interpolate(image, wanted, mode="bilinear", align_corners=False)
        image = (image - mean) / spread
        tokens: Tensor = self.vit(image).last_hidden_state
        places = tokens[:, -rows * columns :]  # before them: class and registers
        return places.transpose(1, 2).unflatten(2, grid)


class _Head(nn.Module):
    """Maps features of patches to K keypoints."""

    def __init__(self, size: int, keypoints: int, width: int) -> None:
        super().__init__()
        self.near = nn.Sequential(convolution(size, 4 * width, 1), convolution(4 * width, width, 3))
        self.far = nn.Sequential(
            convolution(width, width, 3),
            convolution(width, width, 3, dilation=2),
            nn.Conv2d(width, keypoints, 1),
        )
        self.log_temperature = nn.Parameter(torch.zeros(()))

    def forward(self, patches: Tensor) -> Tensor:
        features = interpolate(
            self.near(patches), scale_factor=_FINER, mode="bilinear", align_corners=False
        )
        return spatial_softmax(self.far(features) * self.log_temperature.exp())


def _pretrained(folder: Path, like: nn.Module) -> dict[str, Tensor]:
    """Read the weights of a transformer, whatever their names were in older files.

    Args:
        folder: As for `TransformerEncoder.take_weights`.
        like: A transformer of the same description.

    Returns:
        Weights by name, float32.

    Raises:
        SpecError: They are damaged, or do not fit.
    """
    from transformers.utils import logging

    path = folder / _WEIGHTS
    logging.disable_progress_bar()
    try:
        found, report = type(like).from_pretrained(  # type: ignore[attr-defined]
            folder, config=like.config, local_files_only=True, use_safetensors=True,
            dtype=torch.float32, attn_implementation="sdpa", output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # several libraries report in their own ways
        raise SpecError(f"{path} cannot be used: {str(error)[:300]}") from None
    for what in ("missing", "unexpected", "mismatched"):
        if names := report[f"{what}_keys"]:
            shown = ", ".join(sorted(map(str, names))[:3])
            raise SpecError(f"{path} does not fit its config.json: {what} {shown}")
    weights: dict[str, Tensor] = found.state_dict()
    return weights


def _grid(height: int, width: int, patches: int) -> tuple[int, int]:
    """Rows and columns of patches, near the shape of the picture.

    Raises SpecError if there are too many.
    """
    scale = patches / min(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    if rows * columns > _MOST_PATCHES:
        most = math.isqrt(_MOST_PATCHES * min(height, width) // max(height, width))
        raise SpecError(
            f"architecture.vit_patches is {patches}, which means {rows} x {columns} patches; "
            f"accepted for a picture of {height} x {width}: at most {max(1, most)}"
        )
    return rows, columns
