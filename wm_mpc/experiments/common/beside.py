"""Put a foreign object beside the way that a robot takes when nothing disturbs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wm_mpc.control.places import dilated
from wm_mpc.control.receding_horizon import ControlPlan, RecedingHorizon
from wm_mpc.control.wide_search import Thought
from wm_mpc.data.disturbances import KINDS, Disturber, parse_disturbances
from wm_mpc.model.world_model import WorldModel

_CLEAR = 16  # the object keeps away from the way by the height of the picture divided by this
_MOVED = 25  # grey levels; where pictures of an episode differ by more, something moved
_TRIES = 1000


def disturber_of(
    text: str,
    places: list[int],
    model: WorldModel,
    seed: int,
    run: Callable[[Watched], object],
) -> Disturber:
    """Make what disturbs the pictures of an episode.

    Args:
        text: As `parse_disturbances` reads it.
        places: Seed of the places of shadows and objects.
        model: The world model that plans in the episode.
        seed: Seed of its controller.
        run: Runs the episode with a controller. It is called without disturbance first, if an
            object must be beside the way.

    Raises:
        ValueError: No place is beside the way.
    """
    if not any(KINDS[each.name].keeps_clear for each in parse_disturbances(text)):
        return Disturber.of(text, places)
    watched = Watched(RecedingHorizon(model, seed))
    run(watched)
    return watched.disturber(text, places)


class Watched:
    """A controller that keeps the pictures that it gets; see `Controller`.

    Args:
        controller: Plans from them.

    Attributes:
        model: The world model.
        images: The pictures, uint8 (height, width, 3) rgb each.
    """

    def __init__(self, controller: RecedingHorizon) -> None:
        self.model = controller.model
        self.images: list[np.ndarray] = []
        self._controller = controller

    def forget(self) -> None:
        """Forget the last plan."""
        self._controller.forget()

    def set_goal(self, image: np.ndarray, state: np.ndarray | None) -> None:
        """Set the goal; see `RecedingHorizon.set_goal`."""
        self._controller.set_goal(image, state)

    def plan(self, image: np.ndarray, state: np.ndarray, stamp: float, **how: Any) -> ControlPlan:
        """Plan; see `RecedingHorizon.plan`."""
        self.images.append(np.array(image))
        return self._controller.plan(image, state, stamp, **how)

    def think(self) -> Thought | None:
        """Use the time between two plans; see `RecedingHorizon.think`."""
        return self._controller.think()

    def disturber(self, text: str, seed: list[int]) -> Disturber:
        """Make a disturber that touches nothing that moved in the kept pictures.

        Args:
            text: What it does.
            seed: Of its place. The first place that is clear counts.

        Raises:
            ValueError: No place is clear.
        """
        first = self.images[0].astype(np.int16)
        moved = np.any([np.abs(image - first).max(-1) > _MOVED for image in self.images], 0)
        way = dilated(moved, max(1, len(moved) // _CLEAR))
        blank, full = (np.full_like(self.images[0], level) for level in (0, 255))
        for number in range(_TRIES):
            disturber = Disturber.of(text, [*seed, number])
            touched = (disturber(blank) != blank) | (disturber(full) != full)
            if not (touched.any(-1) & way).any():
                return disturber
        raise ValueError(
            f"{text}: in an episode, no place in the picture is beside the way; try a smaller "
            "object"
        )
