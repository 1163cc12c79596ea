"""What nodes do, and why: stable codes for programs, beside the sentences for people.

A code never changes its meaning. Each one is a text, so that `status.code == "hold.person"` and
`status.code == HoldCode.PERSON` are the same question. `docs/reference/statuses.md` explains them.
"""

from __future__ import annotations

import enum


class Level(enum.IntEnum):
    """How bad it is; the numbers of `diagnostic_msgs/DiagnosticStatus`."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


class Code(str, enum.Enum):
    """A text that programs compare."""

    def __str__(self) -> str:
        return str(self.value)


class HoldCode(Code):
    """What makes the control loop hold. The text of a `HoldError` says more: which topic, how old,
    how far."""

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


class StatusCode(Code):
    """What the controller does when it does not hold."""

    UNCONFIGURED = "unconfigured"
    INACTIVE = "inactive"  # configured, not active
    WAITING = "waiting"  # active, for the first image
    PLANNING = "planning"
    DEGRADED = "planning.degraded"  # with a warning, or changed so that it is safe
    SHUT_DOWN = "shut_down"
    FAILED = "failed"  # a transition failed


class WarningCode(Code):
    """What people should know though the controller goes on. There may be several at once."""

    PLAN_CHANGED = "warning.plan_changed"  # slower than planned, or brought inside the limits
    CLOCKS = "warning.clocks"  # stamps are a little in the future
    OTHER_MOMENT = "warning.other_moment"  # image and state are a little apart
    CAMERAS = "warning.cameras"  # pictures of two cameras on one topic
    GOAL_REFUSED = "warning.goal_refused"  # it cannot be read
    MESSAGE_DROPPED = "warning.message_dropped"  # it cannot be read
    CONNECTIONS = "warning.connections"  # another type or quality of service, or two publishers
    CALLBACK = "warning.callback"  # a callback failed
    FAMILIARITY = "warning.familiarity"  # checks are off: the checkpoint lacks what they need
    ANGLES = "warning.angles"  # the checkpoint does not know that a joint turns round
    CHECKPOINT = "warning.checkpoint"  # the parameter names another one than the one in use


class GoalCode(Code):
    """Where a goal is."""

    WAITING = "goal.waiting"
    EXECUTING = "goal.executing"
    REACHED = "goal.reached"
    ABORTED = "goal.aborted"  # not in time
    CANCELLED = "goal.cancelled"  # by a person, or by another goal

    @property
    def is_final(self) -> bool:
        """Whether it stays so."""
        return self not in (GoalCode.WAITING, GoalCode.EXECUTING)

    @property
    def word(self) -> str:
        """For people."""
        return self.value.partition(".")[2]


class SimCode(Code):
    """What a simulated robot does with the plans it gets."""

    NO_REST = "sim.no_rest"  # not measured yet, so nothing is sent
    NO_PLAN = "sim.no_plan"  # none has come yet
    EXECUTING = "sim.executing"
    PENDING = "sim.pending"  # the plan starts later
    HELD = "sim.held"  # the controller asked for it
    FINISHED = "sim.finished"  # no point of the plan is left
    TIMED_OUT = "sim.timed_out"  # no new plan within plan_timeout
    REFUSED = "sim.refused"  # the last plan makes no sense


class LearnerCode(Code):
    """What the learner does."""

    IDLE = "learner.idle"
    STARTING = "learner.starting"
    TRAINING = "learner.training"
    STOPPING = "learner.stopping"
    STOPPED = "learner.stopped"
    FINISHED = "learner.finished"
    FAILED = "learner.failed"

    @property
    def word(self) -> str:
        """For people."""
        return self.value.partition(".")[2]
