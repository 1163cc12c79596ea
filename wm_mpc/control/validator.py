"""The last check between an optimiser and a robot: what leaves here is safe to execute, or nothing.

It trusts no planner: limits, rates of change and finiteness are checked again, whoever made the
plan and however; and whether the plan is still about the present.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable

import numpy as np

from wm_mpc.control.codes import HoldCode
from wm_mpc.spec import RobotSpec

_ROUNDING = 1e-5  # of an action's range: what arithmetic in float32 may be off


class Verdict(enum.Enum):
    """SUCCESS: as planned. DEGRADED: changed so that it can be executed. HOLD: must not be."""

    SUCCESS = "SUCCESS"
    DEGRADED = "DEGRADED"
    HOLD = "HOLD"


@dataclasses.dataclass(frozen=True)
class Validation:
    """What the validator says about a plan.

    Attributes:
        verdict: Whether it may be sent.
        actions: float64 (points, action size) to execute; none for HOLD.
        reason: What was wrong; empty for SUCCESS.
    """

    verdict: Verdict
    actions: np.ndarray
    reason: str = ""
    code: HoldCode | None = None


class PlanValidator:
    """For one robot. Thread-safe: keeps nothing."""

    def __init__(self, spec: RobotSpec) -> None:
        action = spec.action
        self._spec = spec
        self._low, self._high = np.array(action.low), np.array(action.high)
        self._tolerance = _ROUNDING * (self._high - self._low)
        change = spec.largest_change
        self._change = math.inf * np.ones(action.size) if change is None else change
        self._rest = spec.rest()  # None: of positions, which have to be measured

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
        """What of a plan may be sent.

        Args:
            actions: (points, action size), as planned.
            age: How old the observation is now that the plan was made from, s.
            timeout: How old that may be, s.
            before: The action (action size,) executed before the first point.
            fixed: How many points are being executed already and so cannot be changed.
            pace: Above 0 to 1, how fast to go.
            why: The reason, where `pace` is less than 1.
            measured: Of a robot moved by positions, where it was measured (action size,) as the
                first point begins. Without it, none of its plans may be sent.
            lag: How long (s) a position robot in motion may be behind its commands; 0 for one that
                stands, where the first free point is brought into reach of `measured`, too.
        """
        actions = np.asarray(actions, np.float64)
        if actions.ndim != 2 or actions.shape[1] != self._spec.action.size or not len(actions):
            wanted = f"(points, {self._spec.action.size})"
            reason = f"the plan has shape {actions.shape}; {wanted} is needed"
            return self._refused(HoldCode.INVALID_PLAN, reason)
        if not np.isfinite(actions).all():
            return self._refused(HoldCode.INVALID_PLAN, "the plan is not finite")
        if not age <= timeout:
            reason = (
                f"the plan is of an observation {age:.2f} s old (observation_timeout {timeout} s)"
            )
            return self._refused(HoldCode.STALE_PLAN, reason)
        first = range(min(fixed, len(actions) - 1) + 1)  # executed already, and the first free one
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
        # Of a plan that took longer than thought: what is executed as soon as it is sent.
        present = min(max(0, int(age / self._spec.control_period)), len(actions) - 1)
        unsafe = self._out_of_reach(limited, range(present, present + 1), measured, lag)
        if unsafe:
            return self._refused(HoldCode.JUMP, unsafe)
        verdict = Verdict.DEGRADED if reasons else Verdict.SUCCESS
        return Validation(verdict, limited, "; ".join(reasons))

    def _refused(self, code: HoldCode, reason: str) -> Validation:
        nothing = np.zeros((0, self._spec.action.size))
        return Validation(Verdict.HOLD, nothing, reason, code)

    def _out_of_reach(
        self, actions: np.ndarray, numbers: Iterable[int], measured: np.ndarray | None, lag: float
    ) -> str:
        """Why a position robot must not be sent to some of a plan's points; empty if it may.

        A point may be as far from where the robot is as it moves until that point's end; at rest a
        period's motion farther, for what it sags; in motion as far as it moves within `lag`.
        """
        if not self._spec.rest_is_measured:
            return ""
        if measured is None or not np.isfinite(measured).all():
            return "where the robot is has not been measured; a plan of positions begins there"
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
        """Velocities and efforts nearer to rest; positions nearer to where the robot is going
        now."""
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
        """Each action at most the largest change from the one before it, the first free one also
        from where a robot that stands was measured."""
        if np.isinf(self._change).all():
            return actions
        limited = actions.copy()
        last = before if fixed == 0 else actions[min(fixed, len(actions)) - 1]
        for number, row in enumerate(limited[fixed:]):
            low, high = last - self._change, last + self._change
            if number == 0 and measured is not None and self._spec.rest_is_measured:
                # Both, unless it sags by more than a period's motion: then what is nearer.
                low = np.minimum(np.maximum(low, measured - self._change), high)
                high = np.maximum(np.minimum(high, measured + self._change), low)
            row[:] = last = np.clip(row, low, high)
        return limited

    def _where(self, wrong: np.ndarray) -> str:
        point, index = np.argwhere(wrong)[0]
        return f"at point {point} of {self._spec.action.names[index]}"
