"""Tell the light of a room from what the model does not know, in each picture.

The controller plans from pictures with the light taken out, so that a lamp does not move what the
model sees. The guard (`control/surprise.py`) counts only what the light does not explain.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wm_mpc.model.lighting import CameraLighting, Light
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_vision


class Seeing:
    """Compares pictures with their reconstructions by one model. Not thread-safe.

    Args:
        model: The world model.
    """

    def __init__(self, model: WorldModel) -> None:
        self._model = model
        self._lighting = CameraLighting(model.spec.image)

    @property
    def knows_light(self) -> bool:
        """Whether the checkpoint says how much light usually leaves unexplained."""
        usual = self._model.familiarity
        return usual is not None and bool(usual.usual_unexplained)

    @torch.no_grad()
    def compare(self, image: np.ndarray, latent: Tensor) -> tuple[Light, tuple[float, ...]]:
        """Find the light of a picture, and what it does not explain.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            latent: Its latent, (latent size,).

        Returns:
            The light, and `Lighting.unexplained` of each camera.
        """
        vision = native_vision(self._model)
        if vision is None:
            drawn = self._model.decode(latent[None])[0].permute(1, 2, 0).contiguous()
        else:
            drawn = vision.redraw(latent)
        return self._lighting.compare(image, drawn.numpy())
