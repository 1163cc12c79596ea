"""Find places in a picture that the model draws otherwise, although it knows the picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wm_mpc.control.looking import Look, Looker
from wm_mpc.control.places import differing, dilated, is_compact, squares

_CLOSE = 2  # pixels
_FADES = 0.4  # share of what differs in a place, from which on its surroundings differ as well


def strange_places(
    looker: Looker, look: Look, differs: np.ndarray, least: float
) -> Iterator[np.ndarray]:
    """Find places that have the form of an object, and that the model draws otherwise.

    What is close to a thing that the model draws does not count: the model may draw the thing a
    little wrong. Nor does a place that fades into its surroundings, as a shadow does.

    Args:
        looker: Looked at the picture.
        look: The look at it.
        differs: How much each pixel differs (`Looker.outside`), float32 (height, width), in [0, 1].
        least: Smallest sum of the squares of what differs.

    Yields:
        bool (height, width); of each camera, the worst first.
    """
    for tile in looker.tiles:
        part = np.ascontiguousarray(tile.of(differs[..., None])[..., 0])
        worst = [found for found in differing(part) if squares(part, found) >= least]
        if not worst:
            continue
        around = np.zeros(differs.shape, bool)
        tile.of(around[..., None])[..., 0] = dilated(np.logical_or.reduce(worst), _CLOSE)
        things = looker.rare(look, around, pale=True)
        near = dilated(tile.of(things[..., None])[..., 0], _CLOSE)
        apart = np.where(near, np.float32(0.0), part)
        for found in differing(apart):
            if squares(apart, found) < least:
                break
            if is_compact(found) and not _fades(part, found, near):
                place = np.zeros(differs.shape, bool)
                tile.of(place[..., None])[..., 0] = found
                yield place


def _fades(differs: np.ndarray, place: np.ndarray, near: np.ndarray) -> bool:
    """Whether what differs goes on around a place, apart from what is near a thing; (height,
    width) each."""
    around = dilated(place, _CLOSE) & ~place & ~near
    return bool(around.any() and differs[around].mean() > _FADES * differs[place].mean())
