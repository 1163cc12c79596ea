"""The last check between planner and robot: only a safe plan leaves here.

The validator trusts no planner. It checks limits, rates of change and finite numbers again, whoever
made the plan. It also checks that the plan's observation is not too old.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable

import numpy as np

from wm_mpc.codes import HoldCode
from wm_mpc.spec import RobotSpec

_ROUNDING = 1e-5  # of an action's range, for rounding errors of float32


class Verdict(enum.Enum):
    """SUCCESS: unchanged. DEGRADED: changed to make it safe. HOLD: must not be sent."""

    SUCCESS = "SUCCESS"
    DEGRADED = "DEGRADED"
    HOLD = "HOLD"


@dataclasses.dataclass(frozen=True)
class Validation:
    """The result of the check of one plan.

    Attributes:
        verdict: Whether the plan may be sent.
        actions: float64 (points, action size) to execute, in the action's unit; none for HOLD.
        reason: What was wrong; empty for SUCCESS.
        code: Code of HOLD; None otherwise.
    """

    verdict: Verdict
    actions: np.ndarray
    reason: str = ""
    code: HoldCode | None = None


class PlanValidator:
    """The validator of one robot. Thread-safe: it keeps nothing.

    Args:
        spec: The robot.
    """

    def __init__(self, spec: RobotSpec) -> None:
        action = spec.action
        self._spec = spec
        self._low, self._high = np.array(action.low), np.array(action.high)
        self._tolerance = _ROUNDING * (self._high - self._low)
        change = spec.largest_change
        self._change = math.inf * np.ones(action.size) if change is None else change
        self._rest = spec.rest()  # None for positions, which must be measured

    def check(
        self,
        actions: np.ndarray,
        *,
        age: float,
        timeout: float,
        before: np.ndarray,
        fixed: int = 0,
        pace: float = 1.0,
        why: str = "",
        measured: np.ndarray | None = None,
        lag: float = 0.0,
    ) -> Validation:
        """Check a plan.

        Args:
            actions: (points, action size), as planned, in the action's unit.
            age: Present age of the plan's observation, s.
            timeout: Largest accepted age, s.
            before: Action (action size,) executed before the first point.
            fixed: Number of first points that the robot already executes, so nothing can change
                them.
            pace: Share of the planned speed, above 0 to 1.
            why: Reason for a pace below 1.
            measured: Where a position robot was measured as the first point begins, (action size,).
                Without it, no plan of positions is accepted.
            lag: How far a moving position robot may be behind its commands, s. 0 for a robot at
                rest: its first free point is also brought within reach of `measured`.
        """
        actions = np.asarray(actions, np.float64)
        if actions.ndim != 2 or actions.shape[1] != self._spec.action.size or not len(actions):
            wanted = f"(points, {self._spec.action.size})"
            reason = f"the plan has shape {actions.shape}; {wanted} is needed"
            return self._refused(HoldCode.INVALID_PLAN, reason)
        if not np.isfinite(actions).all():
            return self._refused(HoldCode.INVALID_PLAN, "the plan is not finite")
        if not age <= timeout:
            reason = f"the plan's observation is {age:.2f} s old (observation_timeout {timeout} s)"
            return self._refused(HoldCode.STALE_PLAN, reason)
        first = range(min(fixed, len(actions) - 1) + 1)  # fixed points and the first free one
        unsafe = self._out_of_reach(actions, first, measured, lag)
        if unsafe:
            return self._refused(HoldCode.JUMP, unsafe)
        reasons = []
        if pace < 1.0:
            actions = self._slower(actions, fixed, before, pace)
            reasons.append(why or f"at {100 * pace:.0f} % of the pace")
        inside = np.clip(actions, self._low, self._high)
        if (np.abs(inside - actions) > self._tolerance).any():
            reasons.append(f"outside the limits {self._where(inside != actions)}")
        limited = self._limited(inside, fixed, before, None if lag else measured)
        if (np.abs(limited - inside) > self._tolerance).any():
            reasons.append(f"changed faster than the limit {self._where(limited != inside)}")
        # Planning may have taken longer than expected: check the point that applies now.
        present = min(max(0, int(age / self._spec.control_period)), len(actions) - 1)
        unsafe = self._out_of_reach(limited, range(present, present + 1), measured, lag)
        if unsafe:
            return self._refused(HoldCode.JUMP, unsafe)
        verdict = Verdict.DEGRADED if reasons else Verdict.SUCCESS
        return Validation(verdict, limited, "; ".join(reasons))

    def why_behind(self, wanted: np.ndarray, measured: np.ndarray, lag: float) -> str:
        """Say where a position robot is too far from its plan; empty if it is near enough.

        Args:
            wanted: Planned positions (action size,) at the moment of the measurement.
            measured: Measured positions (action size,); NaN where unknown.
            lag: How far the robot may be behind, s at the rate limit.
        """
        slack = lag / self._spec.control_period if lag else 1.0  # as in a plan's check
        reach = self._change * (1.0 + slack)
        away = np.abs(wanted - measured)
        if not (away > reach + self._tolerance).any():
            return ""
        k, action = int(np.nanargmax(away / reach)), self._spec.action
        return (
            f"{action.names[k]} is at {measured[k]:.4g} {action.unit}, {away[k]:.4g} from its "
            f"plan; accepted: {reach[k]:.4g} (limits.lag {lag:g} s)"
        )

    def _refused(self, code: HoldCode, reason: str) -> Validation:
        nothing = np.zeros((0, self._spec.action.size))
        return Validation(Verdict.HOLD, nothing, reason, code)

    def _out_of_reach(
        self, actions: np.ndarray, numbers: Iterable[int], measured: np.ndarray | None, lag: float
    ) -> str:
        """Why a position robot must not be sent to these points; empty if it may.

        A point may be as far away as the robot moves until the point ends. A robot at rest may sag,
        so a period's motion is added; for a moving robot, the motion in `lag` is added.
        """
        if not self._spec.rest_is_measured:
            return ""
        if measured is None or not np.isfinite(measured).all():
            return "the robot's position has not been measured; a plan of positions begins there"
        for number in numbers:
            slack = lag / self._spec.control_period if lag else 1.0
            reach = self._change * (number + 1 + slack)
            away = np.abs(actions[number] - measured)
            if (away > reach + self._tolerance).any():
                k = int(np.argmax(away / reach))
                action = self._spec.action
                return (
                    f"the plan would make {action.names[k]} jump: point {number} is "
                    f"{actions[number, k]:.4g} {action.unit}, {away[k]:.4g} from the measured "
                    f"{measured[k]:.4g}; accepted: {reach[k]:.4g}"
                )
        return ""

    def _slower(
        self, actions: np.ndarray, fixed: int, before: np.ndarray, pace: float
    ) -> np.ndarray:
        """Bring velocities and efforts nearer to rest, and positions nearer to the present one."""
        slower = actions.copy()
        origin = self._rest
        if origin is None:
            origin = actions[fixed - 1] if 0 < fixed <= len(actions) else before
        slower[fixed:] = origin + pace * (actions[fixed:] - origin)
        return slower

    def _limited(
        self,
        actions: np.ndarray,
        fixed: int,
        before: np.ndarray,
        measured: np.ndarray | None,
    ) -> np.ndarray:
        """Limit each action to the largest change from the action before it.

        For a robot at rest, also limit the first free action to the largest change from `measured`.
        """
        if np.isinf(self._change).all():
            return actions
        limited = actions.copy()
        last = before if fixed == 0 else actions[min(fixed, len(actions)) - 1]
        for number, row in enumerate(limited[fixed:]):
            low, high = last - self._change, last + self._change
            if number == 0 and measured is not None and self._spec.rest_is_measured:
                # Keep both limits. If it sags by more than a period's motion, take the nearer one.
                low = np.minimum(np.maximum(low, measured - self._change), high)
                high = np.maximum(np.minimum(high, measured + self._change), low)
            row[:] = last = np.clip(row, low, high)
        return limited

    def _where(self, wrong: np.ndarray) -> str:
        point, index = np.argwhere(wrong)[0]
        return f"at point {point} of {self._spec.action.names[index]}"
