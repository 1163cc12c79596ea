"""What has already been promised: the actions a robot executes until the next plan arrives.

A plan is computed from an observation that is a little old, and takes effect a little later; in
between the robot executes earlier plans. Looking these actions up lets the next plan start from
where the robot will be, not from where it was.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from wm_mpc.spec import RobotSpec

_SECOND = 1_000_000_000


class Commitments:
    """The plans sent so far, as the robot executes them. Times are integer nanoseconds.

    period: of control.
    """

    def __init__(self, spec: RobotSpec) -> None:
        self.period = round(spec.control_period * _SECOND)
        self._rest = np.clip(np.zeros(spec.action.size), spec.action.low, spec.action.high)
        self._holds_position = spec.action.kind == "position"
        # Long enough for what the model looks back on, and for a step before that.
        self._span = round((spec.history + 2) * spec.model_period * _SECOND)
        self._plans: deque[tuple[int, np.ndarray]] = deque(maxlen=1000)

    def sent(self, start: int, actions: np.ndarray) -> None:
        """Note a plan: point k of `actions` (points, action size) applies from start + k periods.
        No points: hold from `start` on; robots whose actions are positions hold the last one."""
        actions = np.asarray(actions, np.float64)
        if len(actions) == 0 and self._holds_position:
            actions = self.action_at(start)[None]
        self._plans.append((start, actions))
        while len(self._plans) > 1 and self._plans[1][0] < start - self._span:
            self._plans.popleft()

    def action_at(self, time: int) -> np.ndarray:
        """The action (action size,) that applies at `time`; rest when no plan covers it."""
        for start, actions in reversed(self._plans):
            if start <= time and len(actions) == 0:
                return self._rest
            if start <= time:
                index = (time - start) // self.period
                if index < len(actions):
                    return actions[index]
                return actions[-1] if self._holds_position else self._rest
        return self._rest

    def between(self, start: int, arrival: int) -> np.ndarray:
        """The actions (n, action size) of the control periods, counted from `start`, that begin
        before a plan can arrive at `arrival`."""
        count = max(0, math.ceil((arrival - start) / self.period))
        rows = [self.action_at(start + k * self.period) for k in range(count)]
        return np.array(rows).reshape(count, len(self._rest))
