"""Ends what a test session has started, when the session has ended, however it ended.

    python session_end.py SESSION TOKEN

SESSION is the process id of its parent, the test session. Whatever has WM_MPC_TEST_SESSION=TOKEN in
its environment belongs to the session: nodes, launches, and what they have started. A session that
is killed cannot end them, and they would go on talking in the domains of later tests.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

VARIABLE = "WM_MPC_TEST_SESSION"
_LOOK = 0.5  # s between two looks at the session
_GRACE = 5.0  # s in which its processes may end by themselves


def of_session(token: str) -> dict[int, str]:
    """Command lines of the processes of a session, by process id, without this one."""
    found, wanted = {}, f"{VARIABLE}={token}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found[int(folder.name)] = b" ".join(words).decode(errors="replace").strip()
        except OSError:
            pass  # it has just ended, or is somebody else's
    return found


def main(session: int, token: str) -> None:
    while os.getppid() == session:  # another process adopts the children of one that has ended
        time.sleep(_LOOK)
    deadline = time.monotonic() + _GRACE
    while (left := of_session(token)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid, command in left.items():
        print(f"left behind by the tests, killed: {pid} {command[:150]}", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
