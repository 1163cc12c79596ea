"""Execution of plans: which action applies now, and when to hold.

This is the consumer's side of `planned_actions`. It stands between the planner and the motors, so
it trusts nobody. It executes points by time. It holds when they run out, when the planner falls
silent, and when a plan makes no sense. It never commands a position robot to move by more than one
control period's motion at once. Times are integer nanoseconds of one clock.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping

import numpy as np

from wm_mpc.codes import SimCode
from wm_mpc.control.pace import Pace
from wm_mpc.control.timeline import Timeline
from wm_mpc.spec import ActionSpec
from wm_mpc.units import SECOND, STAMP_TOLERANCE

_LIMIT_TOLERANCE = 1e-6  # of the range; allows for rounding to float32


class PlanError(ValueError):
    """The plan must not be executed; the text says why."""


class Following(enum.Enum):
    """What the follower does, as a sentence for people."""

    UNKNOWN = "sending nothing: the robot has not been measured, so its rest is unknown"
    WAITING = "holding: no plan yet"
    EXECUTING = "executing the plan"
    PENDING = "holding: the plan starts later"
    REQUESTED = "holding: the planner asked for it"
    FINISHED = "holding: the plan ran out of points"
    TIMED_OUT = "holding: no new plan within plan_timeout"
    REFUSED = "holding: the last plan was refused"

    @property
    def code(self) -> SimCode:
        """The same for programs."""
        return _CODES[self]


_CODES = {
    Following.UNKNOWN: SimCode.NO_REST,
    Following.WAITING: SimCode.NO_PLAN,
    Following.EXECUTING: SimCode.EXECUTING,
    Following.PENDING: SimCode.PENDING,
    Following.REQUESTED: SimCode.HELD,
    Following.FINISHED: SimCode.FINISHED,
    Following.TIMED_OUT: SimCode.TIMED_OUT,
    Following.REFUSED: SimCode.REFUSED,
}


class PlanFollower:
    """Keeps the newest plan, and gives the action of each moment. Not thread-safe.

    A position robot rests where it was measured (`measure`, `reset`). Before the first measurement,
    there is no action. Each action is within reach of the earlier ones (`Pace`), so ask for one
    each control period. A late plan or a silence causes no jump: the robot catches up at its rate
    limit.

    Args:
        action: Names, kind and limits of an action.
        control_period: Length of a point, s.
        plan_timeout: Time without a plan after which the planner counts as dead, s.

    Attributes:
        plan_timeout: See the arguments.
        status: What the last `action_at` did.
        lag: How far a position robot may be behind its commands, s. See `action_at`.
    """

    def __init__(
        self, action: ActionSpec, control_period: float, plan_timeout: float = 1.0
    ) -> None:
        self.plan_timeout, self.lag = plan_timeout, math.inf
        self.status = Following.WAITING
        self._action, self._period = action, control_period
        self._low, self._high = np.asarray(action.low), np.asarray(action.high)
        self._tolerance = (self._high - self._low) * _LIMIT_TOLERANCE
        period = round(control_period * SECOND)
        self._timeline = Timeline(
            period, None, keeps_last=action.rest_is_measured, tolerance=STAMP_TOLERANCE
        )
        self._rest = action.rest()  # None for positions, which rest at the last command
        self._pace: Pace | None = None
        self._change = action.largest_change(control_period)
        if action.rest_is_measured:
            assert self._change is not None
            self._pace = Pace(self._change, period)
        self.reset()

    def reset(self, *, not_before: int = 0, rest: np.ndarray | None = None) -> None:
        """Forget all plans, because a new episode begins.

        Args:
            not_before: Ignore plans that start before this time, ns. They belong to another
                episode.
            rest: Position (action size,) to hold until the first plan, in the action's unit; only
                for position robots. Without it, the robot holds its last command.
        """
        self._timeline.clear()
        self._received: int | None = None
        self._not_before = not_before
        self._without_plan = Following.WAITING
        self.status = Following.WAITING
        if rest is not None and self._pace is not None:
            self._pace.begin(np.clip(np.asarray(rest, np.float64), self._low, self._high))

    def measure(self, measured: Mapping[str, float]) -> None:
        """Note where the robot is while no plan moves it.

        The robot rests there from now on, if its rest was unknown before or if somebody moved it
        away. A robot that sags by less than one control period's motion keeps its rest. Otherwise
        it would creep away, because each new rest would be a bit lower.

        Args:
            measured: Positions by name, rad or m.
        """
        rest = self._action.rest(measured)
        if self._pace is None or self._action.unmeasured(measured):
            return
        last = self._pace.last
        if rest is None:  # moved outside its limits; a command back would make it jump
            self._pace.forget()
        elif last is None or (np.abs(rest - last) > self._change).any():
            self._pace.begin(rest)

    def forget_rest(self) -> None:
        """Forget where a position robot rests. It must be measured before it moves again."""
        if self._pace is not None:
            self._pace.forget()

    def go_along(self, now: int) -> None:
        """Note that somebody else executed the plan.

        A position robot is then where the plan has brought it.

        Args:
            now: The plan was executed up to this time, ns.
        """
        if self._pace is None or self._received is None or self._pace.last is None:
            return
        ended = min(now, self._received + round(self.plan_timeout * SECOND))
        place = self._timeline.at(ended)
        if place is not None:
            self._pace.begin(np.clip(place, self._low, self._high))

    def offer(
        self,
        start: int,
        actions: np.ndarray,
        now: int,
        measured: Mapping[str, float] | None = None,
    ) -> bool:
        """Take a new plan. The old plan applies until the new one starts.

        Args:
            start: When point 0 begins to apply, ns.
            actions: (points, action size), in the action's unit. No points mean: hold now.
            now: Time of arrival, ns.
            measured: Positions by name at that time, rad or m, as far as known. On a hold, a moving
                position robot stops there, or as near to it as one step allows. If nothing was
                measured before, the plan begins there.

        Returns:
            False if the plan is ignored because it starts before this episode.

        Raises:
            PlanError: The size is wrong, numbers are not finite, or values are outside the limits.
                The robot then holds.
        """
        if start < self._not_before:
            return False
        actions = np.asarray(actions, np.float64)
        try:
            self._check(actions)
        except PlanError:
            self.refuse(now)
            raise
        if len(actions) == 0:
            self._stop(now, measured)
            self._received = now
            self._without_plan = Following.REQUESTED
            return True
        if self._pace is not None and self._pace.last is None:
            self.measure(measured or {})
        self._received = now
        self._timeline.put(start, actions)
        self._timeline.forget_before(now)  # or old plans pile up while nobody asks for actions
        return True

    def _stop(self, now: int, measured: Mapping[str, float] | None) -> None:
        """Drop all plans; a position robot rests near where it is."""
        self._approach(now, measured)
        self._timeline.clear()

    def refuse(self, now: int) -> None:
        """Hold, because a message arrived that is not a usable plan.

        Args:
            now: The time, ns.
        """
        self._stop(now, None)
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

    def action_at(self, now: int, measured: Mapping[str, float] | None = None) -> np.ndarray | None:
        """Return the action that applies now, inside the limits.

        Point k of a plan applies during [start + k * period, start + (k + 1) * period). Without a
        point the robot rests: velocities and efforts are as near to zero as their limits allow, and
        positions stay at the last command or measurement. If a position is out of reach, the robot
        approaches it at the rate limit.

        Args:
            now: The time, ns.
            measured: Positions by name at that time, rad or m, as far as known. A command leads a
                position robot by one period's motion and the motion in `lag` at most.

        Returns:
            The action (action size,), in its unit; None if the robot's rest is unknown.
        """
        point = self._point_at(now)
        action = None if point is None else np.clip(point, self._low, self._high)
        if self._pace is None:
            assert self._rest is not None
            return self._rest.copy() if action is None else action
        if self._pace.last is None:
            self.status = Following.UNKNOWN
            return None
        if action is None:
            return self._pace.command(self._pace.last, now)
        return self._pace.command(self._led(action, measured or {}), now)

    def _led(self, action: np.ndarray, measured: Mapping[str, float]) -> np.ndarray:
        """The action, but not too far ahead of where the robot is."""
        assert self._change is not None
        here = np.array([measured.get(name, math.nan) for name in self._action.names])
        reach = self._change * (1.0 + self.lag / self._period)
        led = np.where(np.isfinite(here), np.clip(action, here - reach, here + reach), action)
        return np.clip(led, self._low, self._high)

    def moves(self, now: int) -> bool:
        """Whether a plan has a point for this time.

        Args:
            now: The time, ns.
        """
        return self._point_at(now) is not None

    def rest_at(self, now: int, measured: Mapping[str, float] | None = None) -> np.ndarray | None:
        """Return the action that stops the robot. The plan stays.

        Args:
            now: The time, ns.
            measured: Positions by name at that time, rad or m, as far as known.

        Returns:
            The action (action size,), in its unit; None if it is unknown. For velocities and
            efforts it is rest, for position robots the positions of a hold (`offer`).
        """
        if self._pace is None:
            assert self._rest is not None
            return self._rest.copy()
        self._approach(now, measured)
        if self._pace.last is None:
            self.status = Following.UNKNOWN
            return None
        return self._pace.last.copy()

    def _approach(self, now: int, measured: Mapping[str, float] | None) -> None:
        """Let a position robot rest near where it is, and within a step of the plan's position.

        Others execute the same plan, and hold there.
        """
        if self._pace is None:
            return
        point = self._point_at(now)
        if self._pace.last is None or point is None:
            self.measure(measured or {})
            return
        rest = self._action.rest(measured)  # None: it holds at its last command
        if rest is not None:
            assert self._change is not None
            self._pace.command(np.clip(rest, point - self._change, point + self._change), now)

    def _point_at(self, now: int) -> np.ndarray | None:
        if self._received is None:
            self.status = Following.WAITING
            return None
        if now - self._received > self.plan_timeout * SECOND:
            self.status = Following.TIMED_OUT
            return None
        self._timeline.forget_before(now)
        entry = self._timeline.entry_at(now)
        if entry is None:
            pending = self._timeline.entries
            self.status = Following.PENDING if pending else self._without_plan
            return None
        point = self._timeline.planned_at(now)
        self.status = Following.FINISHED if point is None else Following.EXECUTING
        return point

    def remaining(self, now: int) -> np.ndarray:
        """Return the points (points, action size) that are still to be executed, for pictures.

        Args:
            now: The time, ns.
        """
        return self._timeline.remaining(now).reshape(-1, self._action.size)
