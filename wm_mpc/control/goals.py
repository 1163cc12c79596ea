"""Goals one after another, and how each of them ended. Knows nothing of ROS."""

from __future__ import annotations

import dataclasses
import enum
import math
import threading
from collections import deque
from typing import Any

_REMEMBERED = 10  # goals that have ended
_MOST_WAITING = 100


class GoalStatus(enum.Enum):
    """Where a goal is; the value is a word for a person."""

    WAITING = "waiting"
    EXECUTING = "executing"
    REACHED = "reached"
    ABORTED = "aborted"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (GoalStatus.WAITING, GoalStatus.EXECUTING)


@dataclasses.dataclass(frozen=True)
class Goal:
    """A goal and what became of it.

    Attributes:
        number: Counted from 1.
        content: What to reach, in whatever form a planner understands.
        status: Where it is.
        revision: How often its content was exchanged.
        reason: Why it ended without being reached.
        distance: Distance of the latest observation, in model steps; NaN while it is unknown.
        seconds: Time since planning for it began.
    """

    number: int
    content: Any
    status: GoalStatus = GoalStatus.WAITING
    revision: int = 0
    reason: str = ""
    distance: float = math.nan
    seconds: float = 0.0


class GoalQueue:
    """The goal that is planned for, those that wait, and those that have ended. Thread-safe.

    A goal is reached when `settle` observations in a row were within the tolerance. The last one
    stays the goal then, until another comes: a robot that is pushed away goes back.
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
        """What to plan for: executing, or reached while none waits; None without a goal."""
        with self._lock:
            return self._current

    def all(self) -> list[Goal]:
        """The latest that have ended, the current one, and those that wait, by number."""
        with self._lock:
            current = [] if self._current is None else [self._current]
            return [*self._ended, *current, *self._waiting]

    def replace(self, content: Any) -> Goal:
        """A goal that counts at once; all others are cancelled."""
        with self._lock:
            self.clear("another goal came in its place")
            return self.append(content)

    def append(self, content: Any) -> Goal:
        """Add a goal after all others.

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
        """Give a goal that has not ended another content, such as a state that came late.

        Args:
            number: Of the goal.
            content: The new content.
            counts: Whether it is a new revision; not if nothing of it is planned with.
        """
        with self._lock:
            if self._current is not None and self._current.number == number:
                self._current = _exchanged(self._current, content, counts)
            self._waiting = deque(
                _exchanged(goal, content, counts) if goal.number == number else goal
                for goal in self._waiting
            )

    def has_ended(self, number: int) -> bool:
        """Whether a goal is neither planned for, nor waits."""
        with self._lock:
            present = [] if self._current is None else [self._current]
            return all(goal.number != number for goal in (*present, *self._waiting))

    def see(
        self, number: int, distance: float, now: float, *, tolerance: float, timeout: float
    ) -> Goal | None:
        """Note an observation from which a plan for a goal was made.

        Args:
            number: Of the goal.
            distance: Distance to it, in model steps; NaN: unknown.
            now: Time of any clock, s.
            tolerance: In model steps.
            timeout: In s; 0: none.

        Returns:
            The goal, if it ended with this observation.
        """
        with self._lock:
            goal = self._current
            if goal is None or goal.number != number:  # another one came meanwhile
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
        """Go on with the next goal, as a person wants it; whether there was one to leave."""
        return self._end(GoalStatus.CANCELLED, "skipped") is not None

    def clear(self, reason: str = "cleared") -> int:
        """No goal any more; how many had not ended."""
        with self._lock:
            unfinished = sum(not goal.status.is_final for goal in self.all())
            waiting, self._waiting = self._waiting, deque()
            self._end(GoalStatus.CANCELLED, reason)
            self._ended.extend(_ended(goal, GoalStatus.CANCELLED, reason) for goal in waiting)
            return unfinished

    def _end(self, status: GoalStatus, reason: str) -> Goal | None:
        """Go on with the next goal; returns the one that was left, if there was one."""
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
