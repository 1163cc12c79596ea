"""Say what a foreign object in a picture may hide, so that the robot holds.

`control/foreign.py` finds objects, `control/foreign_memory.py` keeps them.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from wm_mpc.control.looking import Look, Looker
from wm_mpc.control.places import dilated
from wm_mpc.model.conditions import Conditions, ForeignObject

ALIKE = "looks like the robot or what the robot moves"
LOST = "is no longer clearly visible"
_HIDES = "may hide the robot or what it moves"
_FEW = 3  # pixels of a thing that do not count
_RIM = 32  # the rim around an object is as wide as the picture is high, divided by this


def object_at(looker: Looker, place: np.ndarray, drawn: np.ndarray) -> ForeignObject:
    """Return the object at a place, with a rim.

    Args:
        looker: Knows where the picture of each camera is.
        place: bool (height, width).
        drawn: What the model draws there, float32 (height, width, 3).
    """
    share, wide = 0.0, np.zeros_like(place)
    for tile in looker.tiles:
        part = tile.of(place[..., None])[..., 0]
        share = max(share, float(part.mean()))
        tile.of(wide[..., None])[..., 0] = dilated(part, max(1, tile.height // _RIM))
    return ForeignObject(place, wide, drawn, share)


def hidden(looker: Looker, look: Look) -> str:
    """Return the doubt that an object hides something: the model draws more than background there.

    Args:
        looker: Looked at the picture.
        look: The look at it without the object.
    """
    assert look.conditions.foreign is not None
    return _HIDES if is_drawn(looker, look, look.conditions.foreign.mask) else ""


def is_drawn(looker: Looker, look: Look, mask: np.ndarray) -> bool:
    """Return whether the model draws more than background somewhere: the robot, or what it moves.

    Args:
        looker: Looked at the picture.
        look: The look at it.
        mask: Where, bool (height, width).
    """
    return bool(looker.rare(look, mask).sum() > _FEW)


def doubted(conditions: Conditions, doubt: str) -> Conditions:
    """Return conditions with another doubt about their foreign object."""
    assert conditions.foreign is not None
    return dataclasses.replace(
        conditions, foreign=dataclasses.replace(conditions.foreign, doubt=doubt)
    )
