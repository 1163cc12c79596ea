"""What makes a picture differ from the recordings although the scene may be the same.

That is the light (`model/lighting.py`), a bumped camera (`model/camera_shift.py`), and a foreign
object beside the way (`control/foreign.py`). The model sees a picture without them.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from wm_mpc.model.camera_shift import Shift, moved_back
from wm_mpc.model.lighting import Light
from wm_mpc.spec import Tile


@dataclasses.dataclass(frozen=True)
class ForeignObject:
    """What a picture shows and the model does not know, in a bounded place. There may be several.

    Attributes:
        place: bool (height, width), where it is; the camera's shift is undone.
        mask: bool (height, width), the same with a rim.
        drawn: What the model draws there, in the light of the recordings, float32 (height, width,
            3), about in [0, 1].
        share: Largest share of a camera's picture that it covers, in [0, 1].
        doubt: Why nobody can be sure what the picture shows, for people; empty if one can.
    """

    place: np.ndarray
    mask: np.ndarray
    drawn: np.ndarray
    share: float
    doubt: str = ""

    def replaced(self, image: np.ndarray, drawn: np.ndarray | None = None) -> np.ndarray:
        """Return a picture without it.

        Args:
            image: uint8 (height, width, 3) rgb.
            drawn: What to put in its place, as the attribute `drawn`, which counts without this.

        Returns:
            uint8 (height, width, 3) rgb.
        """
        picture = self.drawn if drawn is None else drawn
        known = (255.0 * picture + 0.5).clip(0.0, 255.0).astype(np.uint8)
        replaced: np.ndarray = np.where(self.mask[..., None], known, image)
        return replaced

    def __str__(self) -> str:
        return share_text(self.share)


def share_text(share: float) -> str:
    """Return a share of a picture, in [0, 1], for people."""
    return f"{max(1, round(100.0 * share))} % of the picture"


@dataclasses.dataclass(frozen=True)
class Conditions:
    """How a picture differs from the recordings although the scene may be the same.

    Attributes:
        light: The light; None if it is unknown or usual, then it stays in the picture.
        shifts: How far the picture of each camera is moved.
        tiles: Where these pictures are in the joined one.
        foreign: A foreign object; None if there is none.
        is_strange: Whether the model does not know this picture as well as usual, so a foreign
            object may be in it.
    """

    light: Light | None
    shifts: tuple[Shift, ...]
    tiles: tuple[Tile, ...]
    foreign: ForeignObject | None = None
    is_strange: bool = False

    def removed(self, image: np.ndarray) -> np.ndarray:
        """Return a picture as it would be under the conditions of the recordings.

        Args:
            image: uint8 (height, width, 3) rgb.

        Returns:
            uint8 (height, width, 3) rgb.
        """
        image = moved_back(image, self.shifts, self.tiles)
        image = image if self.light is None else self.light.removed(image)
        return image if self.foreign is None else self.foreign.replaced(image)

    @property
    def shift_text(self) -> str:
        """How far the pictures are moved, for people; empty if none is."""
        named = len(self.tiles) > 1
        return "; ".join(
            f"{tile.name} {shift}" if named else str(shift)
            for tile, shift in zip(self.tiles, self.shifts, strict=True)
            if shift.size
        )


def moved_by(conditions: Conditions | None) -> tuple[Shift, ...]:
    """Return the shift of each camera; empty if none is moved.

    Args:
        conditions: The conditions of a picture; None if nothing is known.
    """
    known = () if conditions is None else conditions.shifts
    return known if any(shift.size for shift in known) else ()


def shift_warning(live: Conditions | None, goal: Conditions | None) -> str:
    """Say how far live images and the goal's image are moved; empty if neither is.

    Args:
        live: The conditions of live images; None if unknown.
        goal: Those of the goal's image.
    """
    known = _named(live, goal)
    told = [f"{name} by {each.shift_text}" for name, each in known if each.shift_text]
    if not told:
        return ""
    return f"moved against the recordings, as if the camera was bumped: {', '.join(told)} (undone)"


def foreign_warning(live: Conditions | None, goal: Conditions | None) -> str:
    """Say where a foreign object is: in live images, in the goal's image; empty if in neither.

    Args:
        live: The conditions of live images; None if unknown.
        goal: Those of the goal's image.
    """
    known = _named(live, goal)
    told = [f"{each.foreign} in {name}" for name, each in known if each.foreign is not None]
    if not told:
        return ""
    return f"a foreign object covers {', '.join(told)}; the model looks past it"


def _named(live: Conditions | None, goal: Conditions | None) -> list[tuple[str, Conditions]]:
    """The known conditions, with the name of their images for people."""
    both = ("images", live), ("the goal's image", goal)
    return [(name, conditions) for name, conditions in both if conditions is not None]
