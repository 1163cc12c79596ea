"""Ctrl-C that comes more than once: the program cleans up undisturbed."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from wm_mpc.interrupts import one_interrupt

PROGRAM = """
import contextlib, os, signal, sys
from wm_mpc.interrupts import one_interrupt

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

@one_interrupt()
def main():
    with contextlib.ExitStack() as held:
        held.callback(print, "cleaned up")
        held.callback(interrupt)
        with one_interrupt():  # of a command that another one calls
            try:
                interrupt()
            except KeyboardInterrupt:
                interrupt()
                print("interrupted")
                return 130

code = main()
interrupt()
sys.exit(code)
"""


def test_further_interrupts_do_not_disturb_the_clean_up():
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0)
    assert (done.stdout, done.stderr) == ("interrupted\ncleaned up\n", "")
    assert done.returncode == 130


def test_a_late_interrupt_counts_again(monkeypatch):
    """The first one may have been lost in a library."""
    monkeypatch.setattr("wm_mpc.interrupts._SAME", 0.0)
    before = signal.getsignal(signal.SIGINT)
    try:
        with one_interrupt():
            for _ in range(2):
                with pytest.raises(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_an_interrupt_the_handler_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with one_interrupt():
        pass
    assert signal.getsignal(signal.SIGINT) is before
