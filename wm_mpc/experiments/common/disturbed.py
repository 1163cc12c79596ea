"""Control a simulated robot that sees disturbed pictures, with the guard of the node `mpc`.

`evaluate --disturb` uses it. The goal's picture stays as it is: people take it on another day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from wm_mpc.control.foreign_check import ForeignCheck
from wm_mpc.control.receding_horizon import ControlPlan, PlanningError, RecedingHorizon
from wm_mpc.control.settings import SurpriseSettings
from wm_mpc.control.surprise import SurpriseMonitor
from wm_mpc.control.wide_search import Thought
from wm_mpc.data.disturbances import Disturber

HOLD_ABOVE, LARGEST_FOREIGN = SurpriseSettings().image, SurpriseSettings().foreign


class DisturbedController:
    """A controller that gets disturbed pictures; see `Controller`.

    Args:
        controller: Plans from them.
        disturber: Disturbs them.
        holds: Whether the robot stands still where the node would hold.

    Attributes:
        model: The world model.
        image_errors: Of each picture, in the unit of `surprise.image`; NaN if unknown.
        foreign_held: Numbers of the pictures in which a foreign object would hold the robot.
    """

    def __init__(self, controller: RecedingHorizon, disturber: Disturber, *, holds: bool) -> None:
        self.model = controller.model
        self.image_errors: list[float] = []
        self.foreign_held: list[int] = []
        self._controller, self._disturber, self._holds = controller, disturber, holds
        self._monitor = SurpriseMonitor(controller.model)
        self._foreign = ForeignCheck(controller.model)

    def forget(self) -> None:
        """Forget the last plan."""
        self._controller.forget()

    def set_goal(self, image: np.ndarray, state: np.ndarray | None) -> None:
        """Set the goal; see `RecedingHorizon.set_goal`."""
        self._controller.set_goal(image, state)

    def plan(self, image: np.ndarray, state: np.ndarray, stamp: float, **how: Any) -> ControlPlan:
        """Plan from a picture that is disturbed first; see `RecedingHorizon.plan`.

        Raises:
            PlanningError: There is no plan, or the guard holds the robot.
        """
        seen = self._disturbed(image)
        self._controller.conditions = self._monitor.conditions
        plan = self._controller.plan(seen, state, stamp, **how)
        error = self._monitor.look(seen, plan.latents[0], plan.conditions)
        self._monitor.seek()
        self.image_errors.append(error)
        if self._holds and error > HOLD_ABOVE:
            raise PlanningError(f"the guard holds: image error {error:.1f}, above {HOLD_ABOVE:g}")
        foreign = self._foreign.why_hold(
            seen, self._monitor.last_look, plan.latents, LARGEST_FOREIGN
        )
        if foreign:
            self.foreign_held.append(len(self.image_errors) - 1)
        if self._holds and foreign:
            raise PlanningError(f"the guard holds: {foreign}")
        return plan

    def think(self) -> Thought | None:
        """Use the time between two plans; see `RecedingHorizon.think`."""
        return self._controller.think()

    def _disturbed(self, image: np.ndarray) -> np.ndarray:
        """The picture as it is seen; of several cameras, each is disturbed."""
        spec = self.model.spec.image
        if not spec.cameras:
            return self._disturber(image)
        parts = [self._disturber(np.ascontiguousarray(tile.of(image))) for tile in spec.tiles]
        return spec.joined(parts)


def guard_record(controller: object) -> dict[str, Any]:
    """Return what the record of an episode keeps of the guard.

    Args:
        controller: Controlled the episode.
    """
    if not isinstance(controller, DisturbedController):
        return {}
    errors = [round(error, 3) for error in controller.image_errors]
    return {"image_errors": errors, "foreign_held": controller.foreign_held}


def guard_errors(extra: Mapping[str, Any]) -> list[float]:
    """Return the image errors of an episode's pictures; infinite where a foreign object held.

    Args:
        extra: From `guard_record`.
    """
    errors: list[float] = list(extra.get("image_errors", []))
    for number in extra.get("foreign_held", []):
        errors[number] = math.inf
    return errors


def guard_summary(errors: list[float]) -> dict[str, Any]:
    """Return the columns of the guard in a row of results.

    Args:
        errors: Image errors of all pictures of a cell, from `guard_errors`.
    """
    known = [error for error in errors if not math.isnan(error)]
    if not known:
        return {"image_error_median": None, "image_error_p95": None, "held_share": None}
    finite = [error for error in known if math.isfinite(error)]
    median, high = np.percentile(finite, [50, 95]) if finite else (math.nan, math.nan)
    held = sum(error > HOLD_ABOVE for error in known) / len(known)
    return {
        "image_error_median": round(float(median), 2) if finite else None,
        "image_error_p95": round(float(high), 2) if finite else None,
        "held_share": round(held, 4),
    }
