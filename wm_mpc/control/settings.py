"""The settings of the control loop. They may change from one plan to the next."""

from __future__ import annotations

import dataclasses

from wm_mpc.control.foreign import LARGEST
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.settings.fields import check, section, setting


@dataclasses.dataclass(frozen=True)
class LimitSettings:
    """The settings `limits.*`, for robots moved by positions."""

    largest_jump: float = setting(
        0.05,
        "Largest step between two commanded positions, as a share of their range, if the "
        "checkpoint has no rate limit; for robots moved by positions; counts from the next "
        "activation on",
        "",
        1e-4,
        1.0,
        only_inactive=True,
    )
    lag: float = setting(
        0.3,
        "How far a robot moved by positions may be behind its commands while it moves, in time at "
        "the rate limit; beyond that, the node holds",
        "s", 0.0, 10.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self, "limits.")


@dataclasses.dataclass(frozen=True)
class SurpriseSettings:
    """The settings `surprise.*`: how large the model's errors may be.

    The unit is the 99th percentile of the error on recorded data.
    """

    image: float = setting(
        3.0,
        "Hold when an image differs from its reconstruction, light and a small shift of the camera "
        "apart, by more than this multiple of what is usual on recorded data; 0: never",
        "",
        0.0,
        1000.0,
    )
    foreign: float = setting(
        0.1,
        "Largest share of a camera's picture that a foreign object may cover; a robot goes on only "
        "if its plan keeps clear of the object; 0: hold for any object that the model notices",
        "", 0.0, LARGEST,
    )  # fmt: skip
    slow: float = setting(
        2.0,
        "Slow down when the prediction error exceeds this multiple of its 99th percentile on "
        "recorded data; 0: never",
        "",
        0.0,
        1000.0,
    )
    pace: float = setting(0.5, "Share of the planned speed while slowed down", "", 0.05, 1.0)
    hold: float = setting(
        3.5,
        "Hold when the prediction error exceeds this multiple of its 99th percentile; 0: never",
        "",
        0.0,
        1000.0,
    )
    effect: float = setting(
        5.0,
        "Hold after this much evidence that actions have less than 0.3 of the effect that the "
        "model predicts, and slow down after as much that they have less than 0.7; 0, or hold 0 "
        "and slow 0: never",
        "moments",
        0.0,
        1000.0,
    )
    pause: float = setting(
        1.0, "How long to hold after predictions failed, before planning again", "s", 0.0, 60.0
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self, "surprise.")


@dataclasses.dataclass(frozen=True)
class GoalSettings:
    """The settings `goal.*`: when a goal ends."""

    tolerance: float = setting(
        0.5,
        "Distance at which a goal counts as reached, in typical scene motions per model step",
        "steps",
        0.0,
        1000.0,
    )
    timeout: float = setting(
        0.0, "Give up a goal after this time and go on to the next; 0: never", "s", 0.0, 86400.0
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self, "goal.")


@dataclasses.dataclass(frozen=True)
class ControlSettings:
    """The settings of the control loop.

    Raises:
        SettingError: A setting is not accepted.
    """

    rate: float = setting(10.0, "Plans per second", "Hz", 0.1, 200.0)
    planner: PlannerConfig = section(PlannerConfig)
    cost: ObjectiveConfig = section(ObjectiveConfig)
    observation_timeout: float = setting(
        0.5, "Hold when the latest observation is older than this", "s", 0.05, 60.0
    )
    time_budget: float = setting(
        0.07, "Time after which a search ends with the best plan so far", "s", 0.001, 60.0
    )
    limits: LimitSettings = section(LimitSettings)
    surprise: SurpriseSettings = section(SurpriseSettings)
    goal: GoalSettings = section(GoalSettings)

    def __post_init__(self) -> None:
        check(self)
