"""Interfaces of the control loop: the observation, the robot, and the people around it.

Whoever drives the loop implements them (`wm_mpc.nodes.mpc`). Times are integer nanoseconds of one
clock.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from wm_mpc.control.goals import Goal
from wm_mpc.control.settings import ControlSettings


class Observation(Protocol):
    """An image, and the robot's state at the moment of that image.

    Attributes:
        stamp: When the image was taken, ns.
    """

    @property
    def stamp(self) -> int: ...

    def image(self) -> np.ndarray:
        """Read the image.

        Returns:
            uint8 (height, width, 3) rgb, of the model's size.

        Raises:
            HoldError: The image cannot be used.
        """

    def state(self) -> np.ndarray:
        """Read the robot's state.

        Returns:
            float32 (state size,), each entry in its unit.
        """

    def lap(self, stage: str) -> None:
        """Note that a stage between image and plan has ended.

        Args:
            stage: "wait" or "convert".
        """


class World(Protocol):
    """Everything that the loop asks about the robot and the people around it."""

    def now(self) -> int:
        """Return the time, ns."""

    def has_rival(self) -> bool:
        """Whether another controller plans for this robot."""

    def observe(self, settings: ControlSettings) -> Observation:
        """Return the newest observation.

        Args:
            settings: The present settings.

        Raises:
            HoldError: The newest observation must not be used for planning.
        """

    def goal(self) -> Goal | None:
        """Return the goal to reach, or None without a goal."""

    def why_no_goal(self) -> str:
        """Return a sentence for people that says why there is no goal."""

    def goal_arrays(self, goal: Goal) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the goal as an image and a state.

        Args:
            goal: The goal.

        Returns:
            Image uint8 (height, width, 3), and state (state size,), or None if the state is
            unknown.

        Raises:
            HoldError: The goal cannot be used.
        """

    def measured(self) -> dict[str, float]:
        """Return the present positions by name, rad or m, as far as they are known."""

    def positions(self, state: np.ndarray) -> dict[str, float]:
        """Read positions out of a state.

        Args:
            state: A measured state, (state size,), each entry in its unit.

        Returns:
            Positions by name, rad or m.
        """
