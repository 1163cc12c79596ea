"""A pretrained vision transformer as the eyes of a world model: frozen, with a trained head.

The transformer is one of the DINO family (Oquab et al. 2024, arXiv 2304.07193; Siméoni et al. 2025,
arXiv 2508.10104), as the package `transformers` makes it. Its weights come from a folder of the
user and become part of the checkpoint, so nothing is ever downloaded. The head turns its patches
into keypoints, so that the latents mean the same as those of `KeypointEncoder`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wm_mpc.model.encoder import convolution, spatial_softmax
from wm_mpc.spec import ImageSpec, SpecError

KINDS = ("dinov2", "dinov2_with_registers", "dinov3_vit")  # `model_type` in config.json
INSTALL = "install it: pip install 'wm_mpc[vit]', or pip install transformers"
_WEIGHTS = "model.safetensors"
_FINER = 4  # the head's maps have so many rows for a row of patches
# Means and spreads of the pictures that these transformers were trained on (ImageNet).
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Entries of config.json that say nothing about the arithmetic.
_IDLE = ("transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype")


class MissingPackageError(SpecError):
    """The package that makes transformers is not installed."""


def read_description(folder: Path) -> str:
    """Read what a folder says about its transformer.

    Args:
        folder: Folder with `config.json` and `model.safetensors`, as Hugging Face has it.

    Returns:
        The entries of `config.json` that matter, as JSON text, for `architecture.vit`.

    Raises:
        SpecError: The file is missing or damaged, or is not of such a transformer.
    """
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise SpecError(f"{path} is not a table of settings")
    text = json.dumps({k: v for k, v in found.items() if k not in _IDLE}, sort_keys=True)
    described(text)
    return text


def hash_of(folder: Path) -> str:
    """Return a short hash of a transformer: its description and its weights.

    Args:
        folder: As for `read_description`.

    Raises:
        SpecError: A file is missing.
    """
    found = hashlib.sha256(read_description(folder).encode())
    path = folder / _WEIGHTS
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                found.update(part)
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error}") from None
    return found.hexdigest()[:16]


def described(text: str) -> dict[str, Any]:
    """Return the settings of a transformer.

    Args:
        text: As from `read_description`.

    Raises:
        SpecError: The text is no description of a transformer of `KINDS`.
    """
    try:
        found = json.loads(text)
        kind = found["model_type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SpecError("architecture.vit is no description of a vision transformer") from None
    if kind not in KINDS:
        raise SpecError(
            f"the vision transformer is of model_type {str(kind)[:50]!r}; accepted: "
            f"{', '.join(KINDS)}"
        )
    result: dict[str, Any] = found
    return result


def version() -> str:
    """Return the version of `transformers`, which gives the weights their names."""
    return importlib.metadata.version("transformers")


def make(text: str) -> nn.Module:
    """Make a transformer with random weights, frozen.

    Args:
        text: As from `read_description`.

    Raises:
        MissingPackageError: `transformers` is not installed.
        SpecError: The description is not accepted.
    """
    settings = described(text)
    if importlib.util.find_spec("transformers") is None:
        raise MissingPackageError(
            "the encoder is a vision transformer, and the package transformers is missing; "
            f"{INSTALL}"
        )
    from transformers import AutoConfig, AutoModel

    kind = settings.pop("model_type")
    try:
        made: nn.Module = AutoModel.from_config(AutoConfig.for_model(kind, **settings))
        if hasattr(made, "rope_embeddings"):  # it has numbers that no file holds
            with torch.device("cpu"):
                made.rope_embeddings = type(made.rope_embeddings)(made.config)
    except Exception as error:  # a foreign description can cause any error
        raise SpecError(f"the vision transformer cannot be made: {str(error)[:300]}") from None
    return made.eval().requires_grad_(False)


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
        self.vit = make(vit)
        self._patch = int(self.vit.config.patch_size)  # type: ignore[union-attr, arg-type]
        self._grids = [_grid(tile.height, tile.width, patches) for tile in self._tiles]
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

    def take_weights(self, folder: Path) -> None:
        """Take the pretrained weights.

        Args:
            folder: The folder of `read_description`.

        Raises:
            SpecError: They are missing or damaged, or do not fit the description.
        """
        from transformers import AutoModel
        from transformers.utils import logging

        path = folder / _WEIGHTS
        logging.disable_progress_bar()
        try:
            # It knows the names that weights had in older files.
            found, report = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32,
                output_loading_info=True,
            )  # fmt: skip
        except Exception as error:  # several libraries report in their own ways
            raise SpecError(f"{path} cannot be used: {str(error)[:300]}") from None
        for what in ("missing", "unexpected", "mismatched"):
            if names := report[f"{what}_keys"]:
                shown = ", ".join(sorted(map(str, names))[:3])
                raise SpecError(f"{path} does not fit its config.json: {what} {shown}")
        self.vit.load_state_dict(found.state_dict())

    def forward(self, image: Tensor) -> Tensor:
        """Find the keypoints.

        Args:
            image: float (batch, 3, height, width) in [0, 1], joined pictures.

        Returns:
            (batch, 2 K n), the x of every point of every camera, then the y, each in [-1, 1] of
            the picture of its camera.
        """
        found = []
        for head, tile, grid in zip(self.heads, self._tiles, self._grids, strict=True):
            found.append(head(self._patches_of(tile.of_planes(image), grid)).chunk(2, -1))
        return torch.cat([x for x, _ in found] + [y for _, y in found], -1)

    @torch.no_grad()
    def _patches_of(self, image: Tensor, grid: tuple[int, int]) -> Tensor:
        """Features (batch, size, rows, columns) of patches."""
        rows, columns = grid
        wanted = (rows * self._patch, columns * self._patch)
        shape = (1, 3, 1, 1)
        image = interpolate(image, wanted, mode="bilinear", align_corners=False)
        image = (image - image.new_tensor(_MEAN).view(shape)) / image.new_tensor(_SPREAD).view(
            shape
        )
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


def _grid(height: int, width: int, patches: int) -> tuple[int, int]:
    """Rows and columns of patches, near the shape of the picture."""
    scale = patches / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))
