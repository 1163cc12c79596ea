"""Execution of plans: which action applies now, and when to hold still.

The consumer's side of `planned_actions`: it stands between the planner and the motors, so it
trusts nobody. It executes points by time, holds when they run out, when the planner falls silent
and when a plan makes no sense. Times are integer nanoseconds of one clock.
"""

from __future__ import annotations

import enum

import numpy as np

from wm_mpc.spec import ActionSpec

_SECOND = 1_000_000_000
_STAMP_TOLERANCE = 1_000  # ns; forgives a stamp that went through a float
_LIMIT_TOLERANCE = 1e-6  # of the range; forgives float32


class PlanError(ValueError):
    """A plan that must not be executed; the text says why."""


class Following(enum.Enum):
    """What the follower is doing, in words."""

    WAITING = "holding: no plan yet"
    EXECUTING = "executing the plan"
    PENDING = "holding: the plan starts later"
    REQUESTED = "holding: the planner asked for it"
    FINISHED = "holding: the plan ran out of points"
    TIMED_OUT = "holding: no new plan within plan_timeout"
    REFUSED = "holding: the last plan was refused"


class PlanFollower:
    """Holds the newest plan and tells the action of any moment. Not thread-safe.

    action: names, kind and limits of an action. control_period: seconds per point.
    plan_timeout: seconds after which a planner that sends nothing is taken for dead.

    `status` says what the last `action_at` did.
    """

    def __init__(
        self, action: ActionSpec, control_period: float, plan_timeout: float = 1.0
    ) -> None:
        self.plan_timeout = plan_timeout
        self.status = Following.WAITING
        self._action = action
        self._period = round(control_period * _SECOND)
        self._low, self._high = np.asarray(action.low), np.asarray(action.high)
        self._tolerance = (self._high - self._low) * _LIMIT_TOLERANCE
        self._rest = np.zeros(action.size)
        self.reset()

    def reset(self, *, not_before: int = 0, rest: np.ndarray | None = None) -> None:
        """Forget all plans: a new episode begins.

        not_before: plans that start earlier are ignored; they were made for another episode.
        rest: the position (action size,) to hold until the first plan; only for actions of kind
        position. Without it, the last action's position is held.
        """
        self._plans: list[tuple[int, np.ndarray]] = []
        self._received: int | None = None
        self._not_before = not_before
        self._without_plan = Following.WAITING
        self.status = Following.WAITING
        if rest is not None and self._action.kind == "position":
            self._rest = np.asarray(rest, np.float64)

    def offer(self, start: int, actions: np.ndarray, now: int) -> bool:
        """Take a plan in place of the rest of the old one, which goes on until `start`.

        start: when point 0 begins to apply. actions: (points, action size) in the action's unit;
        no points mean: hold now. now: the time of arrival.

        Returns False when the plan is ignored because it starts before this episode. Raises
        PlanError, and holds from then on, for a wrong size, numbers that are not finite, or
        values outside the limits.
        """
        if start < self._not_before:
            return False
        actions = np.asarray(actions, np.float64)
        try:
            self._check(actions)
        except PlanError:
            self.refuse(now)
            raise
        self._received = now
        if len(actions) == 0:
            self._plans.clear()
            self._without_plan = Following.REQUESTED
            return True
        self._plans = [plan for plan in self._plans if plan[0] < start]
        self._plans.append((start, actions))
        self._plan_at(now)  # where nobody asks for actions, old plans must not pile up either
        return True

    def refuse(self, now: int) -> None:
        """Hold because what arrived is not a usable plan."""
        self._plans.clear()
        self._received = now
        self._without_plan = Following.REFUSED

    def _check(self, actions: np.ndarray) -> None:
        if actions.size == 0:
            return
        if actions.ndim != 2 or actions.shape[1] != self._action.size:
            raise PlanError(
                f"plan has shape {actions.shape}; (points, {self._action.size}) is needed"
            )
        if not np.isfinite(actions).all():
            raise PlanError("plan has numbers that are not finite")
        outside = (actions < self._low - self._tolerance) | (actions > self._high + self._tolerance)
        if outside.any():
            k, i = np.argwhere(outside)[0]
            raise PlanError(
                f"plan's point {k} of {self._action.names[i]} is {actions[k, i]:g} "
                f"{self._action.unit}; accepted: {self._low[i]:g} to {self._high[i]:g}"
            )

    def action_at(self, now: int) -> np.ndarray:
        """The action (action size,) that applies at `now`, inside the limits.

        Point k of a plan applies during [start + k * period, start + (k + 1) * period). Without a
        point: zeros for velocities and efforts, the last position for positions.
        """
        point = self._point_at(now)
        if point is None:
            return self._rest.copy()
        action = np.clip(point, self._low, self._high)
        if self._action.kind == "position":
            self._rest = action
        return action.copy()

    def rest_at(self, now: int) -> np.ndarray:
        """The action (action size,) that stops what is executed at `now`: zeros for velocities and
        efforts, the present position for positions. The plan stays."""
        self.action_at(now)
        return self._rest.copy()

    def _point_at(self, now: int) -> np.ndarray | None:
        if self._received is None:
            self.status = Following.WAITING
            return None
        if now - self._received > self.plan_timeout * _SECOND:
            self.status = Following.TIMED_OUT
            return None
        plan = self._plan_at(now)
        if plan is None:
            self.status = Following.PENDING if self._plans else self._without_plan
            return None
        start, actions = plan
        index = (now - start + _STAMP_TOLERANCE) // self._period
        if index >= len(actions):
            self.status = Following.FINISHED
            return None
        self.status = Following.EXECUTING
        return actions[index]

    def _plan_at(self, now: int) -> tuple[int, np.ndarray] | None:
        """The newest plan that has begun; the ones it replaces are forgotten."""
        begun = [plan for plan in self._plans if plan[0] <= now + _STAMP_TOLERANCE]
        if not begun:
            return None
        self._plans = self._plans[len(begun) - 1 :]
        return begun[-1]

    def remaining(self, now: int) -> np.ndarray:
        """The points (points, action size) that are still to be executed, for pictures."""
        plan = self._plan_at(now)
        if plan is None:
            return np.zeros((0, self._action.size))
        return plan[1][max(0, (now - plan[0] + _STAMP_TOLERANCE) // self._period) :]
