"""Plans on their way from the callbacks' thread to the loop of the node `sim`."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.control.following import Following, PlanError, PlanFollower
from wm_mpc.ros.messages import MessageError, trajectory_to_actions
from wm_mpc.ros.running import Stopped
from wm_mpc.ros.timing import to_nanoseconds
from wm_mpc.spec import RobotSpec

_NAP = 0.05  # s between looks at whether to stop


@dataclasses.dataclass(frozen=True)
class Decision:
    """What to do in one control step. action: (action size,); remaining: (points, action size).
    started: whether the planner has ever sent a plan; until then episodes do not count."""

    action: np.ndarray
    remaining: np.ndarray
    status: Following
    started: bool


class PlanInbox:
    """Checks and keeps what comes on `planned_actions`. Thread-safe. Times are nanoseconds.

    now: the clock of the control steps. lockstep: take only the plan whose stamp is the awaited
    one.
    """

    def __init__(
        self, spec: RobotSpec, now: Callable[[], int], logger: Any, *, lockstep: bool
    ) -> None:
        self._spec, self._now, self._logger, self._lockstep = spec, now, logger, lockstep
        self._follower = PlanFollower(spec.action, spec.control_period)
        self._changed = threading.Condition()
        self._started = False
        self._awaited = self._answered = -1

    def on_message(self, message: JointTrajectory) -> None:
        """The subscription's callback."""
        stamp = to_nanoseconds(message.header.stamp)
        with self._changed:
            if (not self._lockstep or stamp == self._awaited) and self._take(message, stamp):
                self._answered = stamp
                self._changed.notify_all()

    def _take(self, message: JointTrajectory, stamp: int) -> bool:
        """Whether the message is an answer, if only a bad one."""
        now = self._now()
        try:
            _, actions = trajectory_to_actions(
                message, self._spec.action, self._spec.control_period
            )
            # A planner that is not ready yet says "hold"; the episode starts when it moves.
            if not self._started and len(actions) == 0:
                return False
            if not self._follower.offer(stamp, actions, now):
                return False
        except (MessageError, PlanError) as error:
            self._follower.refuse(now)
            self._logger.warning(f"plan refused, holding: {error}", throttle_duration_sec=1.0)
            return self._started
        self._started = True
        return True

    def begin_episode(self, not_before: int, rest: np.ndarray | None) -> None:
        """Forget all plans; see `PlanFollower.reset`."""
        with self._changed:
            self._follower.reset(not_before=not_before, rest=rest)

    def expect(self, stamp: int) -> None:
        """In lockstep: from now on, only a plan of this stamp is an answer."""
        with self._changed:
            self._awaited = stamp

    def wait_for_answer(self, seconds: float, interrupted: Stopped) -> bool:
        """Whether the expected plan came within so many seconds and before `interrupted()`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._answered != self._awaited:
                left = deadline - time.monotonic()
                if left <= 0 or interrupted():
                    return False
                self._changed.wait(min(left, _NAP))
        return True

    @property
    def started(self) -> bool:
        """Whether the planner has ever sent a plan in this run."""
        return self._started

    def decide(self, stamp: int, plan_timeout: float) -> Decision:
        """The action that applies at `stamp`. plan_timeout: seconds, see `PlanFollower`."""
        with self._changed:
            follower = self._follower
            before = follower.status
            follower.plan_timeout = plan_timeout
            action = follower.action_at(stamp)
            assert action is not None  # an episode begins with the measured rest
            decision = Decision(
                action, follower.remaining(stamp), follower.status, started=self._started
            )
        if decision.status is not before:
            self._log_change(before, decision.status, plan_timeout)
        return decision

    def _log_change(self, before: Following, now: Following, plan_timeout: float) -> None:
        if now is Following.TIMED_OUT:
            self._logger.warning(f"no new plan for {plan_timeout} s: holding until one comes")
        elif before is Following.TIMED_OUT and now is Following.EXECUTING:
            self._logger.info("plans are coming again")
