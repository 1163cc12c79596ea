"""The embedding: coordinates in which a planner measures how far a scene is from a goal."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_WIDTH = 64


def diagonal(rows: int, columns: int, value: float = 1.0) -> Tensor:
    """Return a matrix (rows, columns) of a value on its diagonal and zeros elsewhere.

    On the device "meta", `torch.eye` and products are Python code that imports TorchDynamo and
    SymPy: one more second before a program that loads a checkpoint can plan.
    """
    matrix = torch.zeros(rows, columns)
    matrix.diagonal().fill_(value)
    return matrix


class TemporalEmbedding(nn.Module):
    """Maps the scene part of a latent to the embedding. Near means: soon reached from each other.

    `training/temporal.py` trains it. Before training, it returns the first coordinates of the
    scene.

    Args:
        scene_size: Size of the scene part of a latent.
        size: Number of coordinates.

    Attributes:
        scale: Buffer. It makes the mean squared distance of two random recorded frames of one
            layout 1.
    """

    scale: Tensor

    def __init__(self, scene_size: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(scene_size, size)
        self.curved = nn.Sequential(
            nn.Linear(scene_size, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, size),
        )  # fmt: skip
        last = self.curved[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            self.linear.weight.copy_(diagonal(size, scene_size))
            self.linear.bias.zero_()
            last.weight.zero_()
            last.bias.zero_()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, scene: Tensor) -> Tensor:
        """Embed scenes.

        Args:
            scene: (..., scene size).

        Returns:
            (..., size).
        """
        embedded: Tensor = self.scale * (self.linear(scene) + self.curved(scene))
        return embedded

    @torch.no_grad()
    def normalise(self, scene: Tensor, layout: Tensor) -> None:
        """Set the scale from recorded frames.

        Args:
            scene: Scene parts of their latents, (frames, scene size).
            layout: Number of the layout of each frame, int64 (frames,).
        """
        self.scale.fill_(1.0)
        embedded = self(scene)
        totals = embedded.new_zeros(int(layout.max()) + 1, embedded.shape[1])
        totals.index_add_(0, layout, embedded)
        middle = totals / layout.bincount()[:, None]
        spread = (embedded - middle[layout]).square().sum(1).mean()
        self.scale.copy_((2.0 * spread).clamp_min(1e-12).rsqrt())
