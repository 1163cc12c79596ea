"""Recordings from the page: their priority, and those that cannot be made."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest

from wm_mpc.nodes.viewer.commands import CommandError
from wm_mpc.nodes.viewer.recording import Recorder, Starter

SLEEP = ["sleep", "60"]


def test_a_recording_does_not_have_the_low_priority_of_the_page():
    usual, found = os.nice(0), {}

    def serve():  # priority belongs to a thread, so this ends with it
        starter = Starter()
        os.nice(3)
        starts = {"another": lambda: subprocess.Popen(SLEEP), "recording": lambda: starter(SLEEP)}
        for who, start in starts.items():
            with start() as process:
                found[who] = os.getpriority(os.PRIO_PROCESS, process.pid)
                process.kill()

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert found == {"another": usual + 3, "recording": usual}


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match=r"file.*cannot be made"):
        Recorder(str(tmp_path / "file" / "x"), ["/odom"], Starter()).start()


def test_there_is_nothing_to_stop_before_a_recording():
    with pytest.raises(CommandError, match="no recording"):
        Recorder("x", [], Starter()).stop()
