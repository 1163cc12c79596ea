"""The newest status of a controller, and whether it is of now."""

from __future__ import annotations

import math
import time

from wm_mpc.codes import HoldCode
from wm_mpc.messages.statuses import MpcStatus

_FRESH = 3.0  # s, for which a status counts as that of now; one comes each second
_SETTLED = 0.3  # s after a request, from which on a status tells of it


class NewestStatus:
    """What a controller said last.

    Attributes:
        status: The newest status; None: none came yet.
        came: When it came, on the monotonic clock, s.
    """

    def __init__(self) -> None:
        self.status: MpcStatus | None = None
        self.came = -math.inf
        self._answered, self._before = 0.0, ""

    def hear(self, status: MpcStatus) -> None:
        """Take up a status that has just come."""
        self.came, self.status = time.monotonic(), status

    def answered(self) -> None:
        """From now on, a status of before is old: the controller has answered a request."""
        self._before = "" if self.status is None else self.status.code
        self._answered = time.monotonic()

    def is_recent(self) -> bool:
        """Whether a status has come within the last seconds."""
        return time.monotonic() - self.came <= _FRESH

    def is_fresh(self) -> bool:
        """Whether the newest status is of now, and not of before the last request."""
        if self.status is None:
            return False
        after = _SETTLED if self.status.code == self._before else 0.0
        return self.came >= self._answered + after and self.is_recent()

    def tells_hold(self, wanted: bool, since: float) -> bool:
        """Whether a status has come since a moment and says what is wanted.

        Args:
            wanted: True: a person holds the robot. False: nobody does.
            since: The moment on the monotonic clock, s.
        """
        is_held = self.status is not None and self.status.code == HoldCode.PERSON
        return self.came >= since and is_held == wanted
