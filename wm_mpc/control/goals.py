"""A queue of goals, and how each goal ended. Knows nothing of ROS."""

from __future__ import annotations

import dataclasses
import enum
import math
import threading
from collections import deque
from typing import Any

_REMEMBERED = 10  # ended goals that are kept
_MOST_WAITING = 100


class GoalStatus(enum.Enum):
    """What has become of a goal. The value is a word for people."""

    WAITING = "waiting"
    EXECUTING = "executing"
    REACHED = "reached"
    ABORTED = "aborted"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the goal has ended."""
        return self not in (GoalStatus.WAITING, GoalStatus.EXECUTING)


@dataclasses.dataclass(frozen=True)
class Goal:
    """A goal and its progress.

    Attributes:
        number: Number of the goal, counted from 1.
        content: What to reach, in any form that the planner understands.
        status: What has become of the goal.
        revision: How many times the content was exchanged.
        reason: Why the goal ended without being reached.
        distance: Distance of the latest observation, in model steps; NaN while unknown.
        seconds: Time since planning for this goal began, s.
    """

    number: int
    content: Any
    status: GoalStatus = GoalStatus.WAITING
    revision: int = 0
    reason: str = ""
    distance: float = math.nan
    seconds: float = 0.0


class GoalQueue:
    """The present goal, the waiting goals, and the goals that have ended. Thread-safe.

    A goal is reached when `settle` observations in a row are within the tolerance. If no other goal
    waits, the planner keeps it, so a robot that is pushed away returns.

    Args:
        settle: Number of observations in a row that must be within the tolerance.
    """

    def __init__(self, settle: int = 5) -> None:
        self._settle = settle
        self._lock = threading.RLock()
        self._count = self._within = 0
        self._started = -1.0  # s; below 0: not yet
        self._current: Goal | None = None
        self._waiting: deque[Goal] = deque()
        self._ended: deque[Goal] = deque(maxlen=_REMEMBERED)

    @property
    def current(self) -> Goal | None:
        """The goal to plan for; None without a goal.

        It is being executed, or it was reached and no other goal waits.
        """
        with self._lock:
            return self._current

    def all(self) -> list[Goal]:
        """Return the latest ended goals, the present goal and the waiting ones, by number."""
        with self._lock:
            current = [] if self._current is None else [self._current]
            return [*self._ended, *current, *self._waiting]

    def replace(self, content: Any) -> Goal:
        """Cancel all goals, and plan for a new goal at once.

        Args:
            content: What to reach.

        Returns:
            The new goal.
        """
        with self._lock:
            self.clear("another goal came in its place")
            return self.append(content)

    def append(self, content: Any) -> Goal:
        """Add a goal after all others.

        Args:
            content: What to reach.

        Returns:
            The new goal.

        Raises:
            ValueError: Too many goals wait.
        """
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                raise ValueError(f"{_MOST_WAITING} goals wait already; accepted: no more")
            self._count += 1
            goal = Goal(self._count, content)
            self._waiting.append(goal)
            if self._current is None or self._current.status is GoalStatus.REACHED:
                self._next()
            return goal

    def exchange(self, number: int, content: Any, *, counts: bool = True) -> None:
        """Exchange the content of a goal that has not ended, for example when its state comes late.

        Args:
            number: Number of the goal.
            content: The new content.
            counts: Whether this makes a new revision. False if the change does not concern the
                planner.
        """
        with self._lock:
            if self._current is not None and self._current.number == number:
                self._current = _exchanged(self._current, content, counts)
            self._waiting = deque(
                _exchanged(goal, content, counts) if goal.number == number else goal
                for goal in self._waiting
            )

    def has_ended(self, number: int) -> bool:
        """Whether a goal is neither the present goal nor waiting.

        Args:
            number: Number of the goal.
        """
        with self._lock:
            present = [] if self._current is None else [self._current]
            return all(goal.number != number for goal in (*present, *self._waiting))

    def see(
        self, number: int, distance: float, now: float, *, tolerance: float, timeout: float
    ) -> Goal | None:
        """Note the distance to a goal after a plan was made for it.

        Args:
            number: Number of the goal.
            distance: Distance of the observation, in model steps; NaN if unknown.
            now: The time, s of any clock.
            tolerance: Distance at which the goal counts as reached, in model steps.
            timeout: Time after which to give up, s; 0: never.

        Returns:
            The goal if it has ended now, or else None.
        """
        with self._lock:
            goal = self._current
            if goal is None or goal.number != number:  # another goal came meanwhile
                return None
            if self._started < 0.0 or now < self._started:
                self._started = now
            seconds = now - self._started
            goal = self._current = dataclasses.replace(goal, distance=distance, seconds=seconds)
            if goal.status is not GoalStatus.EXECUTING:
                return None
            self._within = self._within + 1 if distance <= tolerance else 0
            if self._within >= self._settle:
                reached = self._current = dataclasses.replace(goal, status=GoalStatus.REACHED)
                if self._waiting:
                    self._next()
                return reached
            if seconds > timeout > 0.0:
                return self._end(GoalStatus.ABORTED, f"not reached within {timeout:g} s")
            return None

    def skip(self) -> bool:
        """Cancel the present goal, and go on with the next one.

        Returns:
            Whether there was a goal to skip.
        """
        return self._end(GoalStatus.CANCELLED, "skipped") is not None

    def clear(self, reason: str = "cleared") -> int:
        """Cancel all goals.

        Args:
            reason: Why, for people.

        Returns:
            How many goals had not ended.
        """
        with self._lock:
            unfinished = sum(not goal.status.is_final for goal in self.all())
            waiting, self._waiting = self._waiting, deque()
            self._end(GoalStatus.CANCELLED, reason)
            self._ended.extend(_ended(goal, GoalStatus.CANCELLED, reason) for goal in waiting)
            return unfinished

    def _end(self, status: GoalStatus, reason: str) -> Goal | None:
        """End the present goal, and go on with the next one; returns the ended goal, or None."""
        with self._lock:
            left = self._current
            if left is not None and not left.status.is_final:
                left = self._current = _ended(left, status, reason)
            if left is not None:
                self._next()
            return left

    def _next(self) -> None:
        if self._current is not None:
            self._ended.append(self._current)
        self._current, self._within, self._started = None, 0, -1.0
        if self._waiting:
            goal = self._waiting.popleft()
            self._current = dataclasses.replace(goal, status=GoalStatus.EXECUTING)


def _ended(goal: Goal, status: GoalStatus, reason: str) -> Goal:
    return dataclasses.replace(goal, status=status, reason=reason)


def _exchanged(goal: Goal, content: Any, counts: bool) -> Goal:
    return dataclasses.replace(goal, content=content, revision=goal.revision + counts)
