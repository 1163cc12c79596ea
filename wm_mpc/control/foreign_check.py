"""Decide whether a foreign object in the picture stops the robot.

The model looks past a foreign object (`control/foreign.py`), so it plans as if there was none. That
is right only where neither the robot nor what it moves comes near the object.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from wm_mpc.control.looking import Looker
from wm_mpc.control.places import swept
from wm_mpc.model.conditions import Conditions
from wm_mpc.model.world_model import WorldModel

_PARTS = 2  # of a model step; what moves is drawn after each
_AHEAD = 1.5  # s of a plan that count; each new plan is checked again


class ForeignCheck:
    """Checks plans of one model. Not thread-safe.

    Args:
        model: The world model.
    """

    def __init__(self, model: WorldModel) -> None:
        self._looker = Looker(model)

    def why_hold(self, conditions: Conditions | None, latents: Tensor, largest: float) -> str:
        """Return why the robot must hold because of a foreign object; empty if it may move.

        Args:
            conditions: What was taken out of the picture that the plan begins from.
            latents: The present latent and the predicted ones, (horizon + 1, latent size).
            largest: Largest share of a camera's picture that the object may cover
                (`surprise.foreign`).
        """
        foreign = None if conditions is None else conditions.foreign
        if foreign is None:
            return ""
        told = f"a foreign object covers {foreign}"
        if foreign.share > largest:
            return f"{told}, more than surprise.foreign {largest:g} allows"
        if foreign.doubt:
            return f"{told} and {foreign.doubt}"
        if self._is_on_the_way(foreign.place, latents):
            return f"{told}, and the plan comes near it"
        return ""

    def _is_on_the_way(self, place: np.ndarray, latents: Tensor) -> bool:
        steps = math.ceil(_AHEAD / self._looker.model.spec.model_period)
        latents = latents[: steps + 1]
        shares = torch.linspace(0.0, 1.0, _PARTS + 1)[1:, None]
        later = [before + shares * (after - before) for before, after in pairwise(latents)]
        pictures = [self._looker.drawn(latent) for latent in (latents[0], *torch.cat(later))]
        return bool((swept(np.stack(pictures)) & place).any())
