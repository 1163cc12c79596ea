"""The error that makes the control loop hold, with a code for programs and a reason for people.

The codes are in `wm_mpc.codes`.
"""

from __future__ import annotations

from wm_mpc.codes import HoldCode


class HoldError(Exception):
    """A reason not to move now.

    Args:
        code: Reason for programs.
        reason: Reason for people.
        is_fault: True if something is wrong. False if something is still to come, or a person asked
            for the hold.

    Attributes:
        code: Reason for programs.
        is_fault: See the arguments.
    """

    def __init__(self, code: HoldCode, reason: str, *, is_fault: bool = False) -> None:
        super().__init__(reason)
        self.code, self.is_fault = code, is_fault
