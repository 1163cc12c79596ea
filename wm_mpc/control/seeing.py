"""Tell the light of a room from what the model does not know, in each picture.

The controller plans from pictures with the light taken out, so that a lamp does not move what the
model sees. The guard (`control/surprise.py`) counts only what the light does not explain.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wm_mpc.model.lighting import Light, Lighting
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_vision


class Seeing:
    """Compares pictures with their reconstructions by one model. Not thread-safe.

    Args:
        model: The world model.
    """

    def __init__(self, model: WorldModel) -> None:
        self._model = model
        self._lighting = Lighting(model.spec.image.height, model.spec.image.width)

    @property
    def knows_light(self) -> bool:
        """Whether the checkpoint says how much light usually leaves unexplained."""
        usual = self._model.familiarity
        return usual is not None and usual.unexplained > 0.0

    @torch.no_grad()
    def compare(self, image: np.ndarray, latent: Tensor) -> tuple[Light, float]:
        """Find the light of a picture, and what it does not explain.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            latent: Its latent, (latent size,).

        Returns:
            The light, and `Lighting.unexplained`.
        """
        vision = native_vision(self._model)
        if vision is None:
            drawn = self._model.decode(latent[None])[0].permute(1, 2, 0).contiguous()
        else:
            drawn = vision.redraw(latent)
        known = drawn.numpy()
        light = self._lighting.fit(image, known)
        return light, self._lighting.unexplained(image, known, light)
