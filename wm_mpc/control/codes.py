"""Why the control loop holds: an exception with a stable code for programs and a reason for people.

The codes themselves are in `wm_mpc.codes`, where programs without a control loop find them, too.
"""

from __future__ import annotations

from wm_mpc.codes import HoldCode, StatusCode

__all__ = ["HoldCode", "HoldError", "StatusCode"]


class HoldError(Exception):
    """A reason not to move now.

    Args:
        code: For programs.
        reason: For people.
        is_fault: Whether something is wrong, rather than still to come or asked for.
    """

    def __init__(self, code: HoldCode, reason: str, *, is_fault: bool = False) -> None:
        super().__init__(reason)
        self.code, self.is_fault = code, is_fault
