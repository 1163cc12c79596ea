"""What tests have started ends with their session, even when the session is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import wait_until

SESSION = """
import subprocess, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
conftest.end_with_session()
# As a launch does, it starts another one, and has a group of its own.
subprocess.Popen(["sh", "-c", "sleep 300 & echo $$ $!; wait"], start_new_session=True)
time.sleep(300)
"""


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_processes_of_a_killed_session_end_and_others_go_on():
    other = subprocess.Popen(["sleep", "300"])
    session = subprocess.Popen(
        [sys.executable, "-c", SESSION, str(Path(__file__).parents[1])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        pids = [int(word) for word in session.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        session.kill()
        session.wait()
        wait_until(lambda: not any(map(is_alive, pids)), "their end", 30.0)
        assert other.poll() is None
        said = session.stderr.read()
        assert all(f"left behind by the tests, killed: {pid} s" in said for pid in pids), said
    finally:
        session.kill()
        other.kill()
        session.communicate()
        other.wait()


def test_this_session_is_watched():
    assert os.environ["WM_MPC_TEST_SESSION"]
