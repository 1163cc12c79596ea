"""What the controller does, and why it holds: stable codes for programs beside the sentences for
people."""

from __future__ import annotations

import enum


class HoldCode(enum.Enum):
    """What makes the control loop hold. Programs compare the value; it never changes its meaning.

    The text of a `HoldError` says more: which topic, how old, how far.
    """

    PERSON = "hold.person"  # asked for by a person
    RIVAL = "hold.rival"  # another controller plans for this robot
    NO_IMAGE = "hold.no_image"  # none received yet
    STALE_IMAGE = "hold.stale_image"  # none for too long, or its stamp is too old
    FUTURE_IMAGE = "hold.future_image"  # its stamp is in the future: clocks differ
    FROZEN_IMAGE = "hold.frozen_image"  # the camera repeats one image while the robot moves
    NO_STATE = "hold.no_state"  # the robot's state was never measured, or not all of it
    STALE_STATE = "hold.stale_state"
    FUTURE_STATE = "hold.future_state"
    OTHER_MOMENT = "hold.other_moment"  # image and state are of different moments
    UNREADABLE = "hold.unreadable"  # a message cannot be used
    NO_GOAL = "hold.no_goal"
    NO_REST = "hold.no_rest"  # a position robot has not been measured, so it is sent nothing
    TOO_SLOW = "hold.too_slow"  # planning takes longer than a plan lasts
    SURPRISE_IMAGE = "hold.surprise.image"  # the camera shows what the model does not know
    SURPRISE_PREDICTION = "hold.surprise.prediction"  # predictions do not come true
    INVALID_PLAN = "hold.invalid_plan"  # wrong size, or not finite
    STALE_PLAN = "hold.stale_plan"  # made from an observation that is too old by now
    JUMP = "hold.jump"  # a plan would make a position robot jump
    NOT_FOLLOWING = "hold.not_following"  # a position robot stays too far behind its commands
    NO_PLAN = "hold.no_plan"  # the planner found none
    FAULT = "hold.fault"  # a fault of ours


class StatusCode(enum.Enum):
    """What the controller does when it does not hold. Programs compare the value."""

    UNCONFIGURED = "unconfigured"
    INACTIVE = "inactive"  # configured, not active
    WAITING = "waiting"  # active, for the first image
    PLANNING = "planning"
    DEGRADED = "planning.degraded"  # with a warning, or changed so that it is safe
    SHUT_DOWN = "shut_down"
    FAILED = "failed"  # a transition failed


class HoldError(Exception):
    """A reason not to move now.

    Args:
        code: For programs.
        reason: For people.
        is_fault: Whether something is wrong, rather than still to come or asked for.
    """

    def __init__(self, code: HoldCode, reason: str, *, is_fault: bool = False) -> None:
        super().__init__(reason)
        self.code, self.is_fault = code, is_fault
