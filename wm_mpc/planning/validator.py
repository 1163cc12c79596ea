"""The last check between an optimiser and a robot: what leaves here is safe to execute, or nothing.

It trusts no planner: limits, rates of change and finiteness are checked again, whoever made the
plan and however; and whether the plan is still about the present.
"""

from __future__ import annotations

import dataclasses
import enum
import math

import numpy as np

from wm_mpc.spec import RobotSpec

_ROUNDING = 1e-5  # of an action's range: what arithmetic in float32 may be off


class Verdict(enum.Enum):
    """SUCCESS: as planned. DEGRADED: changed so that it can be executed. HOLD: must not be."""

    SUCCESS = "SUCCESS"
    DEGRADED = "DEGRADED"
    HOLD = "HOLD"


@dataclasses.dataclass(frozen=True)
class Validation:
    """actions: float64 (points, action size) to be executed; none for HOLD. reason: what was wrong;
    empty for SUCCESS."""

    verdict: Verdict
    actions: np.ndarray
    reason: str = ""


class PlanValidator:
    """For one robot. Thread-safe: keeps nothing."""

    def __init__(self, spec: RobotSpec) -> None:
        action = spec.action
        self._spec = spec
        self._low, self._high = np.array(action.low), np.array(action.high)
        self._tolerance = _ROUNDING * (self._high - self._low)
        self._change = math.inf * np.ones(action.size)
        if action.rate_limit is not None:
            self._change = np.array(action.rate_limit) * spec.control_period
        self._rest = np.clip(0.0, self._low, self._high)

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
    ) -> Validation:
        """actions: (points, action size), as planned. age: of the observation it was made from, now
        (s); timeout: how old that may be (s). before: the action (action size,) executed before the
        first point. fixed: points that are being executed already and so cannot be changed. pace:
        above 0 to 1, how fast to go; why: the reason, where that is less than 1."""
        actions = np.asarray(actions, np.float64)
        nothing = np.zeros((0, self._spec.action.size))
        if actions.ndim != 2 or actions.shape[1] != self._spec.action.size or not len(actions):
            wanted = f"(points, {self._spec.action.size})"
            return Validation(
                Verdict.HOLD, nothing, f"the plan has shape {actions.shape}; {wanted} is needed"
            )
        if not np.isfinite(actions).all():
            return Validation(Verdict.HOLD, nothing, "the plan is not finite")
        if not age <= timeout:
            reason = (
                f"the plan is of an observation {age:.2f} s old (observation_timeout {timeout} s)"
            )
            return Validation(Verdict.HOLD, nothing, reason)
        reasons = []
        if pace < 1.0:
            actions = self._slower(actions, fixed, before, pace)
            reasons.append(why or f"at {100 * pace:.0f} % of the pace")
        inside = np.clip(actions, self._low, self._high)
        if (np.abs(inside - actions) > self._tolerance).any():
            reasons.append(f"outside the limits {self._where(inside != actions)}")
        limited = self._limited(inside, fixed, before)
        if (np.abs(limited - inside) > self._tolerance).any():
            reasons.append(f"changed faster than the limit {self._where(limited != inside)}")
        verdict = Verdict.DEGRADED if reasons else Verdict.SUCCESS
        return Validation(verdict, limited, "; ".join(reasons))

    def _slower(
        self, actions: np.ndarray, fixed: int, before: np.ndarray, pace: float
    ) -> np.ndarray:
        """Velocities and efforts nearer to rest; positions nearer to where the robot is going
        now."""
        slower = actions.copy()
        origin = self._rest
        if self._spec.action.kind == "position":
            origin = actions[fixed - 1] if 0 < fixed <= len(actions) else before
        slower[fixed:] = origin + pace * (actions[fixed:] - origin)
        return slower

    def _limited(self, actions: np.ndarray, fixed: int, before: np.ndarray) -> np.ndarray:
        """Each action at most the largest change from the one before it."""
        if np.isinf(self._change).all():
            return actions
        limited = actions.copy()
        last = before if fixed == 0 else actions[min(fixed, len(actions)) - 1]
        for row in limited[fixed:]:
            row[:] = last = np.clip(row, last - self._change, last + self._change)
        return limited

    def _where(self, wrong: np.ndarray) -> str:
        point, index = np.argwhere(wrong)[0]
        return f"at point {point} of {self._spec.action.names[index]}"
