"""Decide whether a foreign object in the picture stops the robot.

The model looks past a foreign object (`control/foreign.py`), so it plans as if there was none. That
is right only where neither the robot nor what it moves comes near the object. A pale or small
object misleads the model too little to be found so. It is seen here, if the plan leads there.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from wm_mpc.control.looking import Look, Looker
from wm_mpc.control.places import swept
from wm_mpc.control.strange_places import strange_places
from wm_mpc.model.conditions import share_text
from wm_mpc.model.world_model import WorldModel

_PARTS = 2  # of a model step; what moves is drawn after each
_AHEAD = 1.0  # s of a plan that count; each new plan is checked again
_LEAST = 0.35  # squared error of a place, from which on it may count
_USUAL = 1.5  # multiple of the largest usual one, from which on it counts


class ForeignCheck:
    """Checks plans of one model. Not thread-safe.

    Args:
        model: The world model.
    """

    def __init__(self, model: WorldModel) -> None:
        self._looker, known = Looker(model), model.familiarity
        # A model that draws its own things too badly tells nothing.
        tells = known is not None and known.tells_strange_places
        usual = known.strange_place if known is not None and tells else None
        self._least = math.inf if usual is None else max(_LEAST, _USUAL * usual)

    def why_hold(
        self, image: np.ndarray, look: Look | None, latents: Tensor, largest: float
    ) -> str:
        """Return why the robot must hold because of a foreign object; empty if it may move.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it; the plan begins there.
            look: The look at it, without what was taken out of it (`SurpriseMonitor.last_look`);
                None if the model knows no foreign objects.
            latents: The present latent and the predicted ones, (horizon + 1, latent size).
            largest: Largest share of a camera's picture that the object may cover
                (`surprise.foreign`).
        """
        if look is None:
            return ""
        way: np.ndarray | None = None
        foreign, differs = look.conditions.foreign, self._looker.outside(image, look)
        if foreign is not None:
            told = f"a foreign object covers {foreign}"
            if foreign.share > largest:
                return f"{told}, more than surprise.foreign {largest:g} allows"
            if foreign.doubt:
                return f"{told} and {foreign.doubt}"
            way = self._way(latents)
            if (way & foreign.place).any():
                return f"{told}, and the plan comes near it"
            differs = np.where(foreign.mask, 0.0, differs)
        for place in strange_places(self._looker, look, differs, self._least):
            share = max(float(tile.of(place[..., None]).mean()) for tile in self._looker.tiles)
            told = f"what the model does not know covers {share_text(share)}"
            if share > largest:
                return f"{told}, more than surprise.foreign {largest:g} allows"
            way = self._way(latents) if way is None else way
            if (way & place).any():
                return f"{told}, and the plan comes near it"
        return ""

    def _way(self, latents: Tensor) -> np.ndarray:
        """Where a plan moves something soon, bool (height, width)."""
        steps = math.ceil(_AHEAD / self._looker.model.spec.model_period)
        latents = latents[: steps + 1]
        shares = torch.linspace(0.0, 1.0, _PARTS + 1)[1:, None]
        later = [before + shares * (after - before) for before, after in pairwise(latents)]
        pictures = [self._looker.drawn(latent) for latent in (latents[0], *torch.cat(later))]
        return swept(np.stack(pictures))
