"""Stable codes, for programs, of what nodes do and why. Sentences for people come with them.

A code never changes its meaning. Each code is a text, so `status.code == "hold.person"` and
`status.code == HoldCode.PERSON` mean the same. `docs/reference/statuses.md` explains all codes.
"""

from __future__ import annotations

import enum


class Level(enum.IntEnum):
    """How serious a status is; the numbers are those of `diagnostic_msgs/DiagnosticStatus`."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


class Code(str, enum.Enum):
    """A text that programs compare."""

    def __str__(self) -> str:
        return str(self.value)


class HoldCode(Code):
    """Why the control loop holds.

    The text of a `HoldError` says more: which topic, how old, how far.
    """

    PERSON = "hold.person"  # asked for by a person
    RIVAL = "hold.rival"  # another controller plans for this robot
    NO_IMAGE = "hold.no_image"  # no image has arrived yet
    CLOCK_STANDS = "hold.clock_stands"  # the node's clock stands still
    STALE_IMAGE = "hold.stale_image"  # no image for too long, or its stamp is too old
    FUTURE_IMAGE = "hold.future_image"  # the image's stamp is in the future: clocks differ
    FROZEN_IMAGE = "hold.frozen_image"  # the camera repeats one image while the robot moves
    CAMERAS_APART = "hold.cameras_apart"  # the images of two cameras are of different moments
    NO_STATE = "hold.no_state"  # some of the robot's state was never measured
    STALE_STATE = "hold.stale_state"
    FUTURE_STATE = "hold.future_state"
    OTHER_MOMENT = "hold.other_moment"  # image and state are from different moments
    UNREADABLE = "hold.unreadable"  # a message cannot be used
    NO_GOAL = "hold.no_goal"
    NO_REST = "hold.no_rest"  # a position robot was never measured; the node sends it nothing
    TOO_SLOW = "hold.too_slow"  # planning takes longer than a plan lasts
    SURPRISE_IMAGE = "hold.surprise.image"  # the camera shows what the model does not know
    FOREIGN_OBJECT = "hold.foreign_object"  # in the way, or it may hide something
    SURPRISE_PREDICTION = "hold.surprise.prediction"  # predictions do not come true
    INVALID_PLAN = "hold.invalid_plan"  # the plan has a wrong size, or is not finite
    STALE_PLAN = "hold.stale_plan"  # the plan's observation is too old by now
    JUMP = "hold.jump"  # a plan would make a position robot jump
    NOT_FOLLOWING = "hold.not_following"  # a position robot stays too far behind its commands
    NO_PLAN = "hold.no_plan"  # the planner found no plan
    FAULT = "hold.fault"  # a fault of this package, or of an added planner


class StatusCode(Code):
    """What the controller does when it does not hold."""

    UNCONFIGURED = "unconfigured"
    INACTIVE = "inactive"  # configured, not active
    WAITING = "waiting"  # active, and waits for the first image
    PLANNING = "planning"
    DEGRADED = "planning.degraded"  # with a warning, or with plans that were made safe
    SHUT_DOWN = "shut_down"
    FAILED = "failed"  # a lifecycle transition failed


class WarningCode(Code):
    """What people should know while the controller goes on. There may be several at once."""

    PLAN_CHANGED = "warning.plan_changed"  # slower than planned, or brought inside the limits
    CLOCKS = "warning.clocks"  # stamps are a little in the future
    OTHER_MOMENT = "warning.other_moment"  # image and state are a little apart
    CAMERAS = "warning.cameras"  # images of two cameras on one topic
    CAMERA_MOVED = "warning.camera_moved"  # a little; its images are moved back
    FOREIGN_OBJECT = "warning.foreign_object"  # beside the way; the model looks past it
    FRAMES = "warning.frames"  # odometry of several frames on one topic
    GOAL_REFUSED = "warning.goal_refused"  # a goal cannot be read
    MESSAGE_DROPPED = "warning.message_dropped"  # a message cannot be read
    CONNECTIONS = "warning.connections"  # another type or quality of service, or two publishers
    CALLBACK = "warning.callback"  # a callback failed
    FAMILIARITY = "warning.familiarity"  # checks are off, because the checkpoint lacks their data
    ANGLES = "warning.angles"  # the checkpoint does not know that an entry is an angle
    MOVING_REST = "warning.moving_rest"  # the limits exclude 0, so a hold does not stop the robot
    CHECKPOINT = "warning.checkpoint"  # the parameter names a checkpoint that is not in use


class GoalCode(Code):
    """What has become of a goal."""

    WAITING = "goal.waiting"
    EXECUTING = "goal.executing"
    REACHED = "goal.reached"
    ABORTED = "goal.aborted"  # not reached in time
    CANCELLED = "goal.cancelled"  # cancelled by a person, or replaced by another goal

    @property
    def is_final(self) -> bool:
        """Whether the goal has ended."""
        return self not in (GoalCode.WAITING, GoalCode.EXECUTING)

    @property
    def word(self) -> str:
        """A word for people."""
        return self.value.partition(".")[2]


class SimCode(Code):
    """What a simulated robot does with its plans."""

    NO_REST = "sim.no_rest"  # the robot was never measured, so it is sent nothing
    NO_PLAN = "sim.no_plan"  # no plan has come yet
    EXECUTING = "sim.executing"
    PENDING = "sim.pending"  # the plan starts later
    HELD = "sim.held"  # the controller asked for a hold
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
        """A word for people."""
        return self.value.partition(".")[2]
