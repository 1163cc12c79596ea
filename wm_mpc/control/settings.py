"""The settings of the control loop, which may change from one plan to the next."""

from __future__ import annotations

import dataclasses

from wm_mpc.planning.objective import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig


@dataclasses.dataclass(frozen=True)
class SurpriseSettings:
    """How surprised the model may be, in multiples of the error that 99 of 100 recorded moments
    stay below; 0: never mind.

    Attributes:
        image: Hold above this error of the redrawn image.
        slow: Slow down above this error of predictions.
        hold: Hold above this error of predictions.
        pace: How fast to go while slow, above 0 to 1.
        pause: Seconds to hold before trying again.
    """

    image: float = 3.0
    slow: float = 2.0
    hold: float = 3.5
    pace: float = 0.5
    pause: float = 1.0


@dataclasses.dataclass(frozen=True)
class GoalSettings:
    """When a goal has ended.

    Attributes:
        tolerance: Distance at which it counts as reached, in typical motions of a model step.
        timeout: Seconds after which it is given up; 0: never.
    """

    tolerance: float = 0.5
    timeout: float = 0.0


@dataclasses.dataclass(frozen=True)
class ControlSettings:
    """Of the control loop.

    Attributes:
        planner: How to search.
        objective: What for.
        rate: Plans per second, Hz.
        time_budget: Seconds for the search.
        observation_timeout: Seconds after which an observation is too old.
        lag: Seconds that a moving position robot may be behind its commands.
        surprise: How surprised the model may be.
        goal: When a goal has ended.
    """

    planner: PlannerConfig = dataclasses.field(default_factory=PlannerConfig)
    objective: ObjectiveConfig = dataclasses.field(default_factory=ObjectiveConfig)
    rate: float = 10.0
    time_budget: float = 0.07
    observation_timeout: float = 0.5
    lag: float = 0.3
    surprise: SurpriseSettings = dataclasses.field(default_factory=SurpriseSettings)
    goal: GoalSettings = dataclasses.field(default_factory=GoalSettings)
